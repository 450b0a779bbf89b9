#include <fmt/format.h>

#include <utility>

#include "api/rule_set.h"
#include "rules/rule_reading.h"

namespace signalbox::rules {

void ReadFallbacks(RuleReading& reading) {
  Draft<FallbackRule> draft;
  reading.reader.set_subject(fmt::format("fallbacks ({})", reading.label()));
  reading.reader.CheckKeys(reading.rule, {"targetObjectives", "fallbackModels"});
  reading.reader.Targets(reading.Key("targetObjectives"), draft.rule.names, draft.targets);
  draft.rule.models = reading.ReadModels(reading.Key("fallbackModels"), rule_set::kFallbacksMax, Ensembles::kRefused);
  reading.FillSource(draft.rule.location);
  reading.Keep(std::move(draft), reading.draft.fallbacks);
}

}  // namespace signalbox::rules
