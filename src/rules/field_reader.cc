#include "rules/field_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "api/rule_set.h"
#include "base/printable.h"
#include "rules/condition_form.h"
#include "rules/condition_reader.h"
#include "rules/suggestion.h"

namespace signalbox::rules {
namespace {

using rule_set::IsName;
using rule_set::IsObjectiveName;
using rule_set::kNameBytesMax;
using rule_set::kReservedParameterPrefix;

constexpr size_t kShownBytesMax = 80;
// Whole numbers up to here are exact in JavaScript.
constexpr double kWholeNumberMax = 9007199254740991.0;
constexpr double kPpmOfPercent = 10'000;
// Of keys in one object, and of Objectives in one rule. Work grows with their square.
constexpr size_t kKeysMax = 1000;

bool IsWhole(double number) { return std::isfinite(number) && number == std::floor(number); }

std::string Shown(std::string_view text) {
  if (text.size() <= kShownBytesMax) return EscapeControlCharacters(text);
  size_t end = kShownBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return fmt::format("{}...", EscapeControlCharacters(text.substr(0, end)));
}

std::string NumberText(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  if (IsWhole(number) && std::abs(number) <= kWholeNumberMax) return fmt::format("{}", static_cast<int64_t>(number));
  return fmt::format("{}", number);
}

}  // namespace

bool Field::IsPresent() const { return value != nullptr && !std::holds_alternative<RuleValue::Nothing>(value->data); }
const RuleValue::Object* Field::AsObject() const {
  return value == nullptr ? nullptr : std::get_if<RuleValue::Object>(&value->data);
}
const RuleValue::Array* Field::AsArray() const {
  return value == nullptr ? nullptr : std::get_if<RuleValue::Array>(&value->data);
}

std::string InWords(const RuleValue& value) {
  if (const auto* boolean = std::get_if<bool>(&value.data)) return *boolean ? "true" : "false";
  if (const auto* number = std::get_if<double>(&value.data)) return fmt::format("the number {}", NumberText(*number));
  if (const auto* text = std::get_if<std::string>(&value.data)) return fmt::format("the text \"{}\"", Shown(*text));
  if (const auto* objective = std::get_if<ObjectiveName>(&value.data))
    return fmt::format("Objectives.{}", Shown(objective->name));
  if (const auto* unusable = std::get_if<Unusable>(&value.data)) return unusable->what;
  if (std::holds_alternative<RuleValue::Array>(value.data)) return "an array";
  if (std::holds_alternative<RuleValue::Object>(value.data)) return "an object";
  return "nothing (undefined or null)";
}

Field FieldReader::Rule() const { return {&declared_.value, &declared_.source, declared_.source.place, ""}; }

Field FieldReader::Key(const Field& object, std::string_view key) const {
  const std::string name(key);
  Field field{nullptr, nullptr, object.place, object.path.empty() ? name : fmt::format("{}.{}", object.path, name)};
  if (const RuleValue::Object* properties = object.AsObject()) {
    for (const auto& [property, value] : *properties) {
      if (property == key) field.value = &value;
    }
  }
  if (object.node != nullptr) field.node = object.node->Find(key);
  if (field.node != nullptr && field.node->place.line != 0) field.place = field.node->place;
  return field;
}

Field FieldReader::Property(const Field& object, size_t index) const {
  const auto& [name, value] = (*object.AsObject())[index];
  Field field{&value, nullptr, object.place, object.path.empty() ? name : fmt::format("{}.{}", object.path, name)};
  if (object.node != nullptr) {
    // Most keys stand where they are written.
    const std::vector<SourceKey>& keys = object.node->keys;
    field.node = index < keys.size() && keys[index].name == name ? &keys[index].node : object.node->Find(name);
  }
  if (field.node != nullptr && field.node->place.line != 0) field.place = field.node->place;
  return field;
}

Field FieldReader::Item(const Field& array, size_t index) const {
  Field field{&(*array.AsArray())[index], nullptr, array.place, fmt::format("{}[{}]", array.path, index)};
  if (array.node != nullptr) field.node = array.node->ItemAt(index, array.AsArray()->size());
  if (field.node != nullptr && field.node->place.line != 0) field.place = field.node->place;
  return field;
}

void FieldReader::Error(const Field& field, std::string_view what) {
  ok_ = false;
  const std::string path = field.path.empty() ? "" : Shown(field.path) + ": ";
  diagnostics_.push_back(
      {declared_.file, field.place.line, field.place.column, fmt::format("{}: {}{}", subject_, path, what)});
}

void FieldReader::ErrorExpected(const Field& field, std::string_view expected) {
  if (!field.IsPresent()) return Error(field, fmt::format("is missing, expected {}", expected));
  Error(field, fmt::format("expected {}, got {}", expected, InWords(*field.value)));
}

v1::SourceLocation FieldReader::SourceOf(const Field& field) const {
  v1::SourceLocation source;
  source.set_file(declared_.file);
  source.set_line(field.place.line);
  source.set_column(field.place.column);
  return source;
}

void FieldReader::Use(const Field& field, NameKind kind, const std::string& name) {
  uses_.push_back({kind, name, subject_, SourceOf(field)});
}

bool FieldReader::HasTooManyKeys(const Field& object, size_t max) {
  const size_t keys = object.AsObject()->size();
  if (keys <= max) return false;
  Error(object, fmt::format("has {} keys, expected at most {}", keys, max));
  return true;
}

void FieldReader::CheckKeys(const Field& object, std::initializer_list<const char*> known) {
  if (HasTooManyKeys(object)) return;
  const std::vector<std::string> names(known.begin(), known.end());
  for (const auto& [key, value] : *object.AsObject()) {
    if (std::find(names.begin(), names.end(), key) != names.end()) continue;
    const std::string suggestion = DidYouMean(key, names);
    Field field = Key(object, key);
    field.path = object.path;
    Error(field, fmt::format("unknown key \"{}\"{}", Shown(key),
                             suggestion.empty() ? fmt::format(", expected {}", fmt::join(names, ", ")) : suggestion));
  }
}

std::optional<double> FieldReader::Number(const Field& field, double low, double high, std::string_view expected) {
  const auto* number = field.value == nullptr ? nullptr : std::get_if<double>(&field.value->data);
  // Not-a-number compares false.
  if (number != nullptr && *number >= low && *number <= high) return *number;
  ErrorExpected(field, expected);
  return std::nullopt;
}

std::optional<std::string> FieldReader::Text(const Field& field, std::string_view expected) {
  if (field.value != nullptr) {
    if (const auto* text = std::get_if<std::string>(&field.value->data)) return *text;
  }
  ErrorExpected(field, expected);
  return std::nullopt;
}

std::optional<std::string> FieldReader::Id(const Field& field) {
  if (field.value != nullptr) {
    const auto* number = std::get_if<double>(&field.value->data);
    if (number != nullptr && IsWhole(*number) && *number >= 0 && *number <= kWholeNumberMax) return NumberText(*number);
    const auto* text = std::get_if<std::string>(&field.value->data);
    if (text != nullptr && IsName(*text)) return *text;
  }
  ErrorExpected(field,
                fmt::format("a text of 1 to {} letters, digits, '.', '_' and '-', or a whole number", kNameBytesMax));
  return std::nullopt;
}

std::optional<uint32_t> FieldReader::PercentageAsPpm(const Field& field, double low) {
  const std::string expected = fmt::format("a percentage from {} to 100", low);
  const std::optional<double> percentage = Number(field, low, 100, expected);
  if (!percentage) return std::nullopt;
  const double ppm = *percentage * kPpmOfPercent;
  if (std::abs(ppm - std::round(ppm)) > 1e-6) {
    Error(field, fmt::format("expected at most four decimals (one user in a million), got {}", *percentage));
    return std::nullopt;
  }
  return static_cast<uint32_t>(std::lround(ppm));
}

std::optional<uint64_t> FieldReader::Whole(const Field& field, double low, double high) {
  const std::string expected = fmt::format("a whole number from {:.0f} to {:.0f}", low, high);
  const std::optional<double> number = Number(field, low, high, expected);
  if (number && IsWhole(*number)) return static_cast<uint64_t>(*number);
  if (number) ErrorExpected(field, expected);
  return std::nullopt;
}

void FieldReader::Condition(const Field& field, v1::Condition& condition) {
  if (const std::optional<std::string> wrong = ReadCondition(*field.value, condition)) return Error(field, *wrong);
  MakeCanonical(condition);
}

void FieldReader::Model(const Field& field, v1::ModelRef& model, Ensembles ensembles) {
  if (field.AsObject() == nullptr) return ErrorExpected(field, "a model: {name: '...', version: '...'}");
  if (const Field ensemble = Key(field, "ensemble"); ensemble.IsPresent()) {
    if (ensembles == Ensembles::kRefused)
      return Error(ensemble, "an ensemble cannot stand here; expected a model: {name: '...', version: '...'}");
    CheckKeys(field, {"ensemble"});
    const std::optional<std::string> name = Id(ensemble);
    if (!name) return;
    model.set_ensemble(*name);
    return Use(ensemble, NameKind::kEnsemble, *name);
  }
  CheckKeys(field, {"name", "version"});
  const std::string expected = fmt::format("a name of 1 to {} letters, digits, '.', '_' and '-'", kNameBytesMax);
  const Field name = Key(field, "name");
  if (const std::optional<std::string> text = Text(name, expected)) {
    model.set_name(*text);
    if (!IsName(*text)) ErrorExpected(name, expected);
  }
  const Field version = Key(field, "version");
  if (!version.IsPresent()) return;
  if (const std::optional<std::string> text = Id(version)) model.set_version(*text);
}

void FieldReader::Parameters(const Field& field, google::protobuf::Map<std::string, std::string>& parameters) {
  if (field.AsObject() == nullptr) return ErrorExpected(field, "an object of parameters: {name: value}");
  if (HasTooManyKeys(field)) return;
  for (const auto& [key, value] : *field.AsObject()) {
    const Field parameter = Key(field, key);
    if (!IsName(key)) {
      Error(parameter, fmt::format("expected a name of 1 to {} letters, digits, '.', '_' and '-'", kNameBytesMax));
    } else if (key.starts_with(kReservedParameterPrefix)) {
      Error(parameter,
            fmt::format("names that begin with {} belong to signalbox; choose another", kReservedParameterPrefix));
    } else if (const auto* text = std::get_if<std::string>(&value.data)) {
      parameters[key] = *text;
    } else if (const auto* number = std::get_if<double>(&value.data); number != nullptr && std::isfinite(*number)) {
      parameters[key] = NumberText(*number);
    } else if (const auto* boolean = std::get_if<bool>(&value.data)) {
      parameters[key] = *boolean ? "true" : "false";
    } else {
      ErrorExpected(parameter, "a text, a finite number, true or false");
    }
  }
}

void FieldReader::Targets(const Field& field, std::vector<std::string>& names, std::vector<Place>& places) {
  const RuleValue::Array* items = field.AsArray();
  if (items == nullptr) return Target(field, names, places);
  if (items->empty()) return Error(field, "is an empty array, expected at least one Objectives.Name");
  if (items->size() > kKeysMax) {
    return Error(field, fmt::format("names {} Objectives, expected at most {}", items->size(), kKeysMax));
  }
  for (size_t i = 0; i < items->size(); ++i) Target(Item(field, i), names, places);
}

void FieldReader::Target(const Field& field, std::vector<std::string>& names, std::vector<Place>& places) {
  const auto* objective = field.value == nullptr ? nullptr : std::get_if<ObjectiveName>(&field.value->data);
  if (objective == nullptr) {
    const auto* text = field.value == nullptr ? nullptr : std::get_if<std::string>(&field.value->data);
    const bool is_name = text != nullptr && IsObjectiveName(*text);
    return ErrorExpected(field, is_name ? fmt::format("Objectives.{} (without quotes)", *text) : "Objectives.Name");
  }
  Field named = field;
  if (objective->place.line != 0) named.place = objective->place;
  const std::string& name = objective->name;
  if (!IsObjectiveName(name)) {
    return Error(named, fmt::format("expected an Objective's name of 1 to {} letters, digits and '_' that starts with "
                                    "a letter, got \"{}\"",
                                    kNameBytesMax, Shown(name)));
  }
  if (std::find(names.begin(), names.end(), name) != names.end())
    return Error(named, fmt::format("names Objective {} twice", name));
  names.push_back(name);
  places.push_back(named.place);
}

void FieldReader::Description(const Field& field, std::string& text) {
  if (!field.IsPresent()) return;
  const std::optional<std::string> read = Text(field, "a text");
  if (!read) return;
  if (!IsName(*read)) {
    return ErrorExpected(field, fmt::format("1 to {} letters, digits, '.', '_' and '-'", kNameBytesMax));
  }
  text = *read;
}

}  // namespace signalbox::rules
