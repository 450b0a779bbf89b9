// The gate between authors and the store: nothing is published that no data plane could run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "signalbox/v1/rules.pb.h"
#include "store/store.h"

namespace signalbox::control {

struct RulesPublication {
  v1::RuleSet rule_set;  // its namespace says where to
  std::string author;
  std::string message;
  std::optional<int64_t> expected_version;  // as store::Expected::version
};

struct RulesRestoration {
  std::string namespace_name;
  // Unset: one step further back than what runs. That is the newest version with other rules, counted from the version
  // that the newest one restored, where it was a rollback itself: a second rollback does not undo the first.
  std::optional<int64_t> to_version;
  std::string author;
  std::string message;
  std::optional<int64_t> expected_version;
};

struct PublishedRules {
  store::Published published;
  // The namespace's rules before and after. Before: nothing in it when there were none, or none that can be read.
  v1::RuleSet before;
  v1::RuleSet after;
  // What will run, but perhaps not as its author thinks: a model that is placed nowhere, a traffic shift whose
  // percentage or schedule does not count because of what is set of it beside the rules. And in a managed store what
  // keeps it from running (release_hold.h).
  std::vector<std::string> warnings;
};

// Rules that decide as the newest version does are not published again, even when they stand elsewhere in their files:
// `published.unchanged`, and the store is left as it is.
//
// Publishes when the rule set compiles together with what all other namespaces run and the placement, as they are at
// the moment of the publish. INVALID_ARGUMENT lists why it does not; ABORTED: `expected_version` does not hold, or
// others published without a pause; else as store::Store::Publish.
absl::StatusOr<PublishedRules> PublishRules(store::Store& store, const RulesPublication& publication);

// The same with the content of an older version. NOT_FOUND when there is none. Without `to_version` ABORTED also when
// somebody publishes to the namespace in the meantime: what was to be rolled back is not what is there.
absl::StatusOr<PublishedRules> RollBackRules(store::Store& store, const RulesRestoration& restoration);

}  // namespace signalbox::control
