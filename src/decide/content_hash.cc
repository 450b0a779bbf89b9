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

}  // namespace

absl::StatusOr<std::string> RuleSetHash(const v1::RuleSet& rule_set) {
  v1::RuleSet identity = rule_set;
  ClearSources(*identity.mutable_objectives());
  ClearSources(*identity.mutable_experiments());
  ClearSources(*identity.mutable_traffic_shifts());
  ASSIGN_OR_RETURN(std::string json, CanonicalJson(identity));
  return Sha256Hex(json);
}

absl::StatusOr<std::string> SnapshotHash(const v1::Snapshot& snapshot) {
  std::multimap<std::string_view, std::string> hash_of_namespace;
  for (const v1::PublishedRuleSet& published : snapshot.rule_sets()) {
    ASSIGN_OR_RETURN(std::string hash, RuleSetHash(published.rule_set()));
    hash_of_namespace.emplace(published.rule_set().namespace_(), std::move(hash));
  }
  ASSIGN_OR_RETURN(std::string placement, CanonicalJson(snapshot.placement()));
  // The first line names the form of this text: should the form ever change, so do all hashes, and none is mistaken.
  std::string identity = "signalbox snapshot 1\n";
  for (const auto& [name, hash] : hash_of_namespace) identity += fmt::format("{} {}\n", name, hash);
  identity += placement;
  return Sha256Hex(identity);
}

}  // namespace signalbox::decide
