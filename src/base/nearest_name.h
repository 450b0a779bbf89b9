// "Did you mean ...": the name that a misspelled one was probably meant to be.
#pragma once

#include <span>
#include <string_view>

namespace signalbox {

// The first of `candidates` with the smallest number of edits (insert, delete, replace, swap of neighbours) from
// `name`, regardless of case; empty when none is within a third of the name's length. Looks at the first 256 candidates
// and at names of at most 64 bytes, so that a client's nonsense costs a millisecond at worst. Allocation-free.
std::string_view NearestName(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace signalbox
