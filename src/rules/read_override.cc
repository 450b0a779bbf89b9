#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/printable.h"
#include "rules/rule_reading.h"

namespace signalbox::rules {
namespace {

constexpr size_t kCallersMax = 1000;
constexpr size_t kCallerBytesMax = 1000;
constexpr size_t kModelsMax = 100;

std::vector<std::string> ReadCallers(FieldReader& reader, const Field& field) {
  std::vector<std::string> callers;
  if (!field.IsPresent()) return callers;
  const RuleValue::Array* items = field.AsArray();
  if (items == nullptr) {
    reader.ErrorExpected(field, "an array of texts: ['qa']");
    return callers;
  }
  if (items->size() > kCallersMax) {
    reader.Error(field, fmt::format("has {} names, expected at most {}", items->size(), kCallersMax));
    return callers;
  }
  for (size_t i = 0; i < items->size(); ++i) {
    const Field item = reader.Item(field, i);
    const std::optional<std::string> caller = reader.Text(item, "a text, such as 'qa'");
    if (!caller) continue;
    if (caller->empty() || caller->size() > kCallerBytesMax || HoldsControlCharacters(*caller)) {
      reader.Error(item, fmt::format("expected a text of 1 to {} bytes without control characters", kCallerBytesMax));
    }
    callers.push_back(*caller);
  }
  std::sort(callers.begin(), callers.end());
  callers.erase(std::unique(callers.begin(), callers.end()), callers.end());
  return callers;
}

}  // namespace

void ReadOverride(RuleReading& reading) {
  FieldReader& reader = reading.reader;
  Draft<v1::Override> draft;
  v1::Override& rule = draft.rule;
  rule.set_id(reading.ReadId("overrideId", "override"));
  reader.CheckKeys(reading.rule, {"overrideId", "targetObjectives", "callers", "models"});
  reading.ReadTargets(draft);
  const Field callers = reading.Key("callers");
  if (callers.AsObject() == nullptr) {
    reader.ErrorExpected(callers, "who may override: {tenants: ['qa'], users: ['alice']}");
  } else {
    reader.CheckKeys(callers, {"tenants", "users"});
    const std::vector<std::string> tenants = ReadCallers(reader, reader.Key(callers, "tenants"));
    const std::vector<std::string> users = ReadCallers(reader, reader.Key(callers, "users"));
    if (tenants.empty() && users.empty() && reader.ok())
      reader.Error(callers, "names nobody, expected at least one of tenants and users");
    rule.mutable_tenants()->Assign(tenants.begin(), tenants.end());
    rule.mutable_users()->Assign(users.begin(), users.end());
  }
  if (reading.Has("models")) {
    const auto models = reading.ReadModels(reading.Key("models"), kModelsMax, Ensembles::kAllowed);
    rule.mutable_models()->Assign(models.begin(), models.end());
  }
  reading.FillSource(*rule.mutable_source());
  reading.Keep(std::move(draft), reading.draft.overrides);
}

}  // namespace signalbox::rules
