// Hash maps keyed by text that are looked up without making a std::string.
#pragma once

#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "base/hash.h"

namespace signalbox {

struct StringMapHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return StableHash64(text); }
};
struct StringMapEqual {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return a == b; }
};

template <typename Value>
using StringMap = absl::flat_hash_map<std::string, Value, StringMapHash, StringMapEqual>;

}  // namespace signalbox
