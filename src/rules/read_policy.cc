#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "api/rule_set.h"
#include "rules/rule_reading.h"

namespace signalbox::rules {
namespace {

constexpr size_t kBasesMax = 8;
constexpr double kCountMax = 4'294'967'295.0;
constexpr double kPayloadBytesMax = 1LL << 40;
constexpr double kConcurrencyMax = 1'000'000;
constexpr double kMillisecondsMax = 3'600'000;
constexpr double kTriesMax = 10;
// Below the median half of the requests would be asked twice.
constexpr double kPercentileMin = 50;
constexpr double kPercentileMax = 99.9;
constexpr double kLoadBoundMin = 101;
constexpr double kLoadBoundMax = 10'000;
constexpr double kConnectionsMax = 64;

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

void ReadAdaptiveConcurrency(FieldReader& reader, const Field& field, PolicyDraft& policy) {
  if (field.AsObject() == nullptr)
    return reader.ErrorExpected(field, "an object: {min: 4, max: 200}, or {} for the defaults");
  reader.CheckKeys(field, {"min", "max"});
  v1::AdaptiveConcurrency& adaptive = *policy.handling.mutable_limits()->mutable_adaptive_concurrency();
  if (const Field min = reader.Key(field, "min"); min.IsPresent())
    adaptive.set_min(static_cast<uint32_t>(reader.Whole(min, 1, kConcurrencyMax).value_or(0)));
  if (const Field max = reader.Key(field, "max"); max.IsPresent())
    adaptive.set_max(static_cast<uint32_t>(reader.Whole(max, 1, kConcurrencyMax).value_or(0)));
  if (adaptive.max() != 0 && adaptive.min() > adaptive.max())
    reader.Error(field, fmt::format("min is {} and max {}, expected min <= max", adaptive.min(), adaptive.max()));
}

void ReadLimits(FieldReader& reader, const Field& field, PolicyDraft& policy) {
  if (field.AsObject() == nullptr)
    return reader.ErrorExpected(field, "an object of limits: {requestsPerSecond: 100, concurrentRequests: 20}");
  reader.CheckKeys(
      field, {"requestsPerSecond", "burst", "concurrentRequests", "adaptiveConcurrency", "payloadBytes", "priority"});
  if (const Field rate = reader.Key(field, "requestsPerSecond"); rate.IsPresent())
    policy.requests_per_second = reader.Number(rate, 0, 1e9, "a number from 0 (no limit) to 1e9");
  if (const Field burst = reader.Key(field, "burst"); burst.IsPresent())
    policy.burst = reader.Whole(burst, 0, kCountMax);
  if (const Field concurrent = reader.Key(field, "concurrentRequests"); concurrent.IsPresent())
    policy.concurrent_requests = reader.Whole(concurrent, 0, kCountMax);
  if (const Field adaptive = reader.Key(field, "adaptiveConcurrency"); adaptive.IsPresent()) {
    if (policy.concurrent_requests.value_or(0) != 0)
      return reader.Error(adaptive, "stands beside concurrentRequests, expected one of the two");
    ReadAdaptiveConcurrency(reader, adaptive, policy);
  }
  if (const Field bytes = reader.Key(field, "payloadBytes"); bytes.IsPresent())
    policy.payload_bytes = reader.Whole(bytes, 0, kPayloadBytesMax);
  if (const Field priority = reader.Key(field, "priority"); priority.IsPresent())
    ReadPriority(reader, priority, policy);
}

// A whole number of milliseconds under `name` of `field`; 0 where there is none.
int64_t ReadMilliseconds(FieldReader& reader, const Field& field, const char* name) {
  const Field key = reader.Key(field, name);
  return key.IsPresent() ? static_cast<int64_t>(reader.Whole(key, 1, kMillisecondsMax).value_or(0)) : 0;
}

void ReadDeadlines(FieldReader& reader, const Field& field, v1::Deadlines& deadlines) {
  if (field.AsObject() == nullptr) return reader.ErrorExpected(field, "an object: {totalMs: 200, perTryMs: 80}");
  reader.CheckKeys(field, {"totalMs", "perTryMs"});
  deadlines.set_total_ms(ReadMilliseconds(reader, field, "totalMs"));
  deadlines.set_per_try_ms(ReadMilliseconds(reader, field, "perTryMs"));
}

void ReadRetries(FieldReader& reader, const Field& field, v1::Retries& retries) {
  if (field.AsObject() == nullptr) return reader.ErrorExpected(field, "an object: {tries: 3, idempotent: true}");
  reader.CheckKeys(field, {"tries", "idempotent", "budgetPercentage", "backoffMs", "backoffMaxMs"});
  if (const Field tries = reader.Key(field, "tries"); tries.IsPresent())
    retries.set_tries(static_cast<uint32_t>(reader.Whole(tries, 1, kTriesMax).value_or(0)));
  if (const Field idempotent = reader.Key(field, "idempotent"); idempotent.IsPresent()) {
    const bool* value = std::get_if<bool>(&idempotent.value->data);
    if (value == nullptr) return reader.ErrorExpected(idempotent, "true or false");
    retries.set_idempotent(*value);
  }
  if (const Field budget = reader.Key(field, "budgetPercentage"); budget.IsPresent())
    retries.set_budget_ppm(reader.PercentageAsPpm(budget, 0).value_or(0));
  retries.set_backoff_ms(ReadMilliseconds(reader, field, "backoffMs"));
  retries.set_backoff_max_ms(ReadMilliseconds(reader, field, "backoffMaxMs"));
}

void ReadHedging(FieldReader& reader, const Field& field, v1::Hedging& hedging) {
  if (field.AsObject() == nullptr)
    return reader.ErrorExpected(field, "an object: {afterPercentile: 95, minDelayMs: 5}");
  reader.CheckKeys(field, {"afterPercentile", "minDelayMs"});
  const Field percentile = reader.Key(field, "afterPercentile");
  const std::optional<double> after =
      reader.Number(percentile, kPercentileMin, kPercentileMax, "a percentile from 50 to 99.9, such as 95");
  constexpr double kPpmPerPercent = 10'000;
  if (after) hedging.set_percentile_ppm(static_cast<uint32_t>(std::lround(*after * kPpmPerPercent)));
  hedging.set_min_delay_ms(ReadMilliseconds(reader, field, "minDelayMs"));
}

void ReadAffinity(RuleReading& reading, const Field& field, v1::Affinity& affinity) {
  FieldReader& reader = reading.reader;
  if (field.AsObject() == nullptr) return reader.ErrorExpected(field, "an object: {unit: 'account'}");
  reader.CheckKeys(field, {"unit", "loadBoundPercentage"});
  std::vector<std::string> unit = reading.ReadUnit(reader.Key(field, "unit"));
  if (unit.empty()) unit.emplace_back("user");
  affinity.mutable_unit()->Assign(unit.begin(), unit.end());
  if (const Field bound = reader.Key(field, "loadBoundPercentage"); bound.IsPresent())
    affinity.set_load_bound_percent(
        static_cast<uint32_t>(reader.Whole(bound, kLoadBoundMin, kLoadBoundMax).value_or(0)));
}

void ReadBulkhead(FieldReader& reader, const Field& field, v1::Bulkhead& bulkhead) {
  if (field.AsObject() == nullptr)
    return reader.ErrorExpected(field, "an object: {requests: 500, bufferedBytes: 16000000, connectionsPerHost: 2}");
  reader.CheckKeys(field, {"requests", "bufferedBytes", "connectionsPerHost"});
  if (const Field requests = reader.Key(field, "requests"); requests.IsPresent())
    bulkhead.set_requests(static_cast<uint32_t>(reader.Whole(requests, 1, kCountMax).value_or(0)));
  if (const Field bytes = reader.Key(field, "bufferedBytes"); bytes.IsPresent())
    bulkhead.set_buffered_bytes(reader.Whole(bytes, 1, kPayloadBytesMax).value_or(0));
  if (const Field connections = reader.Key(field, "connectionsPerHost"); connections.IsPresent())
    bulkhead.set_connections_per_host(static_cast<uint32_t>(reader.Whole(connections, 1, kConnectionsMax).value_or(0)));
}

void ReadHandling(RuleReading& reading, v1::Policy& handling) {
  FieldReader& reader = reading.reader;
  if (reading.Has("deadlines")) ReadDeadlines(reader, reading.Key("deadlines"), *handling.mutable_deadlines());
  if (reading.Has("retries")) ReadRetries(reader, reading.Key("retries"), *handling.mutable_retries());
  if (reading.Has("hedging")) ReadHedging(reader, reading.Key("hedging"), *handling.mutable_hedging());
  if (reading.Has("affinity")) ReadAffinity(reading, reading.Key("affinity"), *handling.mutable_affinity());
  if (reading.Has("bulkhead")) ReadBulkhead(reader, reading.Key("bulkhead"), *handling.mutable_bulkhead());
}

}  // namespace

void ReadPolicy(RuleReading& reading) {
  FieldReader& reader = reading.reader;
  PolicyDraft policy;
  policy.name = reading.ReadId("policyId", "policy");
  if (!policy.name.empty()) reading.draft.declared_names.push_back({NameKind::kPolicy, policy.name});
  reader.CheckKeys(reading.rule, {"policyId", "extends", "limits", "deadlines", "retries", "hedging", "affinity",
                                  "bulkhead", "fallbackModels", "staticAnswer", "when"});
  if (reading.Has("extends")) policy.extends = reading.ReadNames(reading.Key("extends"), NameKind::kPolicy, kBasesMax);
  if (reading.Has("limits")) ReadLimits(reader, reading.Key("limits"), policy);
  ReadHandling(reading, policy.handling);
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
