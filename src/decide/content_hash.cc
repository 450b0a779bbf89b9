#include "decide/content_hash.h"

#include <fmt/format.h>

#include <map>

#include "base/canonical_json.h"
#include "base/hash.h"
#include "base/status.h"

namespace signalbox::decide {
namespace {

template <typename Rules>
void ClearSources(Rules& rules) {
  for (auto& rule : rules) rule.clear_source();
}

// The line of one namespace in what a snapshot's hash is made from.
absl::StatusOr<std::string> NamespaceLine(const v1::PublishedRuleSet& published, const std::string& rule_set_hash) {
  std::string line = fmt::format("{} {}", published.rule_set().namespace_(), rule_set_hash);
  // Without settings the line is as it was before there were any, and so are the hashes of all snapshots of that time.
  if (published.traffic().shifts_size() > 0) {
    v1::TrafficSettings settings = published.traffic();
    settings.clear_version();
    ASSIGN_OR_RETURN(std::string json, CanonicalJson(settings));
    line += fmt::format(" {}", Sha256Hex(json));
  }
  return line + "\n";
}

template <typename HashOfRuleSet>
absl::StatusOr<std::string> HashOf(const v1::Snapshot& snapshot, HashOfRuleSet hash_of_rule_set) {
  std::multimap<std::string_view, std::string> line_of_namespace;
  for (const v1::PublishedRuleSet& published : snapshot.rule_sets()) {
    ASSIGN_OR_RETURN(std::string hash, hash_of_rule_set(published));
    ASSIGN_OR_RETURN(std::string line, NamespaceLine(published, hash));
    line_of_namespace.emplace(published.rule_set().namespace_(), std::move(line));
  }
  ASSIGN_OR_RETURN(std::string placement, CanonicalJson(snapshot.placement()));
  // The first line names the form of this text: should the form ever change, so do all hashes, and none is mistaken.
  std::string identity = "signalbox snapshot 1\n";
  for (const auto& [name, line] : line_of_namespace) identity += line;
  identity += placement;
  return Sha256Hex(identity);
}

}  // namespace

absl::StatusOr<std::string> RuleSetHash(const v1::RuleSet& rule_set) {
  v1::RuleSet identity = rule_set;
  ClearSources(*identity.mutable_objectives());
  ClearSources(*identity.mutable_experiments());
  ClearSources(*identity.mutable_traffic_shifts());
  ClearSources(*identity.mutable_context_rules());
  ClearSources(*identity.mutable_layers());
  ClearSources(*identity.mutable_holdouts());
  ClearSources(*identity.mutable_shadows());
  ClearSources(*identity.mutable_ensembles());
  ClearSources(*identity.mutable_overrides());
  ClearSources(*identity.mutable_policies());
  ASSIGN_OR_RETURN(std::string json, CanonicalJson(identity));
  return Sha256Hex(json);
}

absl::StatusOr<std::string> SnapshotHash(const v1::Snapshot& snapshot) {
  return HashOf(snapshot, [](const v1::PublishedRuleSet& published) { return RuleSetHash(published.rule_set()); });
}

absl::StatusOr<std::string> SnapshotHashOf(const v1::Snapshot& snapshot) {
  return HashOf(snapshot, [](const v1::PublishedRuleSet& published) {
    return absl::StatusOr<std::string>(published.content_hash());
  });
}

}  // namespace signalbox::decide
