#include "host/request_parameters.h"

#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace signalbox::host {
namespace {

std::string_view Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// The end of the dictionary member that starts at the beginning of `text`: the first comma outside quotes.
size_t MemberEnd(std::string_view text) {
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (text[i] == ',' && !quoted) {
      return i;
    }
  }
  return text.size();
}

// A token, or the inside of a quoted string; parameters (";q=1") are dropped.
std::string Unquoted(std::string_view value) {
  if (value.empty() || value.front() != '"') return std::string(Trimmed(value.substr(0, value.find(';'))));
  std::string text;
  for (size_t i = 1; i < value.size() && value[i] != '"'; ++i) {
    if (value[i] == '\\' && i + 1 < value.size()) ++i;
    text.push_back(value[i]);
  }
  return text;
}

}  // namespace

std::optional<std::string> ContextValue(std::string_view dictionary, std::string_view key) {
  while (!dictionary.empty()) {
    const size_t end = MemberEnd(dictionary);
    std::string_view member = Trimmed(dictionary.substr(0, end));
    dictionary.remove_prefix(end < dictionary.size() ? end + 1 : end);
    const size_t equals = member.find('=');
    if (equals != std::string_view::npos && member.substr(0, equals) == key) return Unquoted(member.substr(equals + 1));
  }
  return std::nullopt;
}

std::optional<std::string> TextParameter(const inference::ModelInferRequest& request, const std::string& name) {
  auto found = request.parameters().find(name);
  if (found == request.parameters().end()) return std::nullopt;
  const inference::InferParameter& parameter = found->second;
  switch (parameter.parameter_choice_case()) {
    case inference::InferParameter::kBoolParam:
      return parameter.bool_param() ? "true" : "false";
    case inference::InferParameter::kInt64Param:
      return std::to_string(parameter.int64_param());
    case inference::InferParameter::kUint64Param:
      return std::to_string(parameter.uint64_param());
    case inference::InferParameter::kDoubleParam:
      return fmt::format("{}", parameter.double_param());
    case inference::InferParameter::kStringParam:
      if (parameter.string_param().empty()) return std::nullopt;
      return parameter.string_param();
    case inference::InferParameter::PARAMETER_CHOICE_NOT_SET:
      return std::nullopt;
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<double>> NumberParameter(const inference::ModelInferRequest& request,
                                                      const std::string& name, double low, double high) {
  std::optional<std::string> text = TextParameter(request, name);
  if (!text) return std::nullopt;
  double value = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  // The comparison is written so that NaN fails it.
  if (error != std::errc() || end != text->data() + text->size() || !(value >= low && value <= high)) {
    return absl::InvalidArgumentError(fmt::format("parameter \"{}\": \"{}\", expected a number from {} to {}", name,
                                                  text->substr(0, 100), low, high));
  }
  return std::optional<double>(value);
}

}  // namespace signalbox::host
