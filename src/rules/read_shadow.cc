#include <utility>

#include "rules/rule_reading.h"

namespace signalbox::rules {
namespace {

constexpr char kExpected[] = "'exact', {tolerance: 1e-3, relative: 1e-4} or {rankCorrelation: 0.9}";

void ReadComparison(FieldReader& reader, const Field& field, v1::Comparison& comparison) {
  const auto* text = std::get_if<std::string>(&field.value->data);
  if (text != nullptr && *text == "exact") {
    comparison.mutable_exact();
    return;
  }
  if (field.AsObject() == nullptr || field.AsObject()->empty()) return reader.ErrorExpected(field, kExpected);
  if (const Field rank = reader.Key(field, "rankCorrelation"); rank.IsPresent()) {
    reader.CheckKeys(field, {"rankCorrelation"});
    comparison.mutable_rank()->set_min(reader.Number(rank, -1, 1, "a number from -1 to 1").value_or(0));
    return;
  }
  reader.CheckKeys(field, {"tolerance", "relative", "rankCorrelation"});
  v1::Comparison::NumericTolerance& numeric = *comparison.mutable_numeric();
  constexpr char kNumber[] = "a number of at least 0";
  if (const Field absolute = reader.Key(field, "tolerance"); absolute.IsPresent())
    numeric.set_absolute(reader.Number(absolute, 0, 1e300, kNumber).value_or(0));
  if (const Field relative = reader.Key(field, "relative"); relative.IsPresent())
    numeric.set_relative(reader.Number(relative, 0, 1e300, kNumber).value_or(0));
}

}  // namespace

void ReadShadow(RuleReading& reading) {
  FieldReader& reader = reading.reader;
  Draft<v1::Shadow> draft;
  v1::Shadow& shadow = draft.rule;
  shadow.set_id(reading.ReadId("shadowId", "shadow"));
  reader.CheckKeys(reading.rule, {"shadowId", "targetObjectives", "model", "sampleRate", "when", "compare"});
  reading.ReadTargets(draft);
  reader.Model(reading.Key("model"), *shadow.mutable_model());
  shadow.set_share_ppm(reading.ReadPercentage("sampleRate", 0));
  reading.ReadCondition(shadow);
  if (reading.Has("compare")) ReadComparison(reader, reading.Key("compare"), *shadow.mutable_comparison());
  reading.FillSource(*shadow.mutable_source());
  reading.Keep(std::move(draft), reading.draft.shadows);
}

}  // namespace signalbox::rules
