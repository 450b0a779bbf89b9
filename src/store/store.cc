#include "store/store.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/sqlite_store.h"

namespace signalbox::store {
namespace {

constexpr std::string_view kRulesPrefix = "rules/";
constexpr std::string_view kTrafficPrefix = "traffic/";
constexpr size_t kNamespaceCharactersMax = 63;

std::optional<std::string_view> WithoutPrefix(std::string_view topic, std::string_view prefix) {
  if (!topic.starts_with(prefix)) return std::nullopt;
  return topic.substr(prefix.size());
}

}  // namespace

std::string RulesTopic(std::string_view namespace_name) { return fmt::format("{}{}", kRulesPrefix, namespace_name); }

std::string TrafficTopic(std::string_view namespace_name) {
  return fmt::format("{}{}", kTrafficPrefix, namespace_name);
}

std::optional<std::string_view> NamespaceOfTopic(std::string_view topic) { return WithoutPrefix(topic, kRulesPrefix); }

std::optional<std::string_view> NamespaceOfTrafficTopic(std::string_view topic) {
  return WithoutPrefix(topic, kTrafficPrefix);
}

absl::Status CheckNamespace(std::string_view name) {
  auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
  auto is_allowed = [&](char c) { return is_lower(c) || (c >= '0' && c <= '9') || c == '-'; };
  if (!name.empty() && name.size() <= kNamespaceCharactersMax && is_lower(name[0]) &&
      std::all_of(name.begin(), name.end(), is_allowed)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      fmt::format("namespace '{}': expected 1 to {} lower-case letters, digits and '-', starting with a letter", name,
                  kNamespaceCharactersMax));
}

absl::StatusOr<std::unique_ptr<Store>> OpenStore(std::string_view spec, OpenMode mode) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (spec.starts_with(kSqlite)) {
    SqliteOptions options;
    options.path = spec.substr(kSqlite.size());
    options.create_if_missing = mode == OpenMode::kCreateIfMissing;
    return OpenSqliteStore(std::move(options));
  }
  return absl::InvalidArgumentError(
      fmt::format("store '{}': expected sqlite:PATH, for example sqlite:/var/lib/signalbox/store.db", spec));
}

}  // namespace signalbox::store
