// Why each model is where it is, and not elsewhere, in words and numbers.
#pragma once

#include <map>
#include <string>

#include "assign/layout.h"

namespace signalbox::assign {

// Of more pairs of model and shard than this, only refusals of models that are not (wholly) placed are told, as many.
constexpr int64_t kRefusalsMax = 1 << 20;

std::map<std::string, Explanation> Explain(const Layout& layout, const Assignment& current);

// "3.0 GiB"
std::string TextOfBytes(Sum bytes);

}  // namespace signalbox::assign
