#include "rules/rule_reader.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "rules/rule_reading.h"
#include "rules/suggestion.h"

namespace signalbox::rules {
namespace {

struct RuleKind {
  const char* key;
  const char* what;
  void (*read)(RuleReading&);
  // Another key that no other kind has: with it, what is missing is the first.
  const char* other_key = nullptr;
};

// A rule is of the first kind whose key it has.
constexpr RuleKind kKinds[] = {
    {"objective", "an Objective", ReadObjective},
    {"abTestId", "an experiment", ReadExperiment, "cellToModel"},
    {"trafficShiftId", "a traffic shift", ReadTrafficShift, "toModel"},
    {"contextRuleId", "a context rule", ReadContextRule},
    {"layerId", "a layer", ReadLayer},
    {"holdoutId", "a holdout", ReadHoldout},
    {"shadowId", "a shadow", ReadShadow},
    {"ensembleId", "an ensemble", ReadEnsemble, "members"},
    {"overrideId", "an override", ReadOverride, "callers"},
    {"policyId", "a policy", ReadPolicy},
    {"fallbackModels", "fallbacks", ReadFallbacks},
};

const RuleKind* FindKind(const RuleReading& reading) {
  for (const RuleKind& kind : kKinds) {
    if (reading.Has(kind.key)) return &kind;
  }
  for (const RuleKind& kind : kKinds) {
    if (kind.other_key != nullptr && reading.Has(kind.other_key)) return &kind;
  }
  return nullptr;
}

void ReportUnknownKind(RuleReading& reading) {
  std::vector<std::string> kinds;
  std::vector<std::string> expected;
  for (const RuleKind& kind : kKinds) {
    kinds.emplace_back(kind.key);
    expected.push_back(fmt::format("{} ({})", kind.key, kind.what));
  }
  std::string suggestion;
  std::vector<std::string> keys;
  for (const auto& [key, value] : *reading.rule.AsObject()) {
    keys.push_back(key.substr(0, 50));
    if (suggestion.empty()) suggestion = DidYouMean(key, kinds);
    if (keys.size() == 20) break;
  }
  const std::string last = std::move(expected.back());
  expected.pop_back();
  reading.reader.Error(
      reading.rule,
      fmt::format("no kind of rule: expected a key {} or {}; its keys are {}{}", fmt::join(expected, ", "), last,
                  keys.empty() ? "none" : fmt::format("{}", fmt::join(keys, ", ")), suggestion));
}

}  // namespace

void ReadRule(const DeclaredRule& declared, RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics) {
  RuleReading reading(declared, draft, diagnostics);
  if (reading.rule.AsObject() == nullptr)
    return reading.reader.Error(reading.rule, fmt::format("expected a rule, got {}", InWords(declared.value)));
  const RuleKind* kind = FindKind(reading);
  if (kind == nullptr) return ReportUnknownKind(reading);
  kind->read(reading);
  std::vector<NameUse> uses = reading.reader.take_uses();
  draft.uses.insert(draft.uses.end(), std::make_move_iterator(uses.begin()), std::make_move_iterator(uses.end()));
}

}  // namespace signalbox::rules
