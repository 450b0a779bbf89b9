// Effects of changes for people.
#pragma once

#include <string>

#include "effect/effect.h"

namespace signalbox::effect {

// "3.00 % of ContinueWatchingRanking where country in {CA, US} moves from ranker@1 to ranker@2". In generated requests
// where `is_sampled`.
std::string Sentence(const std::string& objective, const Movement& movement, bool is_sampled);

// A page: one sentence a line, Objective by Objective, what it is counted from, and that nothing else changes.
std::string DescribeEffect(const Effect& effect);

}  // namespace signalbox::effect
