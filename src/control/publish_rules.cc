#include "control/publish_rules.h"

#include <fmt/format.h>

#include <set>
#include <string_view>
#include <utility>

#include "api/rule_set.h"
#include "base/canonical_json.h"
#include "base/percent.h"
#include "base/status.h"
#include "control/composition.h"
#include "control/publish_attempts.h"
#include "control/release_hold.h"
#include "control/traffic_settings.h"
#include "decide/content_hash.h"

namespace signalbox::control {
namespace {

std::set<std::string> ModelsNamedBy(const v1::RuleSet& rules) {
  std::set<std::string> models;
  auto add = [&](const v1::ModelRef& ref) { models.insert(rule_set::ModelId(ref)); };
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
  for (const v1::ContextRule& rule : rules.context_rules()) {
    if (rule.has_model()) add(rule.model());
  }
  for (const v1::Shadow& shadow : rules.shadows()) add(shadow.model());
  for (const v1::Ensemble& ensemble : rules.ensembles()) {
    for (const v1::EnsembleMember& member : ensemble.members()) add(member.model());
  }
  for (const v1::Override& rule : rules.overrides()) {
    for (const v1::ModelRef& ref : rule.models()) add(ref);
  }
  for (const v1::Policy& policy : rules.policies()) {
    for (const v1::ModelRef& ref : policy.fallback_models()) add(ref);
  }
  return models;
}

void AddPlacementWarnings(const v1::RuleSet& rules, const decide::Snapshot& snapshot,
                          std::vector<std::string>& warnings) {
  // Without any placement there is no control plane yet that could have published one.
  if (snapshot.shards().empty()) return;
  const std::set<std::string> named = ModelsNamedBy(rules);
  for (const auto& model : snapshot.models()) {
    // An ensemble is placed where its members are.
    if (!model->shards.empty() || model->routing_key.empty() || !named.contains(model->id)) continue;
    warnings.push_back(fmt::format(
        "model {} is placed nowhere: its requests go to the fallback models, or fail where there are none; add it to "
        "the placement file",
        model->id));
  }
}

// What the rules say of a traffic shift, in a few words.
std::string SaysText(const v1::TrafficShift& shift) {
  return shift.has_schedule() ? "the schedule" : "the " + Percent(shift.share_ppm());
}

// Where an author would wonder why what was just published is not what happens.
void AddTrafficWarnings(const v1::RuleSet& before, const v1::RuleSet& after, const v1::TrafficSettings& settings,
                        std::vector<std::string>& warnings) {
  for (const v1::ShiftSetting& setting : settings.shifts()) {
    const v1::TrafficShift* shift = FindShift(after, setting.shift());
    if (shift == nullptr) {
      if (FindShift(before, setting.shift()) == nullptr) continue;  // it was without effect before
      warnings.push_back(
          fmt::format("traffic shift {} is gone, but it stays {}, should it come back; `signalbox traffic resume {}` "
                      "takes that away",
                      setting.shift(), SettingText(setting), setting.shift()));
    } else if (setting.has_delay_ms() && !shift->has_schedule()) {
      continue;  // late for a schedule that is not there any more
    } else if (setting.has_delay_ms()) {
      warnings.push_back(
          fmt::format("traffic shift {} is {}, because it was paused; `signalbox traffic resume {} --without-delay` "
                      "takes that away",
                      shift->id(), SettingText(setting), shift->id()));
    } else if (shift->has_schedule() || setting.has_paused() || setting.share_ppm() != shift->share_ppm()) {
      warnings.push_back(
          fmt::format("traffic shift {} stays {}: {} of these rules counts after `signalbox traffic resume {}`",
                      shift->id(), SettingText(setting), SaysText(*shift), shift->id()));
    }
  }
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

// Checks `content` against everything as it is at one sequence, and has `write` write it at the same: `content`, or
// what the newest version holds already when that decides the same.
template <typename Write>
absl::StatusOr<PublishedRules> CheckAndWrite(store::Store& store, const std::string& topic, const std::string& content,
                                             const std::optional<int64_t>& expected_version, Write write) {
  PublishedRules result;
  RETURN_IF_ERROR(ParseJson(content, result.after));
  Composition composition(store, RulesOf::kPublished);
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
      // Where the fleet is managed, models get their places after this.
      if (!composition.managed()) AddPlacementWarnings(result.after, *snapshot, result.warnings);
      if (composition.managed()) {
        const store::VersionInfo& info = result.published.info;
        result.warnings =
            ReleaseHolds(store, std::string(*store::NamespaceOfTopic(topic)), info.version, info.rollback_of != 0);
      }
      const NamespaceInUse in_use = composition.InUse(*store::NamespaceOfTopic(topic));
      if (in_use.traffic != nullptr) {
        AddTrafficWarnings(result.before, result.after, *in_use.traffic, result.warnings);
      }
      return result;
    }
    const bool again = absl::IsAborted(published.status()) && HoldsStill(store, topic, expected_version);
    if (!again || attempt == kPublishAttemptsMax) return published.status();
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
