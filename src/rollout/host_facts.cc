#include "rollout/host_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/printable.h"
#include "base/status.h"
#include "rollout/limits.h"
#include "rollout/reason.h"

namespace signalbox::rollout {
namespace {

std::string_view Name(CommandKind kind) {
  switch (kind) {
    case CommandKind::kLoad:
      return "load";
    case CommandKind::kDryRun:
      return "dry run";
    default:
      return "unload";
  }
}

// Which command of which model on which host is told by whoever tells the reason, once.
std::string Cause(const CommandResult& result, const ObservedHost* host) {
  std::string_view message(Message(result.status));
  const std::string place = fmt::format("host {} ({}): {} of {}: ", result.host, host == nullptr ? "" : host->address,
                                        Name(result.kind), result.model);
  if (message.starts_with(place)) message.remove_prefix(place.size());
  return fmt::format("{}: {}", Name(result.kind), message);
}

}  // namespace

void HostFacts::Observe(const Observation& observation, const Placed& placed, const v1::Fleet& fleet, Wake& wake,
                        std::vector<std::string>& log) {
  placed_ = &placed;
  log_ = &log;
  placement_sequence_ = observation.store->placement.sequence;
  now_unix_ms_ = observation.now_unix_ms;
  now_ms_ = wake.now_ms();
  if (began_ms_ < 0) {
    began_ms_ = now_ms_;
    follows_another_ = placement_sequence_ > 0;
  }

  deaths_.clear();
  sample_troubles_.clear();
  of_shard_.clear();
  at_address_.clear();
  for (auto& [id, host] : hosts_) host.seen = nullptr;
  for (const ObservedHost& seen : observation.hosts) {
    HostFact& host = hosts_[seen.id];
    if (host.seen != nullptr) continue;  // an id twice: the first counts
    host.seen = &seen;
    // One process cannot be two hosts: what is loaded for one would be unloaded for the other.
    const bool shares = !at_address_.try_emplace(seen.address, seen.id).second;
    if (shares && !host.shares_address) {
      log.push_back(fmt::format("host {} is left out: it has the address {} of host {}; give one of them another",
                                seen.id, seen.address, at_address_[seen.address]));
    }
    host.shares_address = shares;
    if (!shares) of_shard_[seen.shard].push_back(seen.id);
  }
  FindAbsent(fleet, wake);
  for (const ObservedHost& seen : observation.hosts) {
    if (hosts_[seen.id].seen == &seen) ObserveHost(seen, wake);
  }
  FindNewSamples(observation.store->fleet.content);
  for (const CommandResult& result : observation.results) TakeResult(result);
  for (auto& [id, host] : hosts_) {
    if (host.seen == nullptr) {
      if (host.alive) {
        log.push_back(fmt::format("host {} is gone", id));
        ++host.deaths;
        host.alive_since_ms = now_ms_;
        host.accused = Accused(host);
      }
      host.alive = false;
      host.models.clear();
    } else {
      ObserveModels(host, fleet, wake);
    }
  }
  std::erase_if(hosts_, [&](const auto& entry) {
    return entry.second.seen == nullptr && wake.Passed(entry.second.alive_since_ms + kFlapMemoryMs);
  });
}

void HostFacts::FindAbsent(const v1::Fleet& fleet, Wake& wake) {
  may_still_come_.clear();
  std::map<std::string, int64_t> without_shard;
  for (const auto& [address, shards] : placed_->lists) {
    if (at_address_.contains(address)) {
      seen_addresses_.insert(address);
      continue;
    }
    if (!seen_addresses_.contains(address) && !wake.Passed(began_ms_ + kAbsentHostGraceMs)) {
      may_still_come_.insert(address);
    }
    if (std::none_of(shards.begin(), shards.end(),
                     [&](const std::string& shard) { return fleet.shards().contains(shard); })) {
      const auto known = without_shard_since_ms_.find(address);
      const int64_t since = known == without_shard_since_ms_.end() ? now_ms_ : known->second;
      without_shard[address] = since;
      if (!wake.Passed(since + kAbsentHostGraceMs)) may_still_come_.insert(address);
    }
  }
  without_shard_since_ms_ = std::move(without_shard);
}

void HostFacts::ObserveHost(const ObservedHost& seen, Wake& wake) {
  HostFact& host = hosts_[seen.id];
  if (!seen.alive && seen.trouble.empty() && !host.known) return;  // not probed yet
  const bool is_first_sight = !host.known;
  bool was_alive = host.alive;
  host.known = true;
  if (seen.alive && host.instance != seen.instance) {
    if (was_alive) host.accused = Accused(host);
    for (const std::string& model : host.accused) {
      deaths_.push_back({seen.id, model});
      if (const auto fact = host.models.find(model); fact != host.models.end() && fact->second.is_first_try) {
        killing_samples_.insert(model);
        log_->push_back(fmt::format(
            "the new sample request of {} has taken host {} with it, and is not tried on others: mend sampleRequest of "
            "{} in the fleet",
            model, seen.id, NameOfModel(model)));
      }
    }
    host.models.clear();
    host.instance = seen.instance;
    if (was_alive) ++host.deaths;  // so quick that no probe has noticed
    was_alive = false;
  }
  if (seen.alive) host.accused.clear();  // the same process: it was only not heard
  host.alive = seen.alive;
  if (is_first_sight) host.alive_since_ms = now_ms_;
  if (host.alive && !was_alive) {
    host.alive_since_ms = now_ms_;
    // It comes and goes: each time longer until it is asked for anything, so that placement does not come and go as
    // well.
    if (host.deaths > 1) {
      host.rest_until_ms = now_ms_ + std::min<int64_t>(kRestMaxMs, kRestFirstMs << std::min(host.deaths - 2, 10));
    }
  }
  if (host.alive && !was_alive && !is_first_sight) log_->push_back(fmt::format("host {} answers again", seen.id));
  if (!host.alive && (was_alive || is_first_sight)) {
    log_->push_back(fmt::format("host {} of shard {} cannot be used: {}", seen.id, seen.shard,
                                EscapeControlCharacters(Reason(seen.trouble))));
  }
  if (!host.alive && was_alive) {
    ++host.deaths;
    host.alive_since_ms = now_ms_;
    host.accused = Accused(host);
    // What it had is not what it will have: it is tried again when it is back.
    for (auto& [model, fact] : host.models) {
      fact.belief = ModelFact::Belief::kNone;
      fact.loaded = false;
      fact.attempts = 0;
      fact.retry_at_ms = 0;
    }
  }
  if (host.deaths > 0 && wake.Passed(host.alive_since_ms + kFlapMemoryMs)) host.deaths = 0;
  // Only what an earlier leader has written: later, the placement tells of this leader's own view of an earlier life.
  if (is_first_sight && host.alive && now_ms_ <= began_ms_ + kAbsentHostGraceMs) Trust(host);
}

// What was under way has killed it, else what was tried last. A call that broke off is as good as under way: often it
// ends before a probe shows why.
std::set<std::string> HostFacts::Accused(const HostFact& host) const {
  std::set<std::string> accused;
  std::set<std::string> last;
  int64_t last_ms = std::max<int64_t>(0, now_ms_ - kBlameMs);
  for (const auto& [model, fact] : host.models) {
    const bool is_recent = fact.tried_ms >= 0 && fact.tried_ms > now_ms_ - kBlameMs;
    if ((fact.under_way && fact.command != CommandKind::kUnload) || (is_recent && fact.unanswered)) {
      accused.insert(model);
    } else if (is_recent && fact.tried_ms >= last_ms) {
      if (fact.tried_ms > last_ms) last.clear();
      last_ms = fact.tried_ms;
      last.insert(model);
    }
  }
  if (accused.empty()) return last;
  return accused;
}

bool HostFacts::IsValidatedAnywhere(const std::string& model) const {
  return std::any_of(hosts_.begin(), hosts_.end(), [&](const auto& entry) {
    const auto fact = entry.second.models.find(model);
    return entry.second.alive && fact != entry.second.models.end() &&
           fact->second.belief == ModelFact::Belief::kValidated;
  });
}

std::set<std::string> HostFacts::InDoubt(const std::string& model, Wake& wake) const {
  std::set<std::string> hosts;
  for (const auto& [id, host] : hosts_) {
    const auto fact = host.models.find(model);
    const bool is_open =
        fact != host.models.end() &&
        ((fact->second.under_way && fact->second.command != CommandKind::kUnload) ||
         (fact->second.unanswered && fact->second.tried_ms >= 0 && !wake.Passed(fact->second.tried_ms + kBlameMs)));
    if (is_open || host.accused.contains(model)) hosts.insert(id);
  }
  return hosts;
}

void HostFacts::Trust(HostFact& host) {
  const auto listing = placed_->lists.find(host.seen->address);
  if (listing == placed_->lists.end()) return;
  for (const std::string& shard : listing->second) {
    const auto models = placed_->models_of_shard.find(shard);
    if (models == placed_->models_of_shard.end()) continue;
    for (const std::string& model : models->second) {
      ModelFact& fact = Fact(host.seen->id, model);
      fact.belief = ModelFact::Belief::kTrusted;
      fact.seen_ready = true;
      fact.proven = true;
    }
  }
}

void HostFacts::FindNewSamples(const std::shared_ptr<const v1::Fleet>& fleet) {
  const std::shared_ptr<const v1::Fleet> before = std::exchange(fleet_, fleet);
  if (before == nullptr || before == fleet) return;
  const auto sample = [](const v1::FleetModel& declared) {
    v1::FleetModel only;
    only.set_sample_request(declared.sample_request());
    *only.mutable_outputs() = declared.outputs();
    return only.SerializeAsString();
  };
  std::map<std::string, bool> changed;
  for (auto& [id, host] : hosts_) {
    for (auto& [model, fact] : host.models) {
      const auto [known, is_new] = changed.try_emplace(model);
      if (is_new) {
        known->second = sample(DeclaredModel(*before, model)) != sample(DeclaredModel(*fleet, model));
        if (known->second) killing_samples_.erase(model);
      }
      if (!known->second) continue;
      fact.sample_is_new = true;
      fact.attempts = 0;
      fact.retry_at_ms = 0;
      // What nobody uses yet is not used before it has answered the new one.
      if (fact.belief == ModelFact::Belief::kValidated) {
        fact.belief = IsOnItsShard(host, model) ? ModelFact::Belief::kTrusted : ModelFact::Belief::kNone;
      }
    }
  }
}

bool HostFacts::IsOnItsShard(const HostFact& host, const std::string& model) const {
  if (host.seen == nullptr) return false;
  const auto models = placed_->models_of_shard.find(host.seen->shard);
  return models != placed_->models_of_shard.end() && models->second.contains(model);
}

bool HostFacts::MayTryNewSample(const std::string& model, const std::string& host, Wake& wake) const {
  if (killing_samples_.contains(model)) return false;
  const std::set<std::string> in_doubt = InDoubt(model, wake);
  return in_doubt.empty() || in_doubt.contains(host);
}

void HostFacts::ObserveModels(HostFact& host, const v1::Fleet& fleet, Wake& wake) {
  for (const auto& [model, observed] : host.seen->index) {
    if (observed.state != ModelState::kAbsent) Fact(host.seen->id, model);
  }
  for (auto& [model, fact] : host.models) {
    const auto observed = host.seen->index.find(model);
    const ModelState state = observed == host.seen->index.end() ? ModelState::kAbsent : observed->second.state;
    if (placed_->Routes(host.seen->address, model)) {
      fact.left_sequence = INT64_MAX;
    } else if (fact.left_sequence == INT64_MAX) {
      fact.left_sequence = placement_sequence_;
    }
    if (fact.under_way && wake.Passed(fact.deadline_ms)) {
      const CommandKind command = fact.command;
      Fail(host.seen->id, model, fact, fmt::format("{}: no answer in time", Name(command)));
      // It may still happen. Until it cannot any more, nothing is built on this model here.
      if (command == CommandKind::kUnload) fact.not_before_ms = now_ms_ + options_.unload_timeout.count();
    }
    if (state != ModelState::kReady && (fact.belief == ModelFact::Belief::kNone || fact.seen_ready)) {
      fact.proven = false;
    }
    if (state == ModelState::kReady) {
      fact.seen_ready = fact.belief != ModelFact::Belief::kNone;
    } else if (fact.belief != ModelFact::Belief::kNone && fact.seen_ready) {
      fact.belief = ModelFact::Belief::kNone;
      fact.loaded = false;
      fact.seen_ready = false;
      fact.reason = "its index does not say READY any more";
      log_->push_back(fmt::format("host {}: {}: {}", host.seen->id, model, fact.reason));
    } else if (fact.belief == ModelFact::Belief::kValidated && wake.Passed(fact.index_due_ms)) {
      Fail(host.seen->id, model, fact, "it answers, and its index does not say READY");
    }
    if (state != ModelState::kLoading || fact.under_way || fact.loaded) {
      fact.loading_since_ms = -1;
    } else if (fact.loading_since_ms < 0) {
      fact.loading_since_ms = now_ms_;
    } else if (wake.Passed(fact.loading_since_ms + LoadTimeoutMs(DeclaredModel(fleet, model)))) {
      fact.loading_since_ms = now_ms_;
      Fail(host.seen->id, model, fact, "its index says LOADING for too long");
    }
    if (fact.loading_since_ms >= 0) wake.Passed(fact.loading_since_ms + LoadTimeoutMs(DeclaredModel(fleet, model)));
    if (!fact.sample_trouble.empty() && Usable(host, model)) {
      sample_troubles_.push_back(
          {host.seen->id, model,
           fmt::format("{} on host {} fails its sample request, and stays in use because it is READY and has answered "
                       "before: {}; mend sampleRequest or outputs of {} in the fleet, or the model: a host that starts "
                       "again is not used until it answers as declared",
                       model, host.seen->id, fact.sample_trouble, NameOfModel(model))});
    }
  }
}

void HostFacts::TakeResult(const CommandResult& result) {
  const auto host = hosts_.find(result.host);
  if (host == hosts_.end() || host->second.instance != result.instance) return;  // of an earlier life
  const auto found = host->second.models.find(result.model);
  if (found == host->second.models.end()) return;
  ModelFact& fact = found->second;
  if (!fact.under_way || fact.command != result.kind) return;  // it came too late, and counts as failed
  if (!result.begun) {
    fact.under_way = false;
    return;
  }
  if (result.kind != CommandKind::kUnload) {
    fact.tried_ms = now_ms_;
    fact.unanswered = absl::IsUnavailable(result.status);
  }
  if (!result.status.ok()) {
    std::string cause = Cause(result, host->second.seen);
    if (FailsSampleAlone(result, host->second, fact)) {
      FailOfSample(result.host, result.model, fact, std::move(cause));
    } else {
      Fail(result.host, result.model, fact, std::move(cause));
    }
    return;
  }
  fact.under_way = false;
  switch (result.kind) {
    case CommandKind::kLoad:
      fact.loaded = true;
      fact.seen_ready = false;
      break;
    case CommandKind::kDryRun:
      if (!host->second.alive) break;  // it has gone since
      if (!fact.sample_trouble.empty()) {
        log_->push_back(fmt::format("host {}: {} answers its sample request again", result.host, result.model));
      }
      fact.sample_trouble.clear();
      fact.is_first_try = false;
      if (fact.sample_is_new) break;  // this was the one before
      fact.proven = true;
      if (fact.belief == ModelFact::Belief::kNone) {
        fact.seen_ready = false;
        fact.index_due_ms = now_ms_ + kIndexDueMs;
      }
      fact.belief = ModelFact::Belief::kValidated;
      fact.attempts = 0;
      fact.reason = result.note;
      if (result.seconds > 0) costs_.try_emplace(result.model, result.seconds);
      break;
    case CommandKind::kUnload:
      fact.attempts = 0;
      fact.retry_at_ms = now_ms_ + kAfterUnloadMs;  // until the index says so
      break;
  }
  fact.since_unix_ms = now_unix_ms_;
}

void HostFacts::Fail(const std::string& host, const std::string& model, ModelFact& fact, std::string reason) {
  // Once of each trouble, not of each attempt.
  reason = EscapeControlCharacters(Reason(reason));
  if (fact.attempts == 0 || fact.reason != reason) log_->push_back(fmt::format("host {}: {}: {}", host, model, reason));
  fact.belief = ModelFact::Belief::kNone;
  fact.loaded = false;
  fact.seen_ready = false;
  fact.proven = false;
  fact.sample_trouble.clear();
  TryLater(fact, std::move(reason));
}

// It answers, and not as the sample wants it. What is not there, does not answer in time or went away is not meant.
bool HostFacts::FailsSampleAlone(const CommandResult& result, const HostFact& host, const ModelFact& fact) const {
  if (result.kind != CommandKind::kDryRun || !fact.proven || !host.alive || !IsOnItsShard(host, result.model)) {
    return false;
  }
  const auto observed = host.seen->index.find(result.model);
  if (observed == host.seen->index.end() || observed->second.state != ModelState::kReady) return false;
  switch (result.status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
      return false;
    default:
      return true;
  }
}

void HostFacts::FailOfSample(const std::string& host, const std::string& model, ModelFact& fact, std::string reason) {
  reason = EscapeControlCharacters(Reason(reason));
  if (fact.sample_trouble != reason) {
    log_->push_back(fmt::format(
        "host {}: {} fails its sample request, and stays in use because it is READY and has answered before: {}; mend "
        "sampleRequest or outputs of {} in the fleet, or the model: a host that starts again is not used until it "
        "answers as declared",
        host, model, reason, NameOfModel(model)));
  }
  fact.sample_trouble = reason;
  fact.is_first_try = false;
  fact.belief = ModelFact::Belief::kTrusted;
  fact.seen_ready = true;
  TryLater(fact, std::move(reason));
}

void HostFacts::TryLater(ModelFact& fact, std::string reason) const {
  fact.under_way = false;
  ++fact.attempts;
  fact.reason = std::move(reason);
  fact.since_unix_ms = now_unix_ms_;
  const int64_t pause = options_.retry_first.count() << std::min(fact.attempts - 1, 20);
  fact.retry_at_ms = now_ms_ + std::min(pause, kRetryMaxMs);
}

const std::vector<std::string>& HostFacts::OfShard(const std::string& shard) const {
  static const std::vector<std::string> kNone;
  const auto found = of_shard_.find(shard);
  return found == of_shard_.end() ? kNone : found->second;
}

const HostFact* HostFacts::AtAddress(const std::string& address) const {
  const auto found = at_address_.find(address);
  return found == at_address_.end() ? nullptr : &hosts_.at(found->second);
}

bool HostFacts::Usable(const HostFact& host, const std::string& model) const {
  if (!host.alive || host.seen == nullptr || host.shares_address) return false;
  const auto fact = host.models.find(model);
  if (fact == host.models.end() || fact->second.belief == ModelFact::Belief::kNone) return false;
  const auto observed = host.seen->index.find(model);
  return observed != host.seen->index.end() && observed->second.state == ModelState::kReady;
}

void HostFacts::ForgetFailures(const ModelIds& models) {
  for (auto& [id, host] : hosts_) {
    for (const std::string& model : models) {
      const auto fact = host.models.find(model);
      if (fact == host.models.end()) continue;
      fact->second.attempts = 0;
      fact->second.retry_at_ms = 0;
    }
  }
}

ModelFact& HostFacts::Fact(const std::string& host, const std::string& model) {
  HostFact& owner = hosts_[host];
  const auto [found, is_new] = owner.models.try_emplace(model);
  ModelFact& fact = found->second;
  if (is_new) {
    fact.since_unix_ms = now_unix_ms_;
    const bool routed = placed_->Routes(owner.seen->address, model);
    fact.left_sequence = routed ? INT64_MAX : placement_sequence_;
    // The leader before may have asked for its unloading. That could still come true after we have loaded and tried it,
    // so not before it cannot any more. What is routed to was never to be unloaded.
    if (!routed && follows_another_) fact.not_before_ms = began_ms_ + options_.unload_timeout.count();
  }
  return fact;
}

double HostFacts::MeasuredCost(const std::string& model) const {
  const auto found = costs_.find(model);
  // In steps of two: that a model took a little longer must not move it.
  return found == costs_.end() ? 0 : std::exp2(std::ceil(std::log2(found->second)));
}

}  // namespace signalbox::rollout
