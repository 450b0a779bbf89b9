#include "control/placement_explanation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "base/canonical_json.h"
#include "base/printable.h"
#include "base/status.h"
#include "control/leadership.h"
#include "control/operator_topics.h"
#include "control/release_hold.h"
#include "rollout/book.h"
#include "rollout/named_models.h"

namespace signalbox::control {
namespace {

// The leader writes each second what has changed, and may wait for the store.
constexpr int kSecondsLateMax = 2;

bool Names(const v1::RuleSet& rules, const std::string& model) {
  const rollout::ModelIds ids = rollout::NamedModels(rules);
  return std::any_of(ids.begin(), ids.end(),
                     [&](const std::string& id) { return id == model || rollout::NameOfModel(id) == model; });
}

absl::StatusOr<bool> VersionNames(store::Store& store, const std::string& namespace_name, int64_t version,
                                  const std::string& model) {
  const absl::StatusOr<store::Version> stored = store.Get(store::RulesTopic(namespace_name), version);
  if (absl::IsNotFound(stored.status())) return false;
  RETURN_IF_ERROR(stored.status());
  v1::RuleSet rules;
  return ParseJson(stored->content, rules).ok() && Names(rules, model);
}

// What has become of a version that names the model, or is to become of it.
std::string FateOf(store::Store& store, const std::string& namespace_name, const store::VersionInfo& rules,
                   const v1::Rollout& current) {
  std::string text = fmt::format("version {} of namespace {} by {} names it", rules.version, namespace_name,
                                 EscapeControlCharacters(rules.author));
  if (current.rules_version() == rules.version) {
    text += fmt::format(", and its rollout {} {}",
                        current.state() == v1::Rollout::CANCELLED ? "was"
                        : current.state() == v1::Rollout::FAILED  ? "has"
                                                                  : "is",
                        rollout::StateName(current.state()));
    if (!current.reason().empty()) text += ": " + EscapeControlCharacters(current.reason());
  }
  const auto holds = ReleaseHolds(store, namespace_name, rules.version, rules.rollback_of != 0);
  return holds.empty() ? text : fmt::format("{}; {}", text, fmt::join(holds, "; "));
}

}  // namespace

v1::PlacementExplanation Explanation(const rollout::PlacementView& view, const std::string& leader) {
  // Half of the limit, for a batch has more in it.
  constexpr size_t kBytesMax = store::kRecordBytesMax / 2;
  v1::PlacementExplanation explanation;
  for (size_t refusals_max = std::numeric_limits<size_t>::max();;
       refusals_max = refusals_max > 64 ? 64 : refusals_max / 4) {
    explanation.Clear();
    explanation.set_leader(leader);
    for (const auto& model : view.models) {
      v1::ModelExplanation& of = *explanation.add_models();
      of.set_model(model.model);
      of.set_summary(model.summary);
      for (const std::string& text : model.wanted_by) of.add_wanted_by(text);
      for (const std::string& text : model.shards) of.add_shards(text);
      for (const std::string& text : model.waits) of.add_waits(text);
      const size_t count = std::min(refusals_max, model.refusals.size());
      for (size_t i = 0; i < count; ++i) of.add_refusals(model.refusals[i]);
      if (count < model.refusals.size()) {
        of.add_refusals(fmt::format("{} more shards are not listed", model.refusals.size() - count));
      }
    }
    if (explanation.ByteSizeLong() <= kBytesMax || refusals_max == 0) return explanation;
  }
}

absl::StatusOr<v1::PlacementExplanation> ReadExplanation(store::Store& store) {
  ASSIGN_OR_RETURN(const std::optional<store::Record> record, store.GetRecord(kExplanationRecord));
  if (!record) {
    return absl::NotFoundError(
        fmt::format("{}: no control plane that manages the fleet (--fleet) has worked on this store", store.name()));
  }
  v1::PlacementExplanation explanation;
  if (explanation.ParseFromString(record->value)) return explanation;
  return absl::DataLossError(fmt::format("record {}: cannot be read", kExplanationRecord));
}

absl::StatusOr<std::string> WitnessText(store::Store& store, const v1::PlacementExplanation& explanation) {
  ASSIGN_OR_RETURN(const std::optional<store::Record> leader, store.GetRecord(kLeaderRecord));
  if (leader && leader->value == explanation.leader()) {
    return fmt::format("as {}, which leads, sees it, at most {} s late", explanation.leader(), kSecondsLateMax);
  }
  return fmt::format("as {} saw it last, which does not lead any more; {}", explanation.leader(),
                     leader ? fmt::format("{} leads now, and is about to write how it sees it", leader->value)
                            : std::string("no control plane leads at this moment"));
}

absl::StatusOr<std::string> WhyNotExplained(store::Store& store, const std::string& model) {
  ASSIGN_OR_RETURN(const store::LatestVersions latest, store.Latest());
  std::vector<std::string> fates;
  for (const store::LatestVersion& newest : latest.topics) {
    const auto name = store::NamespaceOfTopic(newest.info.topic);
    if (!name) continue;
    const std::string namespace_name(*name);
    ASSIGN_OR_RETURN(const bool names, VersionNames(store, namespace_name, newest.info.version, model));
    if (!names) continue;
    const absl::StatusOr<v1::Rollouts> rollouts = ReadRollouts(store, namespace_name);
    fates.push_back(FateOf(store, namespace_name, newest.info, rollouts.ok() ? rollouts->current() : v1::Rollout()));
  }
  if (!fates.empty()) return fmt::format("{}", fmt::join(fates, "; "));
  return std::string("no rules that run, are kept for a rollback or are being rolled out name it");
}

}  // namespace signalbox::control
