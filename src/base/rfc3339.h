// Times as text: "2026-03-01T12:00:00Z".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace signalbox {

// RFC 3339 with a zone (`Z` or `+01:00`), years 1970 to 9999. Milliseconds since 1970; what is finer is cut off.
// nullopt: it is none. Allocation-free.
std::optional<int64_t> ParseRfc3339(std::string_view text);

// The same back, in UTC: with milliseconds where there are any.
std::string Rfc3339(int64_t unix_ms);

}  // namespace signalbox
