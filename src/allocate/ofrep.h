// The OpenFeature Remote Evaluation Protocol (OFREP 0.3), one flag at a time, as text: what is sent and what an answer
// means. https://github.com/open-feature/protocol
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "allocate/question.h"

namespace signalbox::allocate {

// "/ofrep/v1/evaluate/flags/KEY", the key percent-encoded.
std::string OfrepPath(std::string_view flag);

// {"context": {"targetingKey": ..., ...}}; `segments` becomes an array. The inquiry is UTF-8.
std::string OfrepBody(const Inquiry& inquiry);

// `body` is whole. Of a success the cell is `variant`; where the platform does not name variants it is `value`, as
// text, when that is a text or a number. Neither: the platform leaves it to the default (OFREP's "code default"),
// kNoCell.
Answer ReadOfrepAnswer(int http_status, std::string_view body, std::optional<std::chrono::milliseconds> retry_after);

// Retry-After as RFC 9110 has it (seconds, or an HTTP date), or as OFREP's schema does (RFC 3339). nullopt when it is
// none of them; 0 when it has passed.
std::optional<std::chrono::milliseconds> ParseRetryAfter(std::string_view text, int64_t now_unix_ms);

}  // namespace signalbox::allocate
