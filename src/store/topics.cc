// The names of topics.
#include <fmt/format.h>

#include <algorithm>

#include "base/status.h"
#include "store/store.h"

namespace signalbox::store {
namespace {

constexpr std::string_view kRulesPrefix = "rules/";
constexpr std::string_view kTrafficPrefix = "traffic/";
constexpr std::string_view kReleasePrefix = "release/";
constexpr std::string_view kActivePrefix = "active/";
constexpr size_t kNamespaceCharactersMax = 63;
constexpr size_t kLabelCharactersMax = 63;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::optional<std::string_view> WithoutPrefix(std::string_view topic, std::string_view prefix) {
  if (!topic.starts_with(prefix)) return std::nullopt;
  return topic.substr(prefix.size());
}

bool IsLabel(std::string_view text) {
  return !text.empty() && text.size() <= kLabelCharactersMax && std::all_of(text.begin(), text.end(), [](char c) {
    return IsLower(c) || IsDigit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
  });
}

}  // namespace

std::string RulesTopic(std::string_view namespace_name) { return fmt::format("{}{}", kRulesPrefix, namespace_name); }

std::string TrafficTopic(std::string_view namespace_name) {
  return fmt::format("{}{}", kTrafficPrefix, namespace_name);
}

std::string ReleaseTopic(std::string_view namespace_name) {
  return fmt::format("{}{}", kReleasePrefix, namespace_name);
}

std::string ActiveTopic(std::string_view namespace_name, std::string_view scope) {
  return fmt::format("{}{}{}{}", kActivePrefix, namespace_name, scope.empty() ? "" : "/", scope);
}

std::optional<std::string_view> NamespaceOfTopic(std::string_view topic) { return WithoutPrefix(topic, kRulesPrefix); }

std::optional<std::string_view> NamespaceOfTrafficTopic(std::string_view topic) {
  return WithoutPrefix(topic, kTrafficPrefix);
}

std::optional<std::string_view> NamespaceOfReleaseTopic(std::string_view topic) {
  return WithoutPrefix(topic, kReleasePrefix);
}

std::optional<ActiveTopicName> NameOfActiveTopic(std::string_view topic) {
  const std::optional<std::string_view> name = WithoutPrefix(topic, kActivePrefix);
  if (!name) return std::nullopt;
  const size_t slash = name->find('/');
  if (slash == std::string_view::npos) return ActiveTopicName{*name, ""};
  const std::string_view scope = name->substr(slash + 1);
  // Each topic has one name: "active/home/" is none.
  if (scope.empty()) return std::nullopt;
  return ActiveTopicName{name->substr(0, slash), scope};
}

absl::Status CheckNamespace(std::string_view name) {
  auto is_allowed = [](char c) { return IsLower(c) || IsDigit(c) || c == '-'; };
  if (!name.empty() && name.size() <= kNamespaceCharactersMax && IsLower(name[0]) &&
      std::all_of(name.begin(), name.end(), is_allowed)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      fmt::format("namespace '{}': expected 1 to {} lower-case letters, digits and '-', starting with a letter", name,
                  kNamespaceCharactersMax));
}

absl::Status CheckScope(std::string_view scope) {
  const size_t equals = scope.find('=');
  if (equals != std::string_view::npos && IsLabel(scope.substr(0, equals)) && IsLabel(scope.substr(equals + 1))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      fmt::format("scope '{}': expected KEY=VALUE, both 1 to {} letters, digits, '-', '_' and '.', for example "
                  "region=eu",
                  scope, kLabelCharactersMax));
}

}  // namespace signalbox::store
