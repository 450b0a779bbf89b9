#include "cli/file_watch.h"

#include <utility>

namespace signalbox::cli {

FileWatch::FileWatch(std::vector<std::string> paths) : paths_(std::move(paths)) {
  for (const std::string& path : paths_) stamps_.push_back(FileStamp::Of(path));
}

bool FileWatch::Changed() {
  bool changed = false;
  for (size_t i = 0; i < paths_.size(); ++i) {
    const FileStamp now = FileStamp::Of(paths_[i]);
    changed |= now != std::exchange(stamps_[i], now);
  }
  return changed;
}

}  // namespace signalbox::cli
