// Whether any of some files has changed, by asking.
#pragma once

#include <string>
#include <vector>

#include "base/file_stamp.h"

namespace signalbox::cli {

class FileWatch {
 public:
  explicit FileWatch(std::vector<std::string> paths);

  // Looks at these from now on. True when one of them was not looked at before; what is to be known of it has to be
  // read after this.
  bool Watch(std::vector<std::string> paths);

  // Since the last call, or since the start, as FileStamp sees it. A file that has gone, or is there again, has
  // changed.
  bool Changed();

 private:
  std::vector<std::string> paths_;
  std::vector<FileStamp> stamps_;
};

}  // namespace signalbox::cli
