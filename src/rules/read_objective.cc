#include <fmt/format.h>

#include <utility>

#include "api/rule_set.h"
#include "rules/rule_reading.h"

namespace signalbox::rules {

void ReadObjective(RuleReading& reading) {
  FieldReader& reader = reading.reader;
  v1::Objective objective;
  std::vector<std::string> names;
  std::vector<Place> places;
  const Field named = reading.Key("objective");
  if (named.AsArray() != nullptr) {
    reader.ErrorExpected(named, "one Objectives.Name");
  } else {
    reader.Targets(named, names, places);
  }
  if (!names.empty()) {
    objective.set_name(names[0]);
    reader.set_subject(fmt::format("Objective {}", names[0]));
  }
  reader.CheckKeys(reading.rule, {"objective", "defaultModel", "fallbackModels", "modelInputType", "modelType",
                                  "parameters", "policy", "staticAnswer"});
  reader.Model(reading.Key("defaultModel"), *objective.mutable_default_model(), Ensembles::kAllowed);
  if (reading.Has("fallbackModels")) {
    const auto models = reading.ReadModels(reading.Key("fallbackModels"), rule_set::kFallbacksMax, Ensembles::kRefused);
    objective.mutable_fallback_models()->Assign(models.begin(), models.end());
  }
  reader.Description(reading.Key("modelInputType"), *objective.mutable_model_input_type());
  reader.Description(reading.Key("modelType"), *objective.mutable_model_type());
  if (reading.Has("parameters")) reader.Parameters(reading.Key("parameters"), *objective.mutable_parameters());
  if (reading.Has("policy")) objective.set_policy(reading.ReadName(reading.Key("policy"), NameKind::kPolicy));
  if (reading.Has("staticAnswer"))
    ReadStaticAnswer(reader, reading.Key("staticAnswer"), *objective.mutable_static_answer());
  reading.FillSource(*objective.mutable_source());
  if (reader.ok()) {
    reading.draft.objectives.push_back(std::move(objective));
  } else if (!names.empty()) {
    reading.draft.refused_objectives.push_back(names[0]);
  }
}

}  // namespace signalbox::rules
