#include <fmt/format.h>

#include <utility>

#include "rules/moment.h"
#include "rules/rule_reading.h"

namespace signalbox::rules {
namespace {

constexpr size_t kStepsMax = 100;
constexpr size_t kPoliciesMax = 8;

void ReadSchedule(RuleReading& reading, v1::RampSchedule& schedule) {
  FieldReader& reader = reading.reader;
  const Field field = reading.Key("schedule");
  if (field.AsObject() == nullptr)
    return reader.ErrorExpected(field, "{start: '2026-01-31T18:00:00Z', steps: [{percentage: 1, hold: '30m'}, ...]}");
  reader.CheckKeys(field, {"start", "steps"});
  const Field start = reader.Key(field, "start");
  if (!start.IsPresent()) reader.ErrorExpected(start, kMomentExpected);
  schedule.set_start_unix_ms(reading.ReadMoment(start));
  const Field steps = reader.Key(field, "steps");
  const RuleValue::Array* items = steps.AsArray();
  if (items == nullptr) return reader.ErrorExpected(steps, "an array of steps: [{percentage: 1, hold: '30m'}, ...]");
  if (items->empty() || items->size() > kStepsMax)
    return reader.Error(steps, fmt::format("has {} steps, expected 1 to {}", items->size(), kStepsMax));
  for (size_t i = 0; i < items->size(); ++i) {
    const Field item = reader.Item(steps, i);
    v1::RampStep& step = *schedule.add_steps();
    if (item.AsObject() == nullptr) {
      reader.ErrorExpected(item, "a step: {percentage: 1, hold: '30m'}");
      continue;
    }
    reader.CheckKeys(item, {"percentage", "hold"});
    step.set_share_ppm(reader.PercentageAsPpm(reader.Key(item, "percentage"), 0).value_or(0));
    const Field hold = reader.Key(item, "hold");
    if (i + 1 == items->size()) {
      if (hold.IsPresent()) reader.Error(hold, "the last step is held for ever; remove it");
      continue;
    }
    const auto* text = hold.IsPresent() ? std::get_if<std::string>(&hold.value->data) : nullptr;
    const std::optional<int64_t> hold_ms = text == nullptr ? std::nullopt : ParseDuration(*text);
    if (!hold_ms) reader.ErrorExpected(hold, kDurationExpected);
    step.set_hold_ms(hold_ms.value_or(0));
  }
}

}  // namespace

void ReadTrafficShift(RuleReading& reading) {
  FieldReader& reader = reading.reader;
  Draft<v1::TrafficShift> draft;
  v1::TrafficShift& shift = draft.rule;
  shift.set_id(reading.ReadId("trafficShiftId", "traffic shift"));
  reader.CheckKeys(reading.rule, {"trafficShiftId", "targetObjectives", "fromModel", "toModel", "percentage", "seed",
                                  "unit", "when", "policy", "schedule"});
  reading.ReadTargets(draft);
  if (reading.Has("fromModel")) reader.Model(reading.Key("fromModel"), *shift.mutable_from(), Ensembles::kAllowed);
  reader.Model(reading.Key("toModel"), *shift.mutable_to(), Ensembles::kAllowed);
  if (reading.Has("schedule")) {
    ReadSchedule(reading, *shift.mutable_schedule());
    if (reading.Has("percentage"))
      reader.Error(reading.Key("percentage"), "the schedule says the percentage; remove one of the two");
  } else {
    shift.set_share_ppm(reading.ReadPercentage("percentage", 0));
  }
  shift.set_seed(reading.ReadSeed());
  const std::vector<std::string> unit = reading.ReadUnit();
  shift.mutable_unit()->Assign(unit.begin(), unit.end());
  reading.ReadCondition(shift);
  if (reading.Has("policy"))
    draft.narrowed_by = reading.ReadNames(reading.Key("policy"), NameKind::kPolicy, kPoliciesMax);
  reading.FillSource(*shift.mutable_source());
  reading.Keep(std::move(draft), reading.draft.shifts);
}

}  // namespace signalbox::rules
