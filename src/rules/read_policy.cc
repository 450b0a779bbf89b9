#include <array>
#include <string_view>
#include <utility>

#include "api/rule_set.h"
#include "rules/rule_reading.h"

namespace signalbox::rules {
namespace {

constexpr size_t kBasesMax = 8;
constexpr double kCountMax = 4'294'967'295.0;
constexpr double kPayloadBytesMax = 1LL << 40;

void ReadPriority(FieldReader& reader, const Field& field, PolicyDraft& policy) {
  constexpr char kExpected[] = "'low', 'normal' or 'high'";
  const std::optional<std::string> text = reader.Text(field, kExpected);
  if (!text) return;
  if (*text == "low") {
    policy.priority = v1::Limits::LOW;
  } else if (*text == "normal") {
    policy.priority = v1::Limits::NORMAL;
  } else if (*text == "high") {
    policy.priority = v1::Limits::HIGH;
  } else {
    reader.ErrorExpected(field, kExpected);
  }
}

void ReadLimits(FieldReader& reader, const Field& field, PolicyDraft& policy) {
  if (field.AsObject() == nullptr)
    return reader.ErrorExpected(field, "an object of limits: {requestsPerSecond: 100, concurrentRequests: 20}");
  reader.CheckKeys(field, {"requestsPerSecond", "burst", "concurrentRequests", "payloadBytes", "priority"});
  if (const Field rate = reader.Key(field, "requestsPerSecond"); rate.IsPresent())
    policy.requests_per_second = reader.Number(rate, 0, 1e9, "a number from 0 (no limit) to 1e9");
  if (const Field burst = reader.Key(field, "burst"); burst.IsPresent())
    policy.burst = reader.Whole(burst, 0, kCountMax);
  if (const Field concurrent = reader.Key(field, "concurrentRequests"); concurrent.IsPresent())
    policy.concurrent_requests = reader.Whole(concurrent, 0, kCountMax);
  if (const Field bytes = reader.Key(field, "payloadBytes"); bytes.IsPresent())
    policy.payload_bytes = reader.Whole(bytes, 0, kPayloadBytesMax);
  if (const Field priority = reader.Key(field, "priority"); priority.IsPresent())
    ReadPriority(reader, priority, policy);
}

}  // namespace

void ReadPolicy(RuleReading& reading) {
  FieldReader& reader = reading.reader;
  PolicyDraft policy;
  policy.name = reading.ReadId("policyId", "policy");
  if (!policy.name.empty()) reading.draft.declared_names.push_back({NameKind::kPolicy, policy.name});
  reader.CheckKeys(reading.rule, {"policyId", "extends", "limits", "fallbackModels", "staticAnswer", "when"});
  if (reading.Has("extends")) policy.extends = reading.ReadNames(reading.Key("extends"), NameKind::kPolicy, kBasesMax);
  if (reading.Has("limits")) ReadLimits(reader, reading.Key("limits"), policy);
  if (reading.Has("fallbackModels")) {
    policy.fallback_models =
        reading.ReadModels(reading.Key("fallbackModels"), rule_set::kFallbacksMax, Ensembles::kRefused);
  }
  if (reading.Has("staticAnswer"))
    ReadStaticAnswer(reader, reading.Key("staticAnswer"), policy.static_answer.emplace());
  if (reading.Has("when")) reader.Condition(reading.Key("when"), policy.condition);
  reading.FillSource(policy.source);
  reading.KeepPlain(std::move(policy), reading.draft.policies);
}

}  // namespace signalbox::rules
