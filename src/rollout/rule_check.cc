#include "rollout/rule_check.h"

#include <fmt/format.h>

#include <set>

#include "api/distribution.h"
#include "base/status.h"
#include "decide/snapshot.h"
#include "store/store.h"

namespace signalbox::rollout {
namespace {

const Topic<v1::ActiveRules>* InScope(const std::map<std::string, Topic<v1::ActiveRules>>& active,
                                      const std::string& scope) {
  for (const std::string& name : {scope, std::string()}) {
    const auto found = active.find(name);
    if (found != active.end() && found->second.content != nullptr && found->second.content->rules_version() != 0) {
      return &found->second;
    }
  }
  return nullptr;
}

absl::Status CompileTogether(const v1::RuleSet& rules, const std::vector<const v1::RuleSet*>& others,
                             const v1::Placement* placement) {
  v1::Snapshot snapshot;
  std::map<std::string, const v1::RuleSet*> sorted;
  for (const v1::RuleSet* other : others) sorted[other->namespace_()] = other;
  sorted[rules.namespace_()] = &rules;
  size_t bytes = placement == nullptr ? 0 : placement->ByteSizeLong();
  for (const auto& [name, rule_set] : sorted) *snapshot.add_rule_sets()->mutable_rule_set() = *rule_set;
  bytes += snapshot.ByteSizeLong();
  if (bytes > distribution::kUpdateBytesMax) {
    return absl::InvalidArgumentError(
        fmt::format("all rule sets and the placement would take {} bytes, the limit of a snapshot is {}", bytes,
                    distribution::kUpdateBytesMax));
  }
  return decide::Snapshot::Compile(std::move(snapshot)).status();
}

}  // namespace

absl::Status RuleCheck::Check(const std::string& namespace_name, const Topic<v1::RuleSet>& rules,
                              const Running& running, const v1::Placement* placement) {
  std::set<std::string> scopes{""};
  for (const auto& [name, active] : running) {
    if (name == namespace_name) continue;
    for (const auto& [scope, topic] : active) {
      if (topic.content != nullptr && topic.content->rules_version() != 0) scopes.insert(scope);
    }
  }
  for (const std::string& scope : scopes) {
    std::vector<const v1::RuleSet*> others;
    std::string key = fmt::format("{} {}@{}", namespace_name, rules.version, rules.sequence);
    for (const auto& [name, active] : running) {
      if (name == namespace_name) continue;
      const Topic<v1::ActiveRules>* other = InScope(active, scope);
      if (other == nullptr) continue;
      others.push_back(&other->content->rule_set());
      key += fmt::format(" {} {}@{}", name, other->version, other->sequence);
    }
    const auto [entry, is_new] = known_.try_emplace(std::move(key));
    if (is_new) entry->second.status = CompileTogether(*rules.content, others, placement);
    entry->second.asked = true;
    if (!entry->second.status.ok()) {
      return scope.empty()
                 ? entry->second.status
                 : absl::InvalidArgumentError(fmt::format("in scope {}: {}", scope, Message(entry->second.status)));
    }
  }
  return absl::OkStatus();
}

void RuleCheck::Sweep() {
  std::erase_if(known_, [](const auto& entry) { return !entry.second.asked; });
  for (auto& [key, entry] : known_) entry.asked = false;
}

}  // namespace signalbox::rollout
