#include "decide/request_context.h"

#include <array>

namespace signalbox::decide {
namespace {
constexpr std::array<std::string_view, 4> kNames = {"live", "synthetic", "replay", "shadow"};
}  // namespace

std::string_view Name(TrafficType type) { return kNames[static_cast<size_t>(type)]; }

std::optional<TrafficType> ParseTrafficType(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<TrafficType>(i);
  }
  return std::nullopt;
}

}  // namespace signalbox::decide
