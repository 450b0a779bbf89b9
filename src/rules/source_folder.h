// Where rules come from, told in the same way on every machine.
#pragma once

#include <string>
#include <vector>

#include "signalbox/v1/rules.pb.h"

namespace signalbox::rules {

// Names the source of every rule by its path below the folder that all of `files` lie in: home.js, or team/home.js
// beside shared.js. `files` are the paths that `rules` was evaluated from. So what is published depends neither on the
// folder that a command was started in, nor on how a path was written.
void NameSourcesBelowTheirFolder(v1::RuleSet& rules, const std::vector<std::string>& files);

}  // namespace signalbox::rules
