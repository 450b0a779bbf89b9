// Policies, with what they extend worked into them, and their conditions worked into the rules that name them.
#pragma once

#include <vector>

#include "rules/rule_draft.h"
#include "rules/rules.h"

namespace signalbox::rules {

// Narrows the conditions of `draft`'s rules by their policies and returns the policies that say something else besides.
// Reports circles of `extends`, each once with all who are in it, and policies that say nothing where they are named.
// That policies exist is checked elsewhere.
//
// A policy says first what it says itself, then what those that it extends say, in order, each limit by itself; its
// condition and theirs all have to hold.
std::vector<v1::Policy> ResolvePolicies(RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics);

}  // namespace signalbox::rules
