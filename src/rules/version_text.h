// Semantic versions (semver.org) as rule authors write them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace signalbox::rules {

// "4.2" -> "4.2.0", "4.2.0-beta.1+build7" -> "4.2.0-beta.1": three numbers, then perhaps a pre-release. Nothing when
// `text` is no version of 1 to 3 numbers.
std::optional<std::string> CanonicalVersion(std::string_view text);

// -1, 0 or 1; both are canonical.
int CompareVersions(std::string_view a, std::string_view b);

}  // namespace signalbox::rules
