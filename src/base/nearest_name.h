// "Did you mean ...": the name that a misspelled one was probably meant to be.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace signalbox {

// What a search may cost: the work grows with the candidates and with the product of the lengths.
struct NameSearch {
  size_t candidates_max = 256;  // the first ones have to do
  size_t name_bytes_max = 64;   // longer names are not compared; at most kNameSearchBytesMax
};
inline constexpr size_t kNameSearchBytesMax = 200;

// The first of `candidates` with the smallest edit distance from `name`, in which two neighbours that changed places
// count once (optimal string alignment) and upper for lower case counts as half a letter; empty when more than a third
// of the letters differ. With the default limits a client's nonsense costs a millisecond at worst. Allocation-free.
std::string_view NearestName(std::string_view name, std::span<const std::string_view> candidates,
                             const NameSearch& search = {});

}  // namespace signalbox
