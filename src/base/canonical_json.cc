#include "base/canonical_json.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

namespace signalbox {

absl::StatusOr<std::string> CanonicalJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  if (auto status = google::protobuf::util::MessageToJsonString(message, &text, options); !status.ok()) {
    return absl::InvalidArgumentError(fmt::format("{} to JSON: {}", message.GetTypeName(), status.ToString()));
  }
  // nlohmann's object is a std::map: its keys come out sorted by bytes.
  nlohmann::json value = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return absl::InternalError(fmt::format("{}: unreadable JSON", message.GetTypeName()));
  return value.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

absl::Status ParseJson(const std::string& json, google::protobuf::Message& message) {
  if (auto status = google::protobuf::util::JsonStringToMessage(json, &message); !status.ok()) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", message.GetTypeName(), status.ToString()));
  }
  return absl::OkStatus();
}

}  // namespace signalbox
