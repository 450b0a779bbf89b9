#include "cli/context_json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/status.h"
#include "telemetry/utf8.h"

namespace signalbox::cli {
namespace {

// The object, its attributes, and some to say what is wrong with a value that is deeper.
constexpr size_t kDepthMax = 16;
// Of what the client wrote, in a message.
constexpr size_t kShownBytesMax = 80;

struct TextField {
  std::string_view name;
  std::string_view decide::RequestContext::*member;
};
constexpr TextField kTextFields[] = {
    {"objective", &decide::RequestContext::objective}, {"user", &decide::RequestContext::user},
    {"country", &decide::RequestContext::country},     {"device", &decide::RequestContext::device},
    {"locale", &decide::RequestContext::locale},       {"surface", &decide::RequestContext::surface},
    {"tenant", &decide::RequestContext::tenant}};
constexpr std::string_view kAttributesField = "attributes";

std::string Shown(std::string_view text) {
  const std::string_view prefix = telemetry::Utf8Prefix(text, kShownBytesMax);
  return fmt::format("\"{}{}\"", prefix, prefix.size() < text.size() ? "..." : "");
}

std::string_view KindOf(const simdjson::dom::element& value) {
  switch (value.type()) {
    case simdjson::dom::element_type::ARRAY:
      return "an array";
    case simdjson::dom::element_type::OBJECT:
      return "an object";
    case simdjson::dom::element_type::STRING:
      return "a string";
    case simdjson::dom::element_type::BOOL:
      return "true or false";
    case simdjson::dom::element_type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

absl::Status Wrong(const std::string& message) { return absl::InvalidArgumentError(message); }

absl::Status NotJson(simdjson::error_code error) {
  switch (error) {
    case simdjson::EMPTY:
      return Wrong("an empty line, expected a JSON object");
    case simdjson::UTF8_ERROR:
      return Wrong("not UTF-8");
    case simdjson::DEPTH_ERROR:
      return Wrong(fmt::format("not a request context: nested deeper than {} levels, or not closed", kDepthMax));
    case simdjson::CAPACITY:
      return Wrong(fmt::format("more than {} bytes, expected at most so many", ContextReader::kBytesMax));
    case simdjson::UNCLOSED_STRING:
      return Wrong("not JSON: a string is not closed");
    case simdjson::UNESCAPED_CHARS:
      return Wrong("not JSON: a control character inside a string, expected it as an escape such as \\n");
    case simdjson::STRING_ERROR:
      return Wrong("not JSON: a string has an escape that does not exist");
    default:
      return Wrong("not JSON, expected one whole object a line");
  }
}

absl::Status ReadText(std::string_view name, const simdjson::dom::element& value, std::string_view& text) {
  if (value.get_string().get(text) == simdjson::SUCCESS) return absl::OkStatus();
  return Wrong(fmt::format("{}: {}, expected a string{}", name, KindOf(value),
                           value.is_null() ? "; leave the field out where there is no value" : ""));
}

absl::Status UnknownField(std::string_view name) {
  std::vector<std::string_view> known;
  for (const TextField& field : kTextFields) known.push_back(field.name);
  return Wrong(
      fmt::format("{}: unknown field, expected one of {}, {}", Shown(name), fmt::join(known, ", "), kAttributesField));
}

}  // namespace

struct ContextReader::Parser {
  absl::StatusOr<decide::RequestContext> Read(std::string_view text);
  absl::Status ReadField(std::string_view name, const simdjson::dom::element& value, decide::RequestContext& context);
  absl::Status ReadAttributes(const simdjson::dom::element& value, decide::RequestContext& context);

  simdjson::dom::parser json;
  std::array<decide::Attribute, kAttributesMax> attributes;
  // One bit for each of kTextFields, and one for the attributes.
  std::bitset<std::size(kTextFields) + 1> seen;
};

ContextReader::ContextReader() : parser_(std::make_unique<Parser>()) {
  // All that will ever be needed, so that nothing grows later. Fails only where memory has run out.
  if (parser_->json.allocate(kBytesMax, kDepthMax) != simdjson::SUCCESS) std::abort();
}

ContextReader::~ContextReader() = default;

absl::StatusOr<decide::RequestContext> ContextReader::Read(std::string_view json) { return parser_->Read(json); }

absl::StatusOr<decide::RequestContext> ContextReader::Parser::Read(std::string_view text) {
  if (text.size() > kBytesMax) return NotJson(simdjson::CAPACITY);
  simdjson::dom::element document;
  const auto error = json.parse(text.data(), text.size(), /*realloc_if_needed=*/false).get(document);
  if (error != simdjson::SUCCESS) return NotJson(error);
  simdjson::dom::object object;
  if (document.get_object().get(object) != simdjson::SUCCESS)
    return Wrong(fmt::format("{}, expected a JSON object", KindOf(document)));
  decide::RequestContext context;
  seen.reset();
  for (const auto [key, value] : object) RETURN_IF_ERROR(ReadField(key, value, context));
  if (context.objective.empty()) return Wrong("objective: missing, expected the name of an Objective");
  return context;
}

absl::Status ContextReader::Parser::ReadField(std::string_view name, const simdjson::dom::element& value,
                                              decide::RequestContext& context) {
  const auto* field = std::find_if(std::begin(kTextFields), std::end(kTextFields),
                                   [&](const TextField& each) { return each.name == name; });
  const bool is_text = field != std::end(kTextFields);
  if (!is_text && name != kAttributesField) return UnknownField(name);
  const auto index = static_cast<size_t>(field - std::begin(kTextFields));
  if (seen.test(index)) return Wrong(fmt::format("{}: stands twice, expected it once", name));
  seen.set(index);
  return is_text ? ReadText(name, value, context.*(field->member)) : ReadAttributes(value, context);
}

absl::Status ContextReader::Parser::ReadAttributes(const simdjson::dom::element& value,
                                                   decide::RequestContext& context) {
  simdjson::dom::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS)
    return Wrong(fmt::format("{}: {}, expected an object", kAttributesField, KindOf(value)));
  size_t count = 0;
  for (const auto [key, text] : object) {
    if (count == kAttributesMax) return Wrong(fmt::format("attributes: expected at most {}", kAttributesMax));
    const auto begin = attributes.begin();
    const auto end = begin + static_cast<ptrdiff_t>(count);
    const std::string_view name = key;
    if (std::any_of(begin, end, [&](const decide::Attribute& each) { return each.key == name; }))
      return Wrong(fmt::format("attributes: {} stands twice, expected it once", Shown(name)));
    decide::Attribute& attribute = attributes[count++];
    attribute.key = name;
    if (text.get_string().get(attribute.value) != simdjson::SUCCESS)
      return Wrong(fmt::format("attributes: {}: {}, expected a string", Shown(name), KindOf(text)));
  }
  context.attributes = std::span(attributes.data(), count);
  return absl::OkStatus();
}

}  // namespace signalbox::cli
