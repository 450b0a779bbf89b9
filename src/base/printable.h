// Text of somebody else's, on a line of ours.
#pragma once

#include <string>
#include <string_view>

namespace signalbox {

// Whether `text`, UTF-8, holds control characters: line ends, escape sequences of terminals, changes of the direction
// of text, and what else could make a line look like another one.
bool HoldsControlCharacters(std::string_view text);

// `text` with \n, \t and \x1b in their place; all else as it is.
std::string EscapeControlCharacters(std::string_view text);

}  // namespace signalbox
