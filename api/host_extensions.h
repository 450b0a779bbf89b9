// What a model host can say in the `extensions` of its ServerMetadata, beyond the protocol's own words.
#pragma once

#include <string_view>

namespace signalbox::extensions {

// It implements RepositoryIndex, RepositoryModelLoad and RepositoryModelUnload.
inline constexpr std::string_view kRepository = "model_repository";
// The last two take a parameter `version` (text or a whole number) and then touch that version alone.
inline constexpr std::string_view kSingleVersions = "model_repository(version)";

}  // namespace signalbox::extensions
