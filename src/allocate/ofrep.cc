#include "allocate/ofrep.h"

#include <fmt/format.h>
#include <simdjson.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/rfc3339.h"

namespace signalbox::allocate {
namespace {

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.' || c == '~';
}

// The value of a flag without variants, as the name of a cell; empty when it cannot be one.
std::string CellOfValue(const simdjson::dom::element& value) {
  switch (value.type()) {
    case simdjson::dom::element_type::STRING:
      return std::string(value.get_string().value_unsafe());
    case simdjson::dom::element_type::INT64:
      return fmt::format("{}", value.get_int64().value_unsafe());
    case simdjson::dom::element_type::UINT64:
      return fmt::format("{}", value.get_uint64().value_unsafe());
    case simdjson::dom::element_type::DOUBLE:
      return fmt::format("{}", value.get_double().value_unsafe());  // 2.0 is "2"
    default:
      return "";
  }
}

Answer ReadSuccess(std::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  // Deeper than any answer; what nests deeper is there to do harm.
  constexpr size_t kDepthMax = 64;
  if (parser.allocate(body.size(), kDepthMax) != simdjson::SUCCESS ||
      parser.parse(body.data(), body.size()).get(object) != simdjson::SUCCESS) {
    return {.result = Result::kBadAnswer};
  }
  if (simdjson::dom::element error; object["errorCode"].get(error) == simdjson::SUCCESS) {
    return {.result = Result::kServerError};
  }
  std::string cell;
  simdjson::dom::element element;
  if (object["variant"].get(element) == simdjson::SUCCESS && !element.is_null()) {
    std::string_view variant;
    if (element.get(variant) != simdjson::SUCCESS) return {.result = Result::kBadAnswer};
    cell = variant;
  }
  if (cell.empty() && object["value"].get(element) == simdjson::SUCCESS) cell = CellOfValue(element);
  if (cell.empty()) return {.result = Result::kNoCell};
  if (cell.size() > kCellBytesMax) return {.result = Result::kBadAnswer};
  return {.result = Result::kCell, .cell = std::move(cell)};
}

}  // namespace

std::string OfrepPath(std::string_view flag) {
  std::string path = "/ofrep/v1/evaluate/flags/";
  for (const char c : flag) {
    if (IsUnreserved(c)) {
      path += c;
    } else {
      path += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return path;
}

std::string OfrepBody(const Inquiry& inquiry) {
  nlohmann::json context = nlohmann::json::object();
  for (const auto& [name, value] : inquiry.context) {
    context[name] = name == kSegments ? nlohmann::json(WordsOf(value)) : nlohmann::json(value);
  }
  context["targetingKey"] = inquiry.unit;
  return nlohmann::json{{"context", std::move(context)}}.dump();
}

Answer ReadOfrepAnswer(int http_status, std::string_view body, std::optional<std::chrono::milliseconds> retry_after) {
  switch (http_status) {
    case 200:
      return ReadSuccess(body);
    case 400:
      return {.result = Result::kRefused};
    case 401:
    case 403:
      return {.result = Result::kUnauthorised};
    case 404:
      return {.result = Result::kNotFound};
    case 429:
      return {.result = Result::kRateLimited, .retry_after = retry_after};
    default:
      if (http_status >= 300 && http_status < 400) return {.result = Result::kRedirect};
      return {.result = http_status >= 400 ? Result::kServerError : Result::kBadAnswer};
  }
}

std::optional<std::chrono::milliseconds> ParseRetryAfter(std::string_view text, int64_t now_unix_ms) {
  constexpr size_t kBytesMax = 40;
  const std::string copy(text);
  if (copy.empty() || copy.size() > kBytesMax) return std::nullopt;
  constexpr size_t kSecondsDigitsMax = 9;
  if (copy.size() <= kSecondsDigitsMax && copy.find_first_not_of("0123456789") == std::string::npos) {
    return std::chrono::seconds(std::atoll(copy.c_str()));
  }
  std::optional<int64_t> at_ms = ParseRfc3339(copy);
  tm parts{};
  const char* end = strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end != nullptr && *end == '\0') at_ms = static_cast<int64_t>(timegm(&parts)) * 1000;
  if (!at_ms) return std::nullopt;
  return std::chrono::milliseconds(std::max<int64_t>(0, *at_ms - now_unix_ms));
}

}  // namespace signalbox::allocate
