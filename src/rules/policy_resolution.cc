#include "rules/policy_resolution.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "api/rule_set.h"
#include "base/string_map.h"
#include "rules/condition_form.h"
#include "rules/source_place.h"

namespace signalbox::rules {
namespace {

using rule_set::kConditionTestsMax;

// How far `extends` may go.
constexpr size_t kDepthMax = 32;

template <typename T>
void TakeWhatIsMissing(std::optional<T>& mine, const std::optional<T>& theirs) {
  if (!mine) mine = theirs;
}

class PolicyResolution {
 public:
  PolicyResolution(RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics)
      : draft_(draft), diagnostics_(diagnostics) {}

  std::vector<v1::Policy> Run() {
    for (const PolicyDraft& policy : draft_.policies) written_.try_emplace(policy.name, &policy);
    for (const PolicyDraft& policy : draft_.policies) Resolve(policy);
    for (const v1::Objective& objective : draft_.objectives) CheckObjective(objective);
    for (auto& draft : draft_.experiments) Narrow(draft, fmt::format("experiment {}", draft.rule.id()));
    for (auto& draft : draft_.shifts) Narrow(draft, fmt::format("traffic shift {}", draft.rule.id()));
    for (auto& draft : draft_.context_rules) NarrowContextRule(draft);
    std::vector<v1::Policy> policies;
    for (const PolicyDraft& policy : draft_.policies) {
      const PolicyDraft& resolved = resolved_.at(policy.name);
      if (written_.at(policy.name) == &policy && SaysMoreThanWhere(resolved)) policies.push_back(Message(resolved));
    }
    return policies;
  }

 private:
  // What it comes to; once it is there, without another look.
  const PolicyDraft& Resolve(const PolicyDraft& policy) {
    if (const auto found = resolved_.find(policy.name); found != resolved_.end()) return found->second;
    path_.push_back(&policy);
    PolicyDraft resolved = policy;
    for (const std::string& name : policy.extends) {
      const auto base = written_.find(name);
      if (base == written_.end()) continue;  // told already
      if (IsCircle(*base->second)) continue;
      if (path_.size() == kDepthMax) {
        // A chain of a hundred is one mistake.
        if (!std::exchange(is_too_deep_, true))
          Report(diagnostics_, policy.source,
                 fmt::format("policy {}: extends more than {} policies one behind the other, the limit", policy.name,
                             kDepthMax));
        continue;
      }
      Extend(resolved, Resolve(*base->second));
    }
    path_.pop_back();
    if (policy.source.line() != 0 && CountTests(resolved.condition) > kConditionTestsMax)
      ReportTooManyTests(fmt::format("policy {}", policy.name), policy.source);
    return resolved_.try_emplace(policy.name, std::move(resolved)).first->second;
  }

  bool IsCircle(const PolicyDraft& base) {
    const auto begin = std::find(path_.begin(), path_.end(), &base);
    if (begin == path_.end()) return false;
    std::string chain;
    for (auto each = begin; each != path_.end(); ++each)
      chain += fmt::format("{} ({}) -> ", (*each)->name, Where((*each)->source));
    Report(
        diagnostics_, base.source,
        fmt::format("policy {} extends itself: {}{}; remove one of these from `extends`", base.name, chain, base.name));
    return true;
  }

  static void Extend(PolicyDraft& policy, const PolicyDraft& base) {
    TakeWhatIsMissing(policy.requests_per_second, base.requests_per_second);
    TakeWhatIsMissing(policy.burst, base.burst);
    TakeWhatIsMissing(policy.concurrent_requests, base.concurrent_requests);
    TakeWhatIsMissing(policy.payload_bytes, base.payload_bytes);
    TakeWhatIsMissing(policy.priority, base.priority);
    TakeWhatIsMissing(policy.fallback_models, base.fallback_models);
    TakeWhatIsMissing(policy.static_answer, base.static_answer);
    ExtendHandling(policy, base);
    AndWith(policy.condition, base.condition);
  }

  // One kind of concurrency limit takes the other's place, and so does one affinity another's.
  static void ExtendHandling(PolicyDraft& policy, const PolicyDraft& base) {
    v1::Policy says = base.handling;
    if (policy.handling.has_affinity()) says.clear_affinity();
    says.MergeFrom(policy.handling);
    policy.handling = std::move(says);
    const bool has_number = policy.concurrent_requests.value_or(0) != 0;
    if (!has_number || !policy.handling.limits().has_adaptive_concurrency()) return;
    if (base.handling.limits().has_adaptive_concurrency()) {
      policy.handling.clear_limits();
    } else {
      policy.concurrent_requests.reset();
    }
  }

  static bool SaysWhere(const PolicyDraft& policy) {
    return policy.condition.test_case() != v1::Condition::TEST_NOT_SET;
  }
  static bool SaysMoreThanWhere(const PolicyDraft& policy) {
    return policy.requests_per_second || policy.burst || policy.concurrent_requests || policy.payload_bytes ||
           policy.priority || policy.fallback_models || policy.static_answer || policy.handling.ByteSizeLong() > 0 ||
           !SaysWhere(policy);
  }

  static v1::Policy Message(const PolicyDraft& policy) {
    v1::Policy message = policy.handling;
    message.set_name(policy.name);
    v1::Limits limits = policy.handling.limits();
    limits.set_requests_per_second(policy.requests_per_second.value_or(0));
    limits.set_burst(policy.burst.value_or(0));
    limits.set_concurrent_requests(policy.concurrent_requests.value_or(0));
    limits.set_payload_bytes(policy.payload_bytes.value_or(0));
    limits.set_priority(policy.priority.value_or(v1::Limits::NORMAL));
    if (limits.ByteSizeLong() > 0 || limits.has_adaptive_concurrency()) *message.mutable_limits() = limits;
    if (policy.fallback_models)
      message.mutable_fallback_models()->Assign(policy.fallback_models->begin(), policy.fallback_models->end());
    if (policy.static_answer) *message.mutable_static_answer() = *policy.static_answer;
    *message.mutable_source() = policy.source;
    return message;
  }

  const PolicyDraft* Find(const std::string& name) const {
    const auto found = resolved_.find(name);
    return found == resolved_.end() ? nullptr : &found->second;
  }

  void CheckObjective(const v1::Objective& objective) {
    const PolicyDraft* policy = Find(objective.policy());
    if (policy == nullptr || !SaysWhere(*policy)) return;
    Report(diagnostics_, objective.source(),
           fmt::format("Objective {}: policy {} at {} holds only `when` its condition does, and an Objective's policy "
                       "holds everywhere; name it in a context rule",
                       objective.name(), policy->name, Where(policy->source)));
  }

  template <typename Rule>
  void Narrow(Draft<Rule>& draft, const std::string& subject) {
    for (const std::string& name : draft.narrowed_by) {
      const PolicyDraft* policy = Find(name);
      if (policy == nullptr) continue;
      if (!SaysWhere(*policy) && policy->extends.empty()) {
        Report(
            diagnostics_, draft.rule.source(),
            fmt::format("{}: policy {} at {} has no `when`, which is all that is taken of it here; add one, or do not "
                        "name it",
                        subject, name, Where(policy->source)));
        continue;
      }
      NarrowBy(draft.rule, subject, *policy);
    }
  }

  void NarrowContextRule(Draft<v1::ContextRule>& draft) {
    v1::ContextRule& rule = draft.rule;
    const std::string subject = fmt::format("context rule {}", rule.id());
    const PolicyDraft* policy = Find(rule.policy());
    if (policy == nullptr) return;
    if (SaysWhere(*policy)) NarrowBy(rule, subject, *policy);
    if (!SaysMoreThanWhere(*policy)) rule.clear_policy();
    if (!rule.has_condition()) {
      Report(diagnostics_, rule.source(),
             fmt::format("{}: has no `when`, and neither has policy {} at {}; what holds everywhere is said by the "
                         "Objective",
                         subject, policy->name, Where(policy->source)));
    } else if (rule.policy().empty() && !rule.has_model() && rule.parameters().empty()) {
      Report(diagnostics_, rule.source(),
             fmt::format("{}: says nothing: policy {} at {} has no limits, fallback models or static answer", subject,
                         policy->name, Where(policy->source)));
    }
  }

  template <typename Rule>
  void NarrowBy(Rule& rule, const std::string& subject, const PolicyDraft& policy) {
    AndWith(*rule.mutable_condition(), policy.condition);
    if (CountTests(rule.condition()) > kConditionTestsMax) ReportTooManyTests(subject, rule.source());
  }

  void ReportTooManyTests(const std::string& subject, const v1::SourceLocation& source) {
    Report(diagnostics_, source,
           fmt::format("{}: with its policies its condition has more than {} tests, the limit", subject,
                       kConditionTestsMax));
  }

  RuleSetDraft& draft_;
  std::vector<Diagnostic>& diagnostics_;
  StringMap<const PolicyDraft*> written_;
  StringMap<PolicyDraft> resolved_;
  std::vector<const PolicyDraft*> path_;
  bool is_too_deep_ = false;
};

}  // namespace

std::vector<v1::Policy> ResolvePolicies(RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics) {
  return PolicyResolution(draft, diagnostics).Run();
}

}  // namespace signalbox::rules
