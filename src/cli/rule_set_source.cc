#include "cli/rule_set_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>

#include "base/canonical_json.h"
#include "base/rfc3339.h"
#include "base/status.h"
#include "base/unix_time.h"
#include "cli/commands.h"
#include "cli/published_rules.h"
#include "cli/rule_folder.h"
#include "rules/rules.h"
#include "store/store.h"

namespace signalbox::cli {
namespace {

constexpr std::string_view kNewest = "newest";

struct VersionName {
  std::optional<int64_t> number;  // unset: the newest
};

// nullopt: it names files.
std::optional<VersionName> ParseVersionName(std::string_view name) {
  if (name == kNewest) return VersionName{};
  if (!name.starts_with('v')) return std::nullopt;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(name.data() + 1, name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size() || number < 1) return std::nullopt;
  return VersionName{number};
}

// "a.js,b.js" are two.
std::vector<std::string> PathsIn(std::string_view name) {
  std::vector<std::string> paths;
  while (!name.empty()) {
    const size_t comma = std::min(name.find(','), name.size());
    paths.emplace_back(name.substr(0, comma));
    name.remove_prefix(std::min(comma + 1, name.size()));
  }
  return paths;
}

absl::StatusOr<v1::RuleSet> ReadFiles(const RuleSetSources& sources, const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<std::string> paths, RuleFilesOf(PathsIn(name)));
  const absl::StatusOr<std::vector<rules::SourceFile>> files = rules::ReadSourceFiles(paths);
  if (absl::IsNotFound(files.status()) && ParseVersionName(name).has_value())
    return absl::InvalidArgumentError(
        fmt::format("{}: a published version needs --store {}", name, store::kStoreSpecs));
  RETURN_IF_ERROR(files.status());
  return rules::Evaluate(sources.namespace_name, *files);
}

absl::Status ReadPublished(store::Store& store, const RuleSetSources& sources, const VersionName& version,
                           v1::PublishedRuleSet& result) {
  const auto stored = store.Get(store::RulesTopic(sources.namespace_name), version.number);
  // A version that is not there is a mistake of who asks for it.
  if (absl::IsNotFound(stored.status())) return absl::InvalidArgumentError(stored.status().message());
  RETURN_IF_ERROR(stored.status());
  result.set_version(stored->info.version);
  return ParseJson(stored->content, *result.mutable_rule_set());
}

absl::Status ReadTrafficSettings(store::Store& store, const RuleSetSources& sources, v1::PublishedRuleSet& result) {
  const auto stored = store.Get(store::TrafficTopic(sources.namespace_name), std::nullopt);
  if (absl::IsNotFound(stored.status())) return absl::OkStatus();
  RETURN_IF_ERROR(stored.status());
  return ParseJson(stored->content, *result.mutable_traffic());
}

}  // namespace

void AddOptions(CLI::App& command, RuleSetSources& sources) {
  command.add_option("--namespace", sources.namespace_name, "Namespace of the rules")->capture_default_str();
  command.add_option("--store", sources.store, fmt::format("Where versions are published: {}", store::kStoreSpecs));
}

absl::StatusOr<v1::PublishedRuleSet> ReadRuleSet(const RuleSetSources& sources, const std::string& name) {
  v1::PublishedRuleSet result;
  RETURN_IF_ERROR(store::CheckNamespace(sources.namespace_name));
  std::unique_ptr<store::Store> store;
  if (!sources.store.empty()) {
    ASSIGN_OR_RETURN(store, store::OpenStore(sources.store, store::OpenMode::kExisting));
    RETURN_IF_ERROR(ReadTrafficSettings(*store, sources, result));
  }
  const std::optional<VersionName> version = ParseVersionName(name);
  if (store != nullptr && version.has_value()) {
    RETURN_IF_ERROR(ReadPublished(*store, sources, *version, result));
  } else {
    ASSIGN_OR_RETURN(*result.mutable_rule_set(), ReadFiles(sources, name));
  }
  return result;
}

absl::StatusOr<std::shared_ptr<const decide::Snapshot>> Compile(v1::PublishedRuleSet rule_set) {
  v1::Snapshot proto;
  *proto.add_rule_sets() = std::move(rule_set);
  return decide::Snapshot::Compile(std::move(proto));
}

int FailToCompare(const absl::Status& status, bool json) {
  if (json) {
    fmt::print("{}\n", Dump(ErrorJson(status)));
  } else {
    fmt::print(stderr, "{}\n", Message(status));
  }
  return ExitCodeOf(status);
}

absl::StatusOr<int64_t> ReadTime(const std::string& at) {
  if (at.empty()) return NowUnixMs();
  const std::optional<int64_t> time = ParseRfc3339(at);
  if (time.has_value()) return *time;
  return absl::InvalidArgumentError(fmt::format("--at {}: expected a time such as 2026-11-01T00:00:00Z", at));
}

}  // namespace signalbox::cli
