// Whether files have changed, by asking. Works for files that are written in place, replaced by rename, or mounted from
// elsewhere.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace signalbox::cli {

class FileWatch {
 public:
  explicit FileWatch(std::vector<std::string> paths);

  // Whether any file is another one, has another size or was written since the last call, or since the start. A file
  // that has gone, or is there again, has changed.
  bool Changed();

 private:
  struct State {
    uint64_t inode = 0;
    int64_t bytes = -1;
    int64_t written_ns = 0;
    bool operator==(const State&) const = default;
  };
  static State StateOf(const std::string& path);

  std::vector<std::string> paths_;
  std::vector<State> states_;
};

}  // namespace signalbox::cli
