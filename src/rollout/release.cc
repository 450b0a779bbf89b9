#include "rollout/release.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/rfc3339.h"
#include "base/status.h"
#include "rollout/limits.h"
#include "rollout/progress.h"

namespace signalbox::rollout {

void Release::Advance(const Additions& shards, std::function<absl::Status()> check) {
  check_ = std::move(check);
  if (!Validate(shards)) return;
  const bool is_paused = book_.release().paused() && book_.target->rollback_of == 0;
  if (is_paused && rollout_.state() == v1::Rollout::VALIDATED) {
    Wait("paused");
  } else if (SkipsSteps()) {
    ActivateEverywhere();
  } else if (rollout_.state() == v1::Rollout::VALIDATED) {
    if (ActivateIn(book_.release().steps(0).scope())) step_.keeper.Go(book_, v1::Rollout::WIDENING);
  } else {
    Widen();
  }
}

// Back is the way out of trouble, and never waits; a pin says "everywhere".
bool Release::SkipsSteps() const {
  return book_.release().steps().empty() || book_.target->rollback_of != 0 || book_.is_pinned ||
         (book_.release().promoted_version() == rollout_.rules_version() && !book_.release().paused());
}

// Whether everything that it needs is usable now.
bool Release::Validate(const Additions& shards) {
  for (const auto& [model, on] : shards) {
    if (!step_.draft.models().contains(model)) additions_[model] = on;
  }
  std::string wait = step_.draft.WaitFor(additions_);
  // What was placed before may have lost its hosts since.
  for (auto model = shards.begin(); wait.empty() && model != shards.end(); ++model) {
    if (!additions_.contains(model->first)) wait = step_.draft.WhyUnserved(model->first);
  }
  const v1::Rollout::State state = rollout_.state();
  if (wait.empty()) {
    if (state < v1::Rollout::VALIDATED) step_.keeper.Go(book_, v1::Rollout::VALIDATED);
    return true;
  }
  Wait(wait);
  if (state >= v1::Rollout::VALIDATED) return false;
  if (std::string failure = Failure(additions_); !failure.empty()) {
    step_.keeper.Go(book_, v1::Rollout::FAILED, std::move(failure));
  } else if (step_.wake.Passed(
                 RolloutDeadline(book_, step_.options, step_.observation.now_unix_ms, step_.times, step_.wake))) {
    step_.keeper.Go(book_, v1::Rollout::FAILED,
                    fmt::format("not validated within {} s: {}", step_.options.rollout_timeout.count() / 1000, wait));
  } else if (state == v1::Rollout::ASSIGNED) {
    step_.keeper.Go(book_, v1::Rollout::LOADING, wait);
  }
  return false;
}

// A host that a shard lists and that cannot take a model would have to leave the list, to the harm of everybody else's
// models there. So then the rollout fails. Where no host is listed, one is enough.
std::string Release::Failure(const Additions& additions) const {
  for (const auto& [model, shards] : additions) {
    for (const std::string& shard : shards) {
      const std::set<std::string> listed = step_.draft.Hosts(shard);
      const bool is_used = !listed.empty() && step_.draft.HasModels(shard);
      std::string failure;
      bool can_still = false;
      for (const std::string& id : step_.hosts.OfShard(shard)) {
        const HostFact& host = step_.hosts.Get(id);
        if (!host.alive || host.shares_address || (is_used && !listed.contains(host.seen->address))) continue;
        const auto fact = host.models.find(model);
        if (fact == host.models.end() || fact->second.attempts < step_.options.load_attempts) {
          can_still = true;
          continue;
        }
        failure = fmt::format("model {} on host {} of shard {}, tried {} times: {}", model, id, shard,
                              fact->second.attempts, fact->second.reason);
        if (is_used) return failure;
      }
      if (!failure.empty() && !can_still) return failure;
    }
  }
  return "";
}

void Release::Widen() {
  const v1::ReleasePlan& plan = book_.release();
  const int done = static_cast<int>(rollout_.steps_done());
  if (done >= plan.steps_size()) {
    ActivateEverywhere();
    return;
  }
  const v1::ReleaseStep& step = plan.steps(done);
  const Topic<v1::ActiveRules>* active = book_.ActiveIn(step.scope());
  if (active == nullptr || active->content->rules_version() != rollout_.rules_version()) {
    if (!plan.paused()) ActivateIn(step.scope());  // the plan has changed
    return;
  }
  DataPlanes::ScopeProgress progress = step_.data_planes.InScope(step.scope(), active->sequence, step_.wake);
  for (const std::string& node : progress.given_up) {
    step_.log.push_back(
        fmt::format("{} version {}: data plane {} is not waited for any more in {}: it has not taken it", book_.name,
                    rollout_.rules_version(), node, step.scope()));
  }
  if (progress.obstacle_stands) {
    step_.keeper.Go(book_, v1::Rollout::FAILED,
                    fmt::format("{}; mend that and publish again, or `signalbox rollout retry`", progress.obstacle));
    return;
  }
  const int64_t hold_until = active->content->activated_unix_ms() + step.hold_ms();
  const int64_t hold_over =
      step_.times.Of(fmt::format("hold {} {} {} {}", book_.name, step.scope(), active->sequence, step.hold_ms()),
                     hold_until - step_.observation.now_unix_ms, step.hold_ms(), step_.wake.now_ms());
  const bool is_held = !step_.wake.Passed(hold_over);
  if (!progress.obstacle.empty()) {
    Wait(
        fmt::format("in effect in {}, but {}; where that stays so for {} s it fails, `signalbox rollout promote` goes "
                    "on without",
                    step.scope(), progress.obstacle, step_.options.acknowledge_timeout.count() / 1000));
  } else if (is_held) {
    Wait(fmt::format("in effect in {}, held until {}", step.scope(), Rfc3339(hold_until)));
  } else if (!progress.waits_for.empty()) {
    Wait(fmt::format("in effect in {}, not acknowledged by data plane {}{}", step.scope(), progress.waits_for.front(),
                     progress.waits_for.size() == 1 ? "" : fmt::format(" and {} more", progress.waits_for.size() - 1)));
  } else if (progress.acknowledged == 0) {
    // Otherwise a step would be passed because nobody was there to say no.
    Wait(
        fmt::format("in effect in {}, acknowledged by no data plane that is connected: start one with `--scope {}`, or "
                    "`signalbox rollout promote` to go on without",
                    step.scope(), step.scope()));
  } else if (plan.paused()) {
    Wait(fmt::format("in effect in {}, paused", step.scope()));
  } else if (done + 1 == plan.steps_size()) {
    ActivateEverywhere();
    if (rollout_.state() == v1::Rollout::ACTIVE) rollout_.set_steps_done(static_cast<uint32_t>(done + 1));
  } else if (ActivateIn(plan.steps(done + 1).scope())) {
    rollout_.set_steps_done(static_cast<uint32_t>(done + 1));
    Wait("");
  }
}

v1::ActiveRules Release::Rules(const std::string& scope) const {
  v1::ActiveRules active;
  active.set_namespace_(book_.name);
  active.set_scope(scope);
  active.set_rules_version(book_.target->version);
  *active.mutable_rule_set() = *book_.target->content;
  active.set_activated_unix_ms(step_.observation.now_unix_ms);
  return active;
}

// It was when it was received; another namespace may have taken something over since.
bool Release::IsSound() {
  const absl::Status status = check_();
  if (!status.ok()) step_.keeper.Go(book_, v1::Rollout::FAILED, std::string(Message(status)));
  return status.ok();
}

// Batches have limits. What has no room in this one goes into the next, after what has become of this one is known.
bool Release::HasRoom(const v1::ActiveRules& active) {
  if (step_.only != nullptr && *step_.only != book_.name) return false;
  const size_t publications = 1 + book_.observed->active.size();
  const size_t bytes = active.ByteSizeLong();
  const bool is_empty = step_.publications_left == kBatchPublicationsMax;
  if (!is_empty && (step_.publications_left < publications || step_.bytes_left < bytes)) return false;
  step_.publications_left -= std::min(step_.publications_left, publications);
  step_.bytes_left -= std::min(step_.bytes_left, bytes);
  return true;
}

bool Release::ActivateIn(const std::string& scope) {
  v1::ActiveRules active = Rules(scope);
  if (!IsSound() || !HasRoom(active)) return false;
  step_.draft.Add(additions_);
  book_.activations.push_back(std::move(active));
  return true;
}

void Release::ActivateEverywhere() {
  v1::ActiveRules active = Rules("");
  Retain(active);
  if (!IsSound() || !HasRoom(active)) return;
  step_.draft.Add(additions_);
  book_.activations.push_back(std::move(active));
  ClearScopes();
  step_.keeper.Go(book_, v1::Rollout::ACTIVE);
}

void Release::Retain(v1::ActiveRules& active) const {
  const Topic<v1::ActiveRules>* before = book_.ActiveIn("");
  if (before == nullptr) return;
  v1::RetainedVersion& newest = *active.add_retained();
  newest.set_rules_version(before->content->rules_version());
  newest.set_until_unix_ms(step_.observation.now_unix_ms + step_.options.retention.count());
  const ModelIds& models =
      step_.named.Of(step_.observation.store->fleet.content, before->content, before->content->rule_set());
  newest.mutable_models()->Add(models.begin(), models.end());
  for (const v1::RetainedVersion& older : before->content->retained()) {
    if (active.retained_size() == static_cast<int>(kRetainedVersionsMax)) break;
    if (older.rules_version() == active.rules_version()) continue;
    if (older.until_unix_ms() > step_.observation.now_unix_ms) *active.add_retained() = older;
  }
}

void Release::ClearScopes() {
  for (const auto& [scope, topic] : book_.observed->active) {
    if (scope.empty() || book_.ActiveIn(scope) == nullptr) continue;
    v1::ActiveRules& nothing = book_.activations.emplace_back();
    nothing.set_namespace_(book_.name);
    nothing.set_scope(scope);
    nothing.set_activated_unix_ms(step_.observation.now_unix_ms);
  }
}

}  // namespace signalbox::rollout
