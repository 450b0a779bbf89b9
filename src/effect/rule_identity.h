// Which rules say the same, wherever they stand.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "decide/objective.h"

namespace signalbox::effect {

std::string DeterministicBytes(const google::protobuf::Message& message);
// The same bytes for the same rule, without its place.
template <typename Rule>
std::string TextOf(Rule rule) {
  rule.clear_source();
  return DeterministicBytes(rule);
}

// All that an Objective's decisions are made from, by number: equal rules have equal numbers, in all rule sets that the
// same RuleIdentity is asked about. Each rule is read once, for however many Objectives it is; rules are known by their
// addresses, so they stay where they are.
class RuleIdentity {
 public:
  // Without the Objective's name and how many Objectives a rule is for: two with equal identities decide alike.
  std::vector<size_t> Of(const decide::Objective& objective);

 private:
  template <typename Rule>
  size_t NumberOf(const Rule& rule);
  size_t NumberOfText(std::string text);
  // What all Objectives of a rule set have in common: policies, ensembles, what operators have set of shifts.
  size_t NumberOfShared(const v1::PublishedRuleSet& rules);

  std::unordered_map<const void*, size_t> by_address_;
  std::unordered_map<std::string, size_t> by_text_;
};

}  // namespace signalbox::effect
