#include "rules/rule_reading.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/rule_set.h"
#include "rules/condition_reader.h"
#include "rules/moment.h"
#include "rules/suggestion.h"

namespace signalbox::rules {
namespace {

constexpr size_t kUnitFieldsMax = 8;
const std::vector<std::string> kUnitFields = {"user",    "country", "locale",       "device",
                                              "surface", "tenant",  "traffic_type", "app_version"};

}  // namespace

std::string RuleReading::ReadId(const char* key, std::string_view kind) {
  const std::optional<std::string> id = reader.Id(Key(key));
  if (id) reader.set_subject(fmt::format("{} {}", kind, *id));
  return id.value_or("");
}

std::string RuleReading::ReadSeed() {
  const Field seed = Key("seed");
  return seed.IsPresent() ? reader.Id(seed).value_or("") : "";
}

std::vector<std::string> RuleReading::ReadUnit(const Field& unit) {
  if (!unit.IsPresent()) return {};
  std::vector<Field> fields = {unit};
  if (const RuleValue::Array* items = unit.AsArray()) {
    if (items->empty() || items->size() > kUnitFieldsMax) {
      reader.Error(unit, fmt::format("has {} fields, expected 1 to {}", items->size(), kUnitFieldsMax));
      return {};
    }
    fields.clear();
    for (size_t i = 0; i < items->size(); ++i) fields.push_back(reader.Item(unit, i));
  }
  std::vector<std::string> names;
  for (const Field& field : fields) {
    std::optional<std::string> name = reader.Text(field, "the name of a context field, such as 'user' or 'account'");
    if (!name) continue;
    // As conditions write them.
    if (*name == "trafficType") name = "traffic_type";
    if (*name == "appVersion") name = "app_version";
    if (*name == "segments") {
      reader.Error(field, "segments are a list, which cannot be a unit; expected a field with one value");
    } else if (!IsContextField(*name) && WrongAttributeName({*name})) {
      const std::string hint = DidYouMean(*name, kUnitFields);
      if (hint.empty()) {
        reader.ErrorExpected(field, "the name of a context field: letters, digits, '.', '_' and '-'");
      } else {
        reader.Error(field, fmt::format("there is no such context field{}", hint));
      }
    } else if (std::find(names.begin(), names.end(), *name) != names.end()) {
      reader.Error(field, fmt::format("names {} twice", *name));
    } else {
      names.push_back(*name);
    }
  }
  if (names.size() == 1 && names[0] == "user") names.clear();
  return names;
}

uint32_t RuleReading::ReadPercentage(const char* key, double low) {
  return reader.PercentageAsPpm(Key(key), low).value_or(0);
}

int64_t RuleReading::ReadMoment(const Field& field) {
  if (!field.IsPresent()) return 0;
  const auto* text = std::get_if<std::string>(&field.value->data);
  const std::optional<int64_t> unix_ms = text == nullptr ? std::nullopt : ParseMoment(*text);
  if (!unix_ms) reader.ErrorExpected(field, kMomentExpected);
  return unix_ms.value_or(0);
}

std::vector<v1::ModelRef> RuleReading::ReadModels(const Field& field, size_t max, Ensembles ensembles) {
  std::vector<v1::ModelRef> models;
  const RuleValue::Array* items = field.AsArray();
  if (items == nullptr) {
    reader.ErrorExpected(field, "an array of models: [{name: '...'}]");
    return models;
  }
  if (items->size() > max) {
    reader.Error(field, fmt::format("has {} models, expected at most {}", items->size(), max));
    return models;
  }
  for (size_t i = 0; i < items->size(); ++i) {
    const Field item = reader.Item(field, i);
    v1::ModelRef model;
    reader.Model(item, model, ensembles);
    const bool is_there = std::any_of(models.begin(), models.end(), [&](const v1::ModelRef& other) {
      return other.name() == model.name() && other.version() == model.version() && other.ensemble() == model.ensemble();
    });
    if (is_there && !(model.name().empty() && model.ensemble().empty()))
      reader.Error(item, "stands in the list already");
    models.push_back(std::move(model));
  }
  return models;
}

std::vector<std::string> RuleReading::ReadNames(const Field& field, NameKind kind, size_t max) {
  const RuleValue::Array* items = field.AsArray();
  if (items == nullptr) {
    const std::string name = ReadName(field, kind);
    return name.empty() ? std::vector<std::string>() : std::vector<std::string>{name};
  }
  std::vector<std::string> names;
  if (items->empty() || items->size() > max) {
    reader.Error(field, fmt::format("has {} names, expected 1 to {}", items->size(), max));
    return names;
  }
  for (size_t i = 0; i < items->size(); ++i) {
    const Field item = reader.Item(field, i);
    std::string name = ReadName(item, kind);
    if (name.empty()) continue;
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      reader.Error(item, fmt::format("names {} twice", name));
    } else {
      names.push_back(std::move(name));
    }
  }
  return names;
}

std::string RuleReading::ReadName(const Field& field, NameKind kind) {
  const std::optional<std::string> name = reader.Id(field);
  if (!name) return "";
  reader.Use(field, kind, *name);
  return *name;
}

void RuleReading::FillSource(v1::SourceLocation& source) const { source = reader.SourceOf(rule); }

}  // namespace signalbox::rules
