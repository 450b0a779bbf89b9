#include "rollout/commands.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "rollout/limits.h"
#include "rollout/trials.h"

namespace signalbox::rollout {
namespace {

// What comes first on a host.
enum class Rank { kRunning, kUnload, kRolloutDryRun, kRolloutLoad, kSuspect };

struct Candidate {
  Rank rank = Rank::kRunning;
  CommandKind kind = CommandKind::kLoad;
  std::string model;
  std::string lane;

  auto operator<=>(const Candidate& other) const { return std::tie(rank, model) <=> std::tie(other.rank, other.model); }
};

class OfHost {
 public:
  OfHost(CommandStep& step, Trials& trials, const std::string& id, HostFact& host, const std::set<std::string>& wanted,
         bool is_drained)
      : step_(step), trials_(trials), id_(id), host_(host), wanted_(wanted), is_drained_(is_drained) {}

  // What could be asked now. Those of models that nobody has validated are offered to `trials`.
  void Find() {
    candidates_ = Candidates();
    std::sort(candidates_.begin(), candidates_.end());
    for (const Candidate& candidate : candidates_) {
      if (candidate.kind != CommandKind::kUnload) trials_.Offer(candidate.model, id_, host_);
    }
  }

  void Choose(std::vector<HostCommand>& commands) {
    int under_way = 0;
    std::map<std::string, int> by_lane;
    for (const auto& [model, fact] : host_.models) {
      if (!fact.under_way) continue;
      ++under_way;
      ++by_lane[LaneOf(model, fact.command)];
    }
    for (const Candidate& candidate : candidates_) {
      if (under_way >= kCommandsPerHostMax) return;
      if (!MayBegin(candidate)) continue;
      // Each namespace for itself: one whose models take minutes to load must not hold up the others (I3).
      int& in_lane = by_lane[candidate.lane];
      if (in_lane >= step_.options.commands_per_host) continue;
      ++in_lane;
      ++under_way;
      commands.push_back(Begin(candidate));
    }
  }

 private:
  bool MayBegin(const Candidate& candidate) {
    if (candidate.kind == CommandKind::kUnload) return true;
    if (!trials_.MayTry(candidate.model, id_)) return false;
    // It may take the host with it, and this one is in use.
    if (const ModelFact& fact = host_.models.at(candidate.model);
        fact.sample_is_new && fact.belief == ModelFact::Belief::kTrusted &&
        !step_.hosts.MayTryNewSample(candidate.model, id_, step_.wake)) {
      return false;
    }
    if (candidate.rank != Rank::kSuspect) {
      // What runs is mended whatever else goes on.
      return candidate.rank == Rank::kRunning || !trials_.TriesSuspect(host_);
    }
    const bool something_runs_again = std::any_of(candidates_.begin(), candidates_.end(),
                                                  [](const Candidate& other) { return other.rank == Rank::kRunning; });
    return !something_runs_again && trials_.IsAlone(candidate.model, host_);
  }

  std::string LaneOf(const std::string& model, CommandKind kind) const {
    const auto need = step_.needs.find(model);
    if (kind == CommandKind::kUnload || need == step_.needs.end()) return "";
    // What several want waits for none of them alone.
    return fmt::format("{}", fmt::join(need->second.namespaces, " "));
  }

  ModelState StateOf(const std::string& model) const {
    const auto observed = host_.seen->index.find(model);
    return observed == host_.seen->index.end() ? ModelState::kAbsent : observed->second.state;
  }

  std::vector<Candidate> Candidates() {
    std::vector<Candidate> candidates;
    for (const std::string& model : wanted_) {
      const std::optional<CommandKind> kind = NextOf(model, step_.hosts.Fact(id_, model));
      if (!kind.has_value()) continue;
      const bool is_active = step_.needs.at(model).is_active;
      const Rank rank = is_active                       ? Rank::kRunning
                        : trials_.IsSuspect(model)      ? Rank::kSuspect
                        : *kind == CommandKind::kDryRun ? Rank::kRolloutDryRun
                                                        : Rank::kRolloutLoad;
      candidates.push_back({rank, *kind, model, LaneOf(model, *kind)});
    }
    if (!step_.may_unload) return candidates;
    std::vector<std::string> gone;
    for (const auto& [model, fact] : host_.models) {
      if (wanted_.contains(model)) continue;
      if (!IsThere(model, fact)) {
        if (!fact.under_way && fact.not_before_ms <= step_.wake.now_ms()) gone.push_back(model);
      } else if (MayUnload(model, fact)) {
        candidates.push_back({Rank::kUnload, CommandKind::kUnload, model, ""});
      }
    }
    for (const std::string& model : gone) host_.models.erase(model);
    return candidates;
  }

  std::optional<CommandKind> NextOf(const std::string& model, ModelFact& fact) {
    if (fact.under_way) return std::nullopt;
    const ModelState state = StateOf(model);
    if (fact.belief == ModelFact::Belief::kValidated) return std::nullopt;
    if (!step_.wake.Passed(std::max(fact.retry_at_ms, fact.not_before_ms))) return std::nullopt;
    if (fact.belief == ModelFact::Belief::kTrusted) return CommandKind::kDryRun;
    if (is_drained_) return std::nullopt;
    if (fact.loaded) return CommandKind::kDryRun;
    if (state == ModelState::kReady) {
      // It says READY and has failed: loaded again, unless requests are still sent there.
      const bool load_again = fact.attempts > 0 && !step_.placed.Routes(host_.seen->address, model);
      return load_again ? CommandKind::kLoad : CommandKind::kDryRun;
    }
    if (fact.loading_since_ms >= 0) return std::nullopt;  // somebody else's load; how long is limited there
    for (const std::string& other : DeclaredModel(step_.fleet, model).depends_on()) {
      if (!step_.hosts.Usable(host_, other)) return std::nullopt;
    }
    return HasRoomFor(model) ? std::optional(CommandKind::kLoad) : std::nullopt;
  }

  // What is on its way out still takes its memory. A load that could not fit before is not begun.
  bool HasRoomFor(const std::string& model) const {
    uint64_t limit = step_.fleet.shards().at(host_.seen->shard).memory_bytes();
    const uint64_t own = host_.seen->memory_bytes;
    if (own > 0) limit = limit == 0 ? own : std::min(limit, own);
    if (limit == 0) return true;
    uint64_t taken = DeclaredModel(step_.fleet, model).memory_bytes();
    bool something_leaves = false;
    for (const auto& [other, fact] : host_.models) {
      const ModelState state = StateOf(other);
      const bool is_there = state == ModelState::kReady || state == ModelState::kLoading || fact.loaded ||
                            (fact.under_way && fact.command == CommandKind::kLoad);
      if (other == model || !is_there) continue;
      taken += DeclaredModel(step_.fleet, other).memory_bytes();
      // What does not go when it is told to is not waited for.
      const bool leaves = !wanted_.contains(other) && fact.attempts < step_.options.load_attempts;
      something_leaves = something_leaves || leaves;
    }
    return taken <= limit || !something_leaves;
  }

  bool IsThere(const std::string& model, const ModelFact& fact) const {
    const ModelState state = StateOf(model);
    return state == ModelState::kReady || state == ModelState::kLoading || fact.loaded;
  }

  bool MayUnload(const std::string& model, const ModelFact& fact) {
    if (fact.under_way || step_.placed.Routes(host_.seen->address, model)) return false;
    if (!step_.data_planes.AllPast(fact.left_sequence)) {
      const std::vector<std::string> behind = step_.data_planes.Behind(fact.left_sequence);
      step_.waits[model].push_back(
          fmt::format("leaves {} when data plane {}{} has no request from before sequence {}", id_, behind.front(),
                      behind.size() == 1 ? "" : fmt::format(" and {} more", behind.size() - 1), fact.left_sequence));
      return false;
    }
    return step_.wake.Passed(std::max(fact.retry_at_ms, fact.not_before_ms));
  }

  HostCommand Begin(const Candidate& candidate) {
    const v1::FleetModel& declared = DeclaredModel(step_.fleet, candidate.model);
    ModelFact& fact = step_.hosts.Fact(id_, candidate.model);
    HostCommand command;
    command.kind = candidate.kind;
    command.host = id_;
    command.instance = host_.instance;
    command.address = host_.seen->address;
    command.model = candidate.model;
    command.declared = declared;
    int64_t timeout = step_.options.unload_timeout.count();
    if (candidate.kind == CommandKind::kLoad) timeout = LoadTimeoutMs(declared);
    if (candidate.kind == CommandKind::kDryRun) timeout = DryRunTimeoutMs(declared);
    command.timeout = std::chrono::milliseconds(timeout);
    fact.under_way = true;
    if (candidate.kind == CommandKind::kDryRun) fact.is_first_try = std::exchange(fact.sample_is_new, false);
    fact.command = candidate.kind;
    fact.deadline_ms = step_.wake.now_ms() + timeout + kCommandSlackMs;
    step_.wake.Passed(fact.deadline_ms);
    if (candidate.kind == CommandKind::kUnload) {
      // From now on it may be gone at any moment.
      fact.belief = ModelFact::Belief::kNone;
      fact.loaded = false;
      fact.seen_ready = false;
      fact.proven = false;
    }
    return command;
  }

  CommandStep& step_;
  Trials& trials_;
  const std::string& id_;
  HostFact& host_;
  const std::set<std::string>& wanted_;
  const bool is_drained_;
  std::vector<Candidate> candidates_;
};

}  // namespace

std::vector<HostCommand> NextCommands(CommandStep& step) {
  std::map<std::string, std::set<std::string>> target_of_shard;
  for (const auto& [model, shards] : step.target) {
    for (const std::string& shard : shards) target_of_shard[shard].insert(model);
  }
  for (const auto& [model, placed] : step.placed.models) {
    if (!step.needs.contains(model)) continue;
    for (const std::string& shard : placed.shards) target_of_shard[shard].insert(model);
  }
  const std::set<std::string> drained(step.drains.hosts().begin(), step.drains.hosts().end());
  static const std::set<std::string> kNothing;
  Trials trials(step);
  std::vector<OfHost> hosts;
  for (auto& [id, host] : step.hosts.hosts()) {
    if (!host.alive || host.seen == nullptr || host.shares_address) continue;
    if (!step.fleet.shards().contains(host.seen->shard)) continue;  // nobody gave it to us
    if (!step.wake.Passed(host.rest_until_ms)) continue;
    const bool is_drained = drained.contains(id);
    const auto target = target_of_shard.find(host.seen->shard);
    const bool wants_nothing =
        target == target_of_shard.end() || (is_drained && !step.placed.Lists(host.seen->shard, host.seen->address));
    if (is_drained && !wants_nothing) {
      for (const std::string& model : target->second) {
        step.waits[model].push_back(
            fmt::format("host {} is drained, and stays in shard {} until another host there has all of its models, or "
                        "they are elsewhere",
                        id, host.seen->shard));
      }
    }
    hosts.emplace_back(step, trials, id, host, wants_nothing ? kNothing : target->second, is_drained).Find();
  }
  trials.Decide();
  std::vector<HostCommand> commands;
  for (OfHost& host : hosts) host.Choose(commands);
  return commands;
}

}  // namespace signalbox::rollout
