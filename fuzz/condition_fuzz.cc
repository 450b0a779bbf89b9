// Any bytes as a condition, asked of a request made of the same bytes.
//
// As the JSON of what authors write: what the reader accepts compiles, means the same in its canonical form, and its
// negation says the opposite. As what somebody else has published (the text form of the message): it compiles or is
// refused with words. Neither reads beyond its texts.
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory_resource>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "decide/condition.h"
#include "decide/condition_text.h"
#include "rules/condition_form.h"
#include "rules/condition_reader.h"

namespace {

using signalbox::decide::Attribute;
using signalbox::decide::Condition;
using signalbox::decide::ConditionCompiler;
using signalbox::decide::RequestContext;
using signalbox::rules::RuleValue;

// One more than any condition may have, so that the reader meets some that are too deep.
constexpr int kDepthMax = 40;

RuleValue ValueOf(const nlohmann::json& json, int depth = 0) {
  if (json.is_boolean()) return {.data = json.get<bool>()};
  if (json.is_number()) return {.data = json.get<double>()};
  if (json.is_string()) return {.data = json.get<std::string>()};
  if (depth == kDepthMax) return {};
  if (json.is_array()) {
    RuleValue::Array items;
    for (const nlohmann::json& item : json) items.push_back(ValueOf(item, depth + 1));
    return {.data = std::move(items)};
  }
  if (!json.is_object()) return {};
  RuleValue::Object properties;
  for (const auto& [name, value] : json.items())
    properties.push_back({.name = name, .value = ValueOf(value, depth + 1)});
  return {.data = std::move(properties)};
}

// `value` stands in every field.
bool Holds(const Condition* condition, std::string_view value) {
  if (condition == nullptr) return true;
  const std::array<Attribute, 2> attributes = {{{"age", value}, {"plan", value}}};
  const RequestContext context = {.user = value,
                                  .country = value,
                                  .device = value,
                                  .app_version = value,
                                  .segments = value,
                                  .attributes = attributes,
                                  .now_unix_ms = static_cast<int64_t>(value.size()) * 3'600'000};
  uint32_t notes = 0;
  return signalbox::decide::Holds(*condition, context, notes);
}

void Ask(const signalbox::v1::Condition& proto, bool was_accepted, std::string_view value) {
  signalbox::v1::Condition canonical = proto;
  if (was_accepted) signalbox::rules::MakeCanonical(canonical);
  signalbox::v1::Condition negation;
  *negation.mutable_not_() = canonical;

  std::pmr::monotonic_buffer_resource memory;
  ConditionCompiler compiler(memory);
  const auto compiled = compiler.Compile(proto, memory);
  if (!compiled.ok()) {
    if (was_accepted || signalbox::Message(compiled.status()).empty()) std::abort();
    return;
  }
  if (signalbox::decide::ConditionText(proto).empty()) std::abort();
  const bool holds = Holds(*compiled, value);
  const auto same = compiler.Compile(canonical, memory);
  if (!same.ok() || Holds(*same, value) != holds) std::abort();
  // It may be one level too deep.
  const auto negated = compiler.Compile(negation, memory);
  if (negated.ok() && Holds(*negated, value) == holds) std::abort();
}

void AskWritten(const nlohmann::json& json, std::string_view value) {
  signalbox::v1::Condition proto;
  if (const std::optional<std::string> wrong = signalbox::rules::ReadCondition(ValueOf(json), proto)) {
    if (wrong->empty()) std::abort();
    return;
  }
  Ask(proto, /*was_accepted=*/true, value);
}

void AskPublished(const std::string& text, std::string_view value) {
  struct Silent : google::protobuf::io::ErrorCollector {
    void AddError(int, int, const std::string&) override {}
  } silent;
  signalbox::v1::Condition proto;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&silent);
  parser.SetRecursionLimit(2 * kDepthMax);
  if (parser.ParseFromString(text, &proto)) Ask(proto, /*was_accepted=*/false, value);
}

}  // namespace

// What stands before the first NUL is the condition, what stands behind it the value.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::string text(all.substr(0, all.find('\0')));
  const std::string_view value = text.size() < size ? all.substr(text.size() + 1) : std::string_view();
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    AskPublished(text, value);
  } else {
    AskWritten(json, value);
  }
  return 0;
}
