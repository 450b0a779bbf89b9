// Reasons that come from elsewhere (hosts, data planes, compilers), fit for a record: short, and UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace signalbox::rollout {

// Of a rollout, and of one host's part in it. A record has a limit, and tells of many.
constexpr size_t kReasonBytesMax = 4'000;
constexpr size_t kHostReasonBytesMax = 200;

// At most `bytes_max` of `text`, cut between characters, with '?' for each byte that is not of a character: a message
// with such bytes could be written and not be read again.
std::string Reason(std::string_view text, size_t bytes_max = kReasonBytesMax);

}  // namespace signalbox::rollout
