// Text from clients can be any bytes; metrics and JSON must be UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace signalbox::telemetry {

// Length in bytes (1 to 4) of the valid UTF-8 character at the start of `text`, which is not empty; 0 when there is
// none: a stray or missing continuation byte, an overlong form, a surrogate, or above U+10FFFF.
size_t Utf8CharacterBytes(std::string_view text);

// Appends `text` with every byte that is not part of a valid character replaced by U+FFFD.
void AppendValidUtf8(std::string_view text, std::string& out);

// The longest prefix of at most `bytes_max` bytes that does not end inside a character.
std::string_view Utf8Prefix(std::string_view text, size_t bytes_max);

}  // namespace signalbox::telemetry
