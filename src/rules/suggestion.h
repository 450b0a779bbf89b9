// "Did you mean ...": the nearest of the names that would have been right.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace signalbox::rules {

// `, did you mean "X"?`, or empty when nothing is near: at most a third of the letters differ. Upper and lower case
// count as half a letter.
std::string DidYouMean(std::string_view name, const std::vector<std::string>& known);

}  // namespace signalbox::rules
