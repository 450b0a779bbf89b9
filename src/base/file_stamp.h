// What tells one state of a file from the next, by asking. Works for files that are written in place, replaced by
// rename, or mounted from elsewhere.
#pragma once

#include <cstdint>
#include <string>

namespace signalbox {

// Another one whenever somebody has written to the file, put another in its place, or changed who may read it. A time
// of writing that was set back (cp -p, rsync, tar) hides nothing: what counts is the time that nobody can set.
struct FileStamp {
  uint64_t inode = 0;
  int64_t bytes = -1;
  int64_t changed_ns = 0;

  // A file that is not there has the stamp FileStamp().
  static FileStamp Of(const std::string& path);
  bool operator==(const FileStamp&) const = default;
};

}  // namespace signalbox
