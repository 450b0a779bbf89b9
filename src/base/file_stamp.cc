#include "base/file_stamp.h"

#include <sys/stat.h>

namespace signalbox {

FileStamp FileStamp::Of(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return {};
  constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
  return {.inode = info.st_ino,
          .bytes = info.st_size,
          .changed_ns = info.st_ctim.tv_sec * kNanosecondsPerSecond + info.st_ctim.tv_nsec};
}

}  // namespace signalbox
