// Early return for absl::Status and absl::StatusOr, and their text.
//
// Debian builds Abseil for C++14, where absl::string_view is a type of its own: absl::StrCat does not take
// std::string_view. The house formats with fmt (fmt::format, fmt::join) and keys maps with StringMap (string_map.h).
#pragma once

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define RETURN_IF_ERROR(expression)                                         \
  do {                                                                      \
    if (absl::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

#define SIGNALBOX_CONCAT_INNER(a, b) a##b
#define SIGNALBOX_CONCAT(a, b) SIGNALBOX_CONCAT_INNER(a, b)

// ASSIGN_OR_RETURN(auto value, Function());
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_INNER(SIGNALBOX_CONCAT(status_or_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_INNER(temporary, declaration, expression) \
  auto temporary = (expression);                                   \
  if (!temporary.ok()) return std::move(temporary).status();       \
  declaration = std::move(temporary).value()

namespace signalbox {

// The message of a status as the standard's view, for fmt. Lives as long as `status`.
inline std::string_view Message(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace signalbox
