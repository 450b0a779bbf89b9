// Sets of request contexts in words.
#pragma once

#include <string>

#include "effect/context_space.h"

namespace signalbox::effect {

// "country in {CA, US} and device begins with tv". Empty: everybody. Of a unit nothing is said where the class has all
// requests with it but those whose unit the rules name: that is what is meant where shares of a hash space are told.
std::string DescribeClass(const ContextSpace& space, const ContextClass& contexts);

// "country is US", "no plan", "surface matches /^ho/".
std::string DescribeTest(const v1::FieldTest& test, bool holds);

}  // namespace signalbox::effect
