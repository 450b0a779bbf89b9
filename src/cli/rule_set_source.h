// A rule set as the commands that compare name it: rule files, a folder of them, or a published version.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "decide/snapshot.h"
#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::cli {

struct RuleSetSources {
  std::string namespace_name = "default";
  // Where versions are looked up; empty: none are.
  std::string store;
};
// --namespace and --store.
void AddOptions(CLI::App& command, RuleSetSources& sources);

// "rules/home.js", "rules/" (all rule files in it), "a.js,b.js" (together one rule set), "v3" or "newest" (of the
// namespace in the store; what operators have set of its traffic shifts comes with it, and with files where there is a
// store). INVALID_ARGUMENT: what stands there is to be changed; else it could not be read.
absl::StatusOr<v1::PublishedRuleSet> ReadRuleSet(const RuleSetSources& sources, const std::string& name);

// The rule set alone, placed nowhere.
absl::StatusOr<std::shared_ptr<const decide::Snapshot>> Compile(v1::PublishedRuleSet rule_set);

// Prints why a command that compares could not (with `json`: ErrorJson to the standard output),
// and gives its exit code.
int FailToCompare(const absl::Status& status, bool json);

// As --at gives it; empty: now.
absl::StatusOr<int64_t> ReadTime(const std::string& at);

}  // namespace signalbox::cli
