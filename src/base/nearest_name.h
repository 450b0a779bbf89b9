// "Did you mean ...": the name that a misspelled one was probably meant to be.
#pragma once

#include <span>
#include <string_view>

namespace signalbox {

// The first of `candidates` with the smallest number of edits (insert, delete, replace, swap of neighbours) from
// `name`, regardless of case; empty when none is within a third of the name's length. Looks at the first 1,000
// candidates of at most 100 bytes, so that a client cannot make it slow: about 10 us at usual lengths. Allocation-free.
std::string_view NearestName(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace signalbox
