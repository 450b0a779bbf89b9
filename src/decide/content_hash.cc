#include "decide/content_hash.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/canonical_json.h"
#include "base/hash.h"
#include "base/status.h"

namespace signalbox::decide {

absl::StatusOr<std::string> RuleSetHash(const v1::RuleSet& rule_set) {
  v1::RuleSet rules = rule_set;
  for (v1::Objective& objective : *rules.mutable_objectives()) objective.clear_source();
  for (v1::Experiment& experiment : *rules.mutable_experiments()) experiment.clear_source();
  for (v1::TrafficShift& shift : *rules.mutable_traffic_shifts()) shift.clear_source();
  ASSIGN_OR_RETURN(std::string json, CanonicalJson(rules));
  return Sha256Hex(json);
}

absl::StatusOr<std::string> SnapshotHash(const v1::Snapshot& snapshot) {
  // The hashes are computed, never taken from the message: whoever sends it may be wrong.
  std::vector<std::string> lines;
  for (const v1::PublishedRuleSet& published : snapshot.rule_sets()) {
    ASSIGN_OR_RETURN(std::string hash, RuleSetHash(published.rule_set()));
    lines.push_back(fmt::format("rules {} {}", published.rule_set().namespace_(), hash));
  }
  std::sort(lines.begin(), lines.end());
  ASSIGN_OR_RETURN(std::string placement, CanonicalJson(snapshot.placement()));
  lines.push_back(fmt::format("placement {}", Sha256Hex(placement)));
  return Sha256Hex(fmt::format("{}\n", fmt::join(lines, "\n")));
}

}  // namespace signalbox::decide
