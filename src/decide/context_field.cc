#include "decide/context_field.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace signalbox::decide {

FieldId ParseField(std::string_view name) {
  static constexpr std::array<std::string_view, 9> kNames = {
      "user", "country", "locale", "device", "surface", "tenant", "traffic_type", "app_version", "segments"};
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  return static_cast<FieldId>(std::distance(kNames.begin(), found));
}

}  // namespace signalbox::decide
