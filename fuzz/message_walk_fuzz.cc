// Any bytes as one gRPC message: what the walk accepts, protobuf reads too, and fields that are appended to it arrive
// as fields of their own. And the verdict does not depend on how the body was cut into parts.
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "proxy/message_walk.h"

namespace {

constexpr uint32_t kNameField = 1;

struct Verdict {
  bool ok = false;
  std::string name;
};

Verdict Walk(std::string_view body, size_t part_bytes) {
  signalbox::proxy::MessageWalk walk;
  walk.Start(kNameField);
  while (!body.empty()) {
    const size_t bytes = std::min(part_bytes, body.size());
    if (!walk.Read(body.substr(0, bytes)).ok()) return {};
    body.remove_prefix(bytes);
  }
  return {walk.End().ok(), std::string(walk.name())};
}

std::string Frame(std::string_view message) {
  std::string body(5, '\0');
  for (int i = 0; i < 4; ++i) body[1 + i] = static_cast<char>(message.size() >> (8 * (3 - i)));
  return body.append(message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t part_bytes = 1 + data[0] % 37;
  const std::string message(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string body = Frame(message);
  const Verdict whole = Walk(body, body.size());
  const Verdict in_parts = Walk(body, part_bytes);
  if (whole.ok != in_parts.ok || whole.name != in_parts.name) std::abort();
  if (!whole.ok) return 0;

  google::protobuf::UnknownFieldSet fields;
  if (!fields.ParseFromString(message)) std::abort();
  google::protobuf::UnknownFieldSet suffix;
  suffix.AddLengthDelimited(kNameField, "the model that was chosen");
  suffix.AddVarint(99, 7);
  std::string suffix_bytes;
  suffix.SerializeToString(&suffix_bytes);
  google::protobuf::UnknownFieldSet enriched;
  if (!enriched.ParseFromString(message + suffix_bytes)) std::abort();
  if (enriched.field_count() != fields.field_count() + suffix.field_count()) std::abort();
  if (enriched.field(enriched.field_count() - 1).number() != 99) std::abort();
  return 0;
}
