// One way to write each condition, so that rules that mean the same mostly have the same bytes, and so the same hash.
#pragma once

#include <cstddef>

#include "signalbox/v1/condition.pb.h"

namespace signalbox::rules {

// Lists within lists become one, what stands twice stands once, lists are sorted, a list of one is what is in it,
// not-not is nothing, and `is a or is b` is `in a, b`.
void MakeCanonical(v1::Condition& condition);

// `condition` and `other`. An unset condition is always true.
void AndWith(v1::Condition& condition, const v1::Condition& other);

// How many tests it makes at most.
size_t CountTests(const v1::Condition& condition);

}  // namespace signalbox::rules
