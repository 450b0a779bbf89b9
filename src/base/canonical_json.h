// One text for one meaning: protobuf messages as canonical JSON.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message.h"

namespace signalbox {

// The proto3 JSON mapping with the .proto's field names, without fields that have their default value, keys sorted by
// bytes, no white space (RFC 8785 for what our schemas hold: no floating point is used in them). Equal messages give
// equal bytes in every release.
absl::StatusOr<std::string> CanonicalJson(const google::protobuf::Message& message);

// The reverse. INVALID_ARGUMENT names what was not understood; unknown fields are refused, not skipped.
absl::Status ParseJson(const std::string& json, google::protobuf::Message& message);

}  // namespace signalbox
