#include "effect/generated_units.h"

#include <set>

namespace signalbox::effect {
namespace {

template <typename Rules>
void AddUnits(const Rules& rules, std::set<std::string>& fields) {
  for (const auto& rule : rules) fields.insert(rule.unit().begin(), rule.unit().end());
}

}  // namespace

std::vector<std::string> UnitFields(const v1::Snapshot& snapshot) {
  std::set<std::string> fields = {"user"};
  for (const auto& version : snapshot.rule_sets()) {
    const v1::RuleSet& rules = version.rule_set();
    AddUnits(rules.experiments(), fields);
    AddUnits(rules.traffic_shifts(), fields);
    AddUnits(rules.layers(), fields);
    AddUnits(rules.holdouts(), fields);
  }
  fields.erase("traffic_type");
  return {fields.begin(), fields.end()};
}

}  // namespace signalbox::effect
