#include "cli/context_json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/rfc3339.h"
#include "base/status.h"
#include "decide/snapshot.h"
#include "telemetry/utf8.h"

namespace signalbox::cli {
namespace {

// The object, its attributes, and some to say what is wrong with a value that is deeper.
constexpr size_t kDepthMax = 16;
// Of what the client wrote, in a message.
constexpr size_t kShownBytesMax = 80;

enum class Field : size_t {
  kObjective,
  kUser,
  kCountry,
  kDevice,
  kLocale,
  kSurface,
  kTenant,
  kAppVersion,
  kTrafficType,
  kSegments,
  kAttributes,
  kNow,
  kRandom,
  kOverride,
  kRemoteCells,
  // Of the log alone.
  kModel,
  kReason,
  kStaticAnswer,
  kTruncated,
  kCount
};
constexpr size_t kFieldCount = static_cast<size_t>(Field::kCount);

struct KnownField {
  std::string_view name;
  Field field;
  // Where the value is text that is taken as it is.
  std::string_view decide::RequestContext::*text;
};
constexpr KnownField kContextFields[] = {{"objective", Field::kObjective, &decide::RequestContext::objective},
                                         {"user", Field::kUser, &decide::RequestContext::user},
                                         {"country", Field::kCountry, &decide::RequestContext::country},
                                         {"device", Field::kDevice, &decide::RequestContext::device},
                                         {"locale", Field::kLocale, &decide::RequestContext::locale},
                                         {"surface", Field::kSurface, &decide::RequestContext::surface},
                                         {"tenant", Field::kTenant, &decide::RequestContext::tenant},
                                         {"attributes", Field::kAttributes, nullptr},
                                         {"app_version", Field::kAppVersion, &decide::RequestContext::app_version},
                                         {"segments", Field::kSegments, nullptr},
                                         {"traffic_type", Field::kTrafficType, nullptr},
                                         {"now", Field::kNow, nullptr},
                                         {"random", Field::kRandom, nullptr},
                                         {"override", Field::kOverride, nullptr},
                                         {"remote_cells", Field::kRemoteCells, nullptr}};
// Those of a context that the log calls otherwise, and what only it has.
constexpr KnownField kLogFields[] = {{"time", Field::kNow, nullptr},
                                     {"decision", Field::kRandom, nullptr},
                                     {"model", Field::kModel, nullptr},
                                     {"reason", Field::kReason, nullptr},
                                     {"static_answer", Field::kStaticAnswer, nullptr},
                                     {"truncated", Field::kTruncated, nullptr}};

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
  for (const KnownField& field : kContextFields) known.push_back(field.name);
  return Wrong(fmt::format("{}: unknown field, expected one of {}", Shown(name), fmt::join(known, ", ")));
}

template <size_t kSize>
const KnownField* FindField(const KnownField (&fields)[kSize], std::string_view name) {
  const auto* field =
      std::find_if(std::begin(fields), std::end(fields), [&](const KnownField& each) { return each.name == name; });
  return field == std::end(fields) ? nullptr : field;
}

}  // namespace

struct ContextReader::Parser {
  absl::Status Read(std::string_view text, bool is_log);
  absl::Status ReadField(std::string_view name, const simdjson::dom::element& value, bool is_log);
  absl::Status ReadValue(const KnownField& field, const simdjson::dom::element& value);
  absl::Status ReadTrafficType(std::string_view name, const simdjson::dom::element& value);
  absl::Status ReadTime(std::string_view name, const simdjson::dom::element& value);
  absl::Status ReadRandom(std::string_view name, const simdjson::dom::element& value);
  absl::Status ReadSegments(const simdjson::dom::element& value);
  absl::Status ReadAttributes(const simdjson::dom::element& value);
  absl::Status ReadOverride(const simdjson::dom::element& value);
  absl::Status ReadCells(std::string_view name, const simdjson::dom::element& value,
                         std::array<decide::CellName, kCellsMax>& cells, std::span<const decide::CellName>& result);

  simdjson::dom::parser json;
  LoggedRequest request;
  std::array<decide::Attribute, kAttributesMax> attributes;
  std::array<decide::CellName, kCellsMax> override_cells;
  std::array<decide::CellName, kCellsMax> remote_cells;
  std::array<char, kSegmentBytesMax> segments;
  std::bitset<kFieldCount> seen;
};

ContextReader::ContextReader() : parser_(std::make_unique<Parser>()) {
  // All that will ever be needed, so that nothing grows later. Fails only where memory has run out.
  if (parser_->json.allocate(kBytesMax, kDepthMax) != simdjson::SUCCESS) std::abort();
}

ContextReader::~ContextReader() = default;

absl::StatusOr<decide::RequestContext> ContextReader::Read(std::string_view json) {
  RETURN_IF_ERROR(parser_->Read(json, /*is_log=*/false));
  return parser_->request.context;
}

absl::StatusOr<LoggedRequest> ContextReader::ReadLogged(std::string_view json) {
  RETURN_IF_ERROR(parser_->Read(json, /*is_log=*/true));
  return parser_->request;
}

absl::Status ContextReader::Parser::Read(std::string_view text, bool is_log) {
  if (text.size() > kBytesMax) return NotJson(simdjson::CAPACITY);
  simdjson::dom::element document;
  const auto error = json.parse(text.data(), text.size(), /*realloc_if_needed=*/false).get(document);
  if (error != simdjson::SUCCESS) return NotJson(error);
  simdjson::dom::object object;
  if (document.get_object().get(object) != simdjson::SUCCESS)
    return Wrong(fmt::format("{}, expected a JSON object", KindOf(document)));
  request = {};
  seen.reset();
  for (const auto [key, value] : object) RETURN_IF_ERROR(ReadField(key, value, is_log));
  if (request.context.objective.empty()) return Wrong("objective: missing, expected the name of an Objective");
  return absl::OkStatus();
}

absl::Status ContextReader::Parser::ReadField(std::string_view name, const simdjson::dom::element& value, bool is_log) {
  const KnownField* field = is_log ? FindField(kLogFields, name) : nullptr;
  if (field == nullptr) field = FindField(kContextFields, name);
  if (field == nullptr) return is_log ? absl::OkStatus() : UnknownField(name);
  const auto index = static_cast<size_t>(field->field);
  if (seen.test(index)) return Wrong(fmt::format("{}: stands twice, expected it once", name));
  seen.set(index);
  return ReadValue(*field, value);
}

absl::Status ContextReader::Parser::ReadValue(const KnownField& field, const simdjson::dom::element& value) {
  if (field.text != nullptr) return ReadText(field.name, value, request.context.*(field.text));
  switch (field.field) {
    case Field::kTrafficType:
      return ReadTrafficType(field.name, value);
    case Field::kSegments:
      return ReadSegments(value);
    case Field::kAttributes:
      return ReadAttributes(value);
    case Field::kNow:
      return ReadTime(field.name, value);
    case Field::kRandom:
      return ReadRandom(field.name, value);
    case Field::kOverride:
      return ReadOverride(value);
    case Field::kRemoteCells:
      return ReadCells(field.name, value, remote_cells, request.context.remote_cells);
    case Field::kModel:
      return ReadText(field.name, value, request.model);
    case Field::kReason: {
      std::string_view reason;
      const absl::Status status = ReadText(field.name, value, reason);
      request.is_fallback = reason == decide::Name(decide::Reason::kFallback);
      return status;
    }
    case Field::kStaticAnswer:
      request.is_static_answer = value.is_bool() && value.get_bool().value_unsafe();
      return absl::OkStatus();
    case Field::kTruncated:
      request.is_truncated = value.is_bool() && value.get_bool().value_unsafe();
      return absl::OkStatus();
    default:
      return absl::OkStatus();  // never: the others are text
  }
}

absl::Status ContextReader::Parser::ReadTrafficType(std::string_view name, const simdjson::dom::element& value) {
  std::string_view text;
  RETURN_IF_ERROR(ReadText(name, value, text));
  const std::optional<decide::TrafficType> type = decide::ParseTrafficType(text);
  if (!type.has_value())
    return Wrong(fmt::format("{}: {}, expected live, synthetic, replay or shadow", name, Shown(text)));
  request.context.traffic_type = *type;
  return absl::OkStatus();
}

absl::Status ContextReader::Parser::ReadTime(std::string_view name, const simdjson::dom::element& value) {
  std::string_view text;
  RETURN_IF_ERROR(ReadText(name, value, text));
  const std::optional<int64_t> time = ParseRfc3339(text);
  if (!time.has_value())
    return Wrong(fmt::format("{}: {}, expected a time such as \"2026-11-01T00:00:00Z\"", name, Shown(text)));
  request.context.now_unix_ms = *time;
  return absl::OkStatus();
}

absl::Status ContextReader::Parser::ReadRandom(std::string_view name, const simdjson::dom::element& value) {
  std::string_view text;
  RETURN_IF_ERROR(ReadText(name, value, text));
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), request.context.random, 16);
  if (text.size() != 16 || error != std::errc() || end != text.data() + text.size())
    return Wrong(fmt::format("{}: {}, expected a decision id: 16 hexadecimal digits", name, Shown(text)));
  return absl::OkStatus();
}

absl::Status ContextReader::Parser::ReadSegments(const simdjson::dom::element& value) {
  simdjson::dom::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS)
    return Wrong(fmt::format("segments: {}, expected an array of strings", KindOf(value)));
  size_t bytes = 0;
  for (const simdjson::dom::element item : array) {
    std::string_view segment;
    if (item.get_string().get(segment) != simdjson::SUCCESS)
      return Wrong(fmt::format("segments: {}, expected strings", KindOf(item)));
    if (segment.empty() || segment.find(' ') != std::string_view::npos)
      return Wrong(fmt::format("segments: {}, expected names without spaces", Shown(segment)));
    const size_t space = bytes == 0 ? 0 : 1;
    if (segment.size() + space > segments.size() - bytes)
      return Wrong(fmt::format("segments: expected at most {} bytes together", kSegmentBytesMax));
    if (space != 0) segments[bytes++] = ' ';
    bytes += segment.copy(&segments[bytes], segment.size());
  }
  request.context.segments = std::string_view(segments.data(), bytes);
  return absl::OkStatus();
}

absl::Status ContextReader::Parser::ReadOverride(const simdjson::dom::element& value) {
  simdjson::dom::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS)
    return Wrong(fmt::format("override: {}, expected an object", KindOf(value)));
  for (const auto [key, each] : object) {
    if (key == "model") {
      RETURN_IF_ERROR(ReadText("override: model", each, request.context.override_model));
    } else if (key == "cells") {
      RETURN_IF_ERROR(ReadCells("override: cells", each, override_cells, request.context.override_cells));
    } else {
      return Wrong(fmt::format("override: {}: unknown field, expected model or cells", Shown(key)));
    }
  }
  return absl::OkStatus();
}

absl::Status ContextReader::Parser::ReadCells(std::string_view name, const simdjson::dom::element& value,
                                              std::array<decide::CellName, kCellsMax>& cells,
                                              std::span<const decide::CellName>& result) {
  simdjson::dom::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS)
    return Wrong(fmt::format("{}: {}, expected an object of experiments and cells", name, KindOf(value)));
  size_t count = 0;
  for (const auto [experiment, cell] : object) {
    if (count == kCellsMax) return Wrong(fmt::format("{}: expected at most {}", name, kCellsMax));
    cells[count].experiment = experiment;
    if (cell.get_string().get(cells[count].cell) != simdjson::SUCCESS)
      return Wrong(fmt::format("{}: {}: {}, expected a string", name, Shown(experiment), KindOf(cell)));
    ++count;
  }
  result = std::span(cells.data(), count);
  return absl::OkStatus();
}

absl::Status ContextReader::Parser::ReadAttributes(const simdjson::dom::element& value) {
  simdjson::dom::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS)
    return Wrong(fmt::format("attributes: {}, expected an object", KindOf(value)));
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
  request.context.attributes = std::span(attributes.data(), count);
  return absl::OkStatus();
}

}  // namespace signalbox::cli
