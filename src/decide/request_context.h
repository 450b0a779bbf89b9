// What a decision may look at: metadata of the request, never its payload.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace signalbox::decide {

enum class TrafficType : uint8_t { kLive, kSynthetic, kReplay, kShadow };

// "live", "synthetic", "replay", "shadow".
std::string_view Name(TrafficType type);
std::optional<TrafficType> ParseTrafficType(std::string_view name);

struct Attribute {
  std::string_view key;
  std::string_view value;
};

// A view: whoever builds it keeps the text alive while it is used. Fields that the client did not send are empty.
struct RequestContext {
  std::string_view objective = {};
  std::string_view user = {};
  std::string_view country = {};
  std::string_view locale = {};
  std::string_view device = {};
  std::string_view surface = {};
  std::string_view tenant = {};
  TrafficType traffic_type = TrafficType::kLive;
  std::span<const Attribute> attributes = {};
};

}  // namespace signalbox::decide
