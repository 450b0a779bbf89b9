// Whole files in and out, with limits and with errors that name the file.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace signalbox {

// The content of a regular file of at most `bytes_max` bytes. NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION (a
// folder or a pipe), INVALID_ARGUMENT (too large; by its size, before it is read), RESOURCE_EXHAUSTED (too few file
// descriptors) or INTERNAL, each naming the path.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t bytes_max);

// Replaces `path` so that a reader, or a crash at any moment, sees the old content or the new, whole: temporary file
// beside it, fsync, rename, fsync of the folder.
absl::Status WriteFileAtomically(const std::string& path, std::string_view content);

}  // namespace signalbox
