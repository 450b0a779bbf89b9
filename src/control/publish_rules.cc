#include "control/publish_rules.h"

#include <fmt/format.h>

#include <set>
#include <string_view>
#include <utility>

#include "base/canonical_json.h"
#include "base/status.h"
#include "control/composition.h"
#include "decide/content_hash.h"

namespace signalbox::control {
namespace {

// Each attempt is lost only when somebody else has published in the milliseconds of its check.
constexpr int kAttemptsMax = 20;

std::set<std::string> ModelsNamedBy(const v1::RuleSet& rules) {
  std::set<std::string> models;
  auto add = [&](const v1::ModelRef& ref) {
    models.insert(ref.version().empty() ? ref.name() : fmt::format("{}@{}", ref.name(), ref.version()));
  };
  for (const v1::Objective& objective : rules.objectives()) {
    add(objective.default_model());
    for (const v1::ModelRef& fallback : objective.fallback_models()) add(fallback);
  }
  for (const v1::Experiment& experiment : rules.experiments()) {
    for (const v1::Cell& cell : experiment.cells()) {
      if (cell.has_model()) add(cell.model());
    }
  }
  for (const v1::TrafficShift& shift : rules.traffic_shifts()) add(shift.to());
  return models;
}

std::vector<std::string> Warnings(const v1::RuleSet& rules, const decide::Snapshot& snapshot) {
  std::vector<std::string> warnings;
  // Without any placement there is no control plane yet that could have published one.
  if (snapshot.shards().empty()) return warnings;
  const std::set<std::string> named = ModelsNamedBy(rules);
  for (const auto& model : snapshot.models()) {
    if (!model->shards.empty() || !named.contains(model->id)) continue;
    warnings.push_back(fmt::format(
        "model {} is placed nowhere: its requests go to the fallback models, or fail where there are none; add it to "
        "the placement file",
        model->id));
  }
  return warnings;
}

// Rules as they are in the store.
struct StoredRules {
  std::string content;
  v1::RuleSet rules;
};

// The newest of a topic, or of an older version. nullopt when they cannot be read, which may keep nobody from
// publishing.
std::optional<StoredRules> ReadRules(store::Store& store, std::string_view topic, std::optional<int64_t> version) {
  absl::StatusOr<store::Version> stored = store.Get(topic, version);
  StoredRules result;
  if (!stored.ok() || !ParseJson(stored->content, result.rules).ok()) return std::nullopt;
  result.content = std::move(stored->content);
  return result;
}

bool DecideTheSame(const v1::RuleSet& a, const v1::RuleSet& b) {
  const absl::StatusOr<std::string> hash_a = decide::RuleSetHash(a);
  const absl::StatusOr<std::string> hash_b = decide::RuleSetHash(b);
  return hash_a.ok() && hash_b.ok() && *hash_a == *hash_b;
}

// Whether it is worth trying again: the topic is as expected, so that it was another one that was published to.
bool HoldsStill(store::Store& store, std::string_view topic, const std::optional<int64_t>& expected_version) {
  if (!expected_version) return true;
  absl::StatusOr<store::Version> newest = store.Get(topic, std::nullopt);
  return newest.ok() ? newest->info.version == *expected_version : *expected_version == 0;
}

// Checks `content` against everything as it is at one sequence, and has `write` write it at the same: `content`, or
// what the newest version holds already when that decides the same.
template <typename Write>
absl::StatusOr<PublishedRules> CheckAndWrite(store::Store& store, const std::string& topic, const std::string& content,
                                             const std::optional<int64_t>& expected_version, Write write) {
  PublishedRules result;
  RETURN_IF_ERROR(ParseJson(content, result.after));
  Composition composition(store);
  for (int attempt = 1;; ++attempt) {
    RETURN_IF_ERROR(composition.Advance());
    ASSIGN_OR_RETURN(auto snapshot, composition.Try(topic, content));
    const std::optional<StoredRules> newest = ReadRules(store, topic, std::nullopt);
    result.before = newest ? newest->rules : v1::RuleSet();
    const bool is_the_same = newest && DecideTheSame(newest->rules, result.after);
    absl::StatusOr<store::Published> published =
        write(is_the_same ? newest->content : content,
              store::Expected{.version = expected_version, .sequence = composition.sequence()});
    if (published.ok()) {
      result.published = *std::move(published);
      result.warnings = Warnings(result.after, *snapshot);
      return result;
    }
    const bool again = absl::IsAborted(published.status()) && HoldsStill(store, topic, expected_version);
    if (!again || attempt == kAttemptsMax) return published.status();
  }
}

// The version that a rollback without a target goes to. `history` is newest first.
absl::StatusOr<int64_t> OneStepBack(store::Store& store, const std::string& topic,
                                    const std::vector<store::VersionInfo>& history) {
  const int64_t newest = history[0].version;
  auto find = [&](int64_t version) -> const store::VersionInfo* {
    const int64_t back = newest - version;
    return version > 0 && back < static_cast<int64_t>(history.size()) ? &history[static_cast<size_t>(back)] : nullptr;
  };
  const store::VersionInfo* from = &history[0];
  while (from->rollback_of < from->version && find(from->rollback_of) != nullptr) from = find(from->rollback_of);
  const std::optional<StoredRules> current = ReadRules(store, topic, newest);
  for (const store::VersionInfo* to = find(from->version - 1); to != nullptr; to = find(to->version - 1)) {
    const std::optional<StoredRules> rules = ReadRules(store, topic, to->version);
    if (rules && !(current && DecideTheSame(rules->rules, current->rules))) return to->version;
  }
  return absl::NotFoundError(
      fmt::format("namespace {}: there is nothing to roll back to: no version before {} holds other rules",
                  *store::NamespaceOfTopic(topic), from->version));
}

}  // namespace

absl::StatusOr<PublishedRules> PublishRules(store::Store& store, const RulesPublication& publication) {
  RETURN_IF_ERROR(store::CheckNamespace(publication.rule_set.namespace_()));
  const std::string topic = store::RulesTopic(publication.rule_set.namespace_());
  ASSIGN_OR_RETURN(std::string content, CanonicalJson(publication.rule_set));
  return CheckAndWrite(store, topic, content, publication.expected_version,
                       [&](const std::string& to_write, const store::Expected& expected) {
                         return store.Publish({topic, to_write, publication.author, publication.message, expected});
                       });
}

absl::StatusOr<PublishedRules> RollBackRules(store::Store& store, const RulesRestoration& restoration) {
  RETURN_IF_ERROR(store::CheckNamespace(restoration.namespace_name));
  const std::string topic = store::RulesTopic(restoration.namespace_name);
  int64_t target = restoration.to_version.value_or(0);
  std::optional<int64_t> expected_version = restoration.expected_version;
  if (!restoration.to_version) {
    ASSIGN_OR_RETURN(auto history, store.History(topic, store::kHistoryVersionsMax));
    ASSIGN_OR_RETURN(target, OneStepBack(store, topic, history));
    if (!expected_version) expected_version = history[0].version;
  }
  ASSIGN_OR_RETURN(store::Version old, store.Get(topic, target));
  return CheckAndWrite(store, topic, old.content, expected_version,
                       [&](const std::string& to_write, const store::Expected& expected) {
                         if (to_write != old.content)
                           return store.Publish({topic, to_write, restoration.author, restoration.message, expected});
                         return store.Rollback({topic, target, restoration.author, restoration.message, expected});
                       });
}

}  // namespace signalbox::control
