#include "cli/file_watch.h"

#include <algorithm>
#include <utility>

namespace signalbox::cli {

FileWatch::FileWatch(std::vector<std::string> paths) : paths_(std::move(paths)) {
  for (const std::string& path : paths_) stamps_.push_back(FileStamp::Of(path));
}

bool FileWatch::Watch(std::vector<std::string> paths) {
  bool has_new = false;
  std::vector<FileStamp> stamps;
  for (const std::string& path : paths) {
    const auto known = std::find(paths_.begin(), paths_.end(), path);
    has_new |= known == paths_.end();
    stamps.push_back(known == paths_.end() ? FileStamp::Of(path)
                                           : stamps_[static_cast<size_t>(known - paths_.begin())]);
  }
  paths_ = std::move(paths);
  stamps_ = std::move(stamps);
  return has_new;
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
