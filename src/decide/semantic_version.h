// Versions of applications, ordered as semver.org orders them.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace signalbox::decide {

struct SemanticVersion {
  std::array<uint64_t, 3> numbers = {};
  // "beta.1"; empty: a release, which comes after all of its pre-releases. Points into the text that was read.
  std::string_view pre_release;
};

// 1 to 3 numbers, "-" and a pre-release, "+" and build metadata, which has no order and is left out. What is left out
// of the numbers is 0. nullopt: it is none. Allocation-free.
std::optional<SemanticVersion> ParseSemanticVersion(std::string_view text);

std::strong_ordering operator<=>(const SemanticVersion& a, const SemanticVersion& b);
inline bool operator==(const SemanticVersion& a, const SemanticVersion& b) { return (a <=> b) == 0; }

}  // namespace signalbox::decide
