#include "rules/expected_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "rules/field_reader.h"
#include "rules/moment.h"
#include "rules/suggestion.h"

namespace signalbox::rules {
namespace {

struct TextField {
  std::string_view name;
  std::string TestedContext::*member;
};
constexpr TextField kTextFields[] = {{"user", &TestedContext::user},
                                     {"country", &TestedContext::country},
                                     {"locale", &TestedContext::locale},
                                     {"device", &TestedContext::device},
                                     {"surface", &TestedContext::surface},
                                     {"tenant", &TestedContext::tenant},
                                     {"appVersion", &TestedContext::app_version}};
constexpr std::array<std::string_view, 4> kTrafficTypes = {"live", "synthetic", "replay", "shadow"};

bool IsNothing(const RuleValue& value) { return std::holds_alternative<RuleValue::Nothing>(value.data); }

class ContextReader {
 public:
  explicit ContextReader(TestedContext& context) : context_(context) {}

  std::vector<std::string> Read(const RuleValue& value) {
    const auto* object = std::get_if<RuleValue::Object>(&value.data);
    if (object == nullptr) {
      Wrong("", "an object such as {objective: 'X', user: 'u1', country: 'US'}", value);
      return std::move(problems_);
    }
    for (const RuleProperty& property : *object) {
      if (!IsNothing(property.value)) ReadField(property);
    }
    if (context_.objective.empty() && problems_.empty())
      problems_.emplace_back("objective: is missing, expected the name of an Objective");
    return std::move(problems_);
  }

 private:
  void Wrong(std::string_view field, std::string_view expected, const RuleValue& value) {
    problems_.push_back(
        fmt::format("{}{}expected {}, got {}", field, field.empty() ? "" : ": ", expected, InWords(value)));
  }

  void ReadField(const RuleProperty& property) {
    const std::string& name = property.name;
    const auto* field = std::find_if(std::begin(kTextFields), std::end(kTextFields),
                                     [&](const TextField& each) { return each.name == name; });
    if (field != std::end(kTextFields)) return ReadText(property, context_.*(field->member));
    if (name == "objective") return ReadObjective(property);
    if (name == "trafficType") return ReadTrafficType(property);
    if (name == "segments") return ReadSegments(property);
    if (name == "attributes") return ReadPairs(property, context_.attributes);
    if (name == "now") return ReadNow(property);
    if (name == "override") return ReadOverride(property);
    Unknown(name);
  }

  void Unknown(const std::string& name) {
    std::vector<std::string> known = {"objective", "trafficType", "segments", "attributes", "now", "override"};
    for (const TextField& field : kTextFields) known.emplace_back(field.name);
    const std::string hint = DidYouMean(name, known);
    problems_.push_back(fmt::format("\"{}\" is no field of a request{}", name,
                                    hint.empty() ? fmt::format("; there are {}", fmt::join(known, ", ")) : hint));
  }

  void ReadText(const RuleProperty& property, std::string& text) {
    const auto* given = std::get_if<std::string>(&property.value.data);
    if (given == nullptr) return Wrong(property.name, "a text", property.value);
    text = *given;
  }

  void ReadObjective(const RuleProperty& property) {
    if (const auto* objective = std::get_if<ObjectiveName>(&property.value.data)) {
      context_.objective = objective->name;
    } else {
      ReadText(property, context_.objective);
    }
  }

  void ReadTrafficType(const RuleProperty& property) {
    ReadText(property, context_.traffic_type);
    if (context_.traffic_type.empty() ||
        std::find(kTrafficTypes.begin(), kTrafficTypes.end(), context_.traffic_type) != kTrafficTypes.end()) {
      return;
    }
    Wrong(property.name, fmt::format("one of {}", fmt::join(kTrafficTypes, ", ")), property.value);
  }

  void ReadSegments(const RuleProperty& property) {
    const auto* segments = std::get_if<RuleValue::Array>(&property.value.data);
    if (segments == nullptr) return Wrong(property.name, "an array of texts", property.value);
    for (const RuleValue& segment : *segments) {
      const auto* text = std::get_if<std::string>(&segment.data);
      if (text == nullptr || text->empty() || text->find(' ') != std::string::npos)
        return Wrong(property.name, "an array of texts without spaces", segment);
      context_.segments += (context_.segments.empty() ? "" : " ") + *text;
    }
  }

  void ReadPairs(const RuleProperty& property, std::vector<std::pair<std::string, std::string>>& pairs) {
    const auto* object = std::get_if<RuleValue::Object>(&property.value.data);
    if (object == nullptr) return Wrong(property.name, "an object with texts or numbers", property.value);
    for (const RuleProperty& pair : *object) {
      std::string text;
      if (IsNothing(pair.value)) continue;
      if (!ReadTextOf(pair.value, text)) {
        Wrong(fmt::format("{}.{}", property.name, pair.name), "a text, a number, true or false", pair.value);
      } else {
        pairs.emplace_back(pair.name, std::move(text));
      }
    }
  }

  void ReadNow(const RuleProperty& property) {
    const auto* text = std::get_if<std::string>(&property.value.data);
    const std::optional<int64_t> moment = text ? ParseMoment(*text) : std::nullopt;
    if (!moment) return Wrong(property.name, kMomentExpected, property.value);
    context_.now_unix_ms = *moment;
  }

  void ReadOverride(const RuleProperty& property) {
    const auto* object = std::get_if<RuleValue::Object>(&property.value.data);
    if (object == nullptr)
      return Wrong(property.name, "an object such as {model: 'm@1', cells: {12345: '2'}}", property.value);
    for (const RuleProperty& part : *object) {
      if (IsNothing(part.value)) continue;
      if (part.name == "model") {
        ReadText(part, context_.override_model);
      } else if (part.name == "cells") {
        ReadPairs(part, context_.override_cells);
      } else {
        problems_.push_back(fmt::format("override: unknown key \"{}\", expected model or cells", part.name));
      }
    }
  }

  TestedContext& context_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> ReadTestedContext(const RuleValue& value, TestedContext& context) {
  return ContextReader(context).Read(value);
}

bool ReadName(const RuleValue& value, std::string& text) {
  if (const auto* given = std::get_if<std::string>(&value.data)) {
    text = *given;
    return true;
  }
  if (const auto* number = std::get_if<double>(&value.data)) {
    text = fmt::format("{}", *number);
    return true;
  }
  return false;
}

bool ReadTextOf(const RuleValue& value, std::string& text) {
  const auto* boolean = std::get_if<bool>(&value.data);
  if (boolean == nullptr) return ReadName(value, text);
  text = *boolean ? "true" : "false";
  return true;
}

}  // namespace signalbox::rules
