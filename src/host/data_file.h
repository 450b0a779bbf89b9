// Files of the real data that models are trained on.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace signalbox::host {

// The content of `path`, and its SHA-256 in hex. NOT_FOUND says how to install the data.
absl::StatusOr<std::string> ReadDataFile(const std::string& path, std::string& sha256);

}  // namespace signalbox::host
