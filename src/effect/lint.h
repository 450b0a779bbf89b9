// What is not wrong with a rule set, but hardly meant: rules that nobody reaches, what nobody refers to, what lies in
// the past, and what would move users back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "decide/snapshot.h"
#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::effect {

struct Warning {
  v1::SourceLocation place;
  std::string message;  // "experiment 12345: nobody reaches it: ..."
  // What was not looked at, or is worth knowing: nothing is wrong with the rules.
  bool is_note = false;
};

// Of all rule sets in `snapshot`. Whether a rule can be reached is worked out exactly, now and at every later time at
// which the rules change what they do; an Objective with too much to follow gets a note, and nothing is said of
// its reach. In order of their places.
std::vector<Warning> Lint(const decide::Snapshot& snapshot, int64_t now_unix_ms);

// What of `after` moves users who are in a cell or shifted already by `before`: to other cells, or back.
std::vector<Warning> LintAgainst(const v1::PublishedRuleSet& before, const v1::PublishedRuleSet& after,
                                 int64_t now_unix_ms);

// In order of their places.
void Sort(std::vector<Warning>& warnings);

}  // namespace signalbox::effect
