#include <utility>

#include "rules/rule_reading.h"

namespace signalbox::rules {

void ReadContextRule(RuleReading& reading) {
  FieldReader& reader = reading.reader;
  Draft<v1::ContextRule> draft;
  v1::ContextRule& rule = draft.rule;
  rule.set_id(reading.ReadId("contextRuleId", "context rule"));
  reader.CheckKeys(reading.rule, {"contextRuleId", "targetObjectives", "when", "model", "policy", "parameters"});
  reading.ReadTargets(draft);
  reading.ReadCondition(rule);
  if (reading.Has("model")) reader.Model(reading.Key("model"), *rule.mutable_model(), Ensembles::kAllowed);
  if (reading.Has("parameters")) reader.Parameters(reading.Key("parameters"), *rule.mutable_parameters());
  if (reading.Has("policy")) {
    rule.set_policy(reading.ReadName(reading.Key("policy"), NameKind::kPolicy));
    draft.narrowed_by = {rule.policy()};
  }
  if (!reading.Has("when") && !reading.Has("policy")) {
    reader.ErrorExpected(reading.Key("when"),
                         "a condition, such as when.country.is('US'); what holds everywhere is said by the Objective");
  }
  if (!reading.Has("model") && !reading.Has("policy") && !reading.Has("parameters"))
    reader.Error(reading.rule, "says nothing, expected at least one of model, policy and parameters");
  reading.FillSource(*rule.mutable_source());
  reading.Keep(std::move(draft), reading.draft.context_rules);
}

}  // namespace signalbox::rules
