#include "host/data_file.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"

namespace signalbox::host {
namespace {
// The largest of the files that are read has 2 MB; one of many times that is not what was meant.
constexpr size_t kDataFileBytesMax = 64 << 20;
}  // namespace

absl::StatusOr<std::string> ReadDataFile(const std::string& path, std::string& sha256) {
  absl::StatusOr<std::string> content = ReadFile(path, kDataFileBytesMax);
  if (absl::IsNotFound(content.status())) {
    return absl::NotFoundError(fmt::format(
        "{}; the data comes with the npm package vega-datasets: run `npm ci` in signalbox's folder, and name "
        "node_modules/vega-datasets/data",
        Message(content.status())));
  }
  if (content.ok()) sha256 = Sha256Hex(*content);
  return content;
}

}  // namespace signalbox::host
