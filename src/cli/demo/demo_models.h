// The demo's model repository: trained when it is not there, kept from then on.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace signalbox::cli {

// Trains both models into `repository` unless this release has done so before, from the same data and seed. Returns
// what was done, for people. Errors as `signalbox train`.
absl::StatusOr<std::string> TrainOnce(const std::string& data_folder, const std::string& repository, uint64_t seed);

}  // namespace signalbox::cli
