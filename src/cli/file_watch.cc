#include "cli/file_watch.h"

#include <sys/stat.h>

#include <utility>

namespace signalbox::cli {

FileWatch::FileWatch(std::vector<std::string> paths) : paths_(std::move(paths)) {
  for (const std::string& path : paths_) states_.push_back(StateOf(path));
}

bool FileWatch::Changed() {
  bool changed = false;
  for (size_t i = 0; i < paths_.size(); ++i) {
    const State now = StateOf(paths_[i]);
    changed |= now != std::exchange(states_[i], now);
  }
  return changed;
}

FileWatch::State FileWatch::StateOf(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return {};
  constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
  return {.inode = status.st_ino,
          .bytes = status.st_size,
          .written_ns = status.st_mtim.tv_sec * kNanosecondsPerSecond + status.st_mtim.tv_nsec};
}

}  // namespace signalbox::cli
