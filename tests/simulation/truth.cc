#include "tests/simulation/truth.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/canonical_json.h"
#include "base/status.h"
#include "tests/simulation/people.h"
#include "tests/simulation/world.h"

namespace signalbox::simulation {
namespace {

// From a host's loss of a model to the last batch that was decided without knowing it: a probe, its time-outs, a pause
// of the leader within its lease, the way of the batch.
constexpr int64_t kNoticeMs = 15'000;
// By so much what the leader knows of a data plane's last sign of life may be older than the sign.
constexpr int64_t kForgetSlackMs = 10'000;
// The longest wait before something is tried again.
constexpr int64_t kRetryMs = 60'000;
constexpr int64_t kPromptRollbackMs = 3'000;
// A rollout has four models at most, the load of one takes less than a second.
constexpr int64_t kPromptRolloutMs = 10'000;

std::string Text(const Route& route) { return fmt::format("{} on {}", route.first, route.second); }

std::string IdOf(const v1::ModelRef& model) {
  return model.version().empty() ? model.name() : fmt::format("{}@{}", model.name(), model.version());
}

}  // namespace

std::set<std::string> ModelsOf(const v1::RuleSet& rules) {
  std::set<std::string> models;
  for (const v1::Objective& objective : rules.objectives()) {
    models.insert(IdOf(objective.default_model()));
    for (const v1::ModelRef& fallback : objective.fallback_models()) models.insert(IdOf(fallback));
  }
  for (const v1::TrafficShift& shift : rules.traffic_shifts()) models.insert(IdOf(shift.to()));
  return models;
}

Truth::Truth(World& world) : world_(world), composition_(world.store) {}

void Truth::Violate(std::string_view invariant, std::string what) {
  if (violation_) return;
  world_.trace.Say("VIOLATION", "{}: {}", invariant, what);
  violation_ = {std::string(invariant), std::move(what)};
}

// --- I1 -------------------------------------------------------------------------------------------------------------

bool Truth::MayBeForgotten(const DataPlane& data_plane) const {
  const int64_t now_ms = world_.schedule.now_ms();
  const rollout::ControllerOptions& options = world_.plan.controller;
  const int64_t forget_ms = options.forget_data_plane_after.count() - kForgetSlackMs;
  if (now_ms - data_plane.last_heard_ms() >= forget_ms || now_ms - data_plane.unchanged_since_ms() >= forget_ms) {
    return true;
  }
  return data_plane.stuck_since_ms() >= 0 &&
         now_ms - data_plane.stuck_since_ms() >= options.acknowledge_timeout.count() - 1000;
}

void Truth::BeforeUnload(const SimulatedHost& host, const std::string& model) {
  const Route route(model, host.address());
  for (const auto& data_plane : world_.data_planes) {
    for (const auto& in_use : data_plane->InUse()) {
      if (!in_use->routes.contains(route)) continue;
      if (MayBeForgotten(*data_plane)) {
        int64_t& before = excused_[{data_plane->name(), route}];
        before = std::max(before, world_.store.sequence());
        continue;
      }
      const auto excused = excused_.find({data_plane->name(), route});
      if (excused != excused_.end() && in_use->snapshot->version() < excused->second) continue;
      Violate("I1", fmt::format("{} is unloaded, and {} may still use it by version {}", Text(route),
                                data_plane->name(), in_use->snapshot->version()));
    }
  }
  for (const auto& [scopes, routes] : routes_) {
    if (routes.contains(route))
      Violate("I1", fmt::format("{} is unloaded, and the newest snapshot has it", Text(route)));
  }
  if (!RetainedModels().contains(model) || clocks_jumped_) return;
  const bool elsewhere = std::any_of(world_.hosts.begin(), world_.hosts.end(), [&](const auto& other) {
    const SimulatedHost::Truth truth = other->TruthOf(model);
    const bool just_lost =
        truth.ever_validated && !truth.lost_by_command && world_.schedule.now_ms() - truth.lost_ms <= kNoticeMs;
    return other.get() != &host && (truth.validated || just_lost);
  });
  if (!elsewhere) Violate("I4", fmt::format("{} is unloaded, and is retained for going back", Text(route)));
}

void Truth::CheckRoute(const DataPlane& data_plane, int64_t version, const Route& route, std::string_view when) {
  SimulatedHost* host = world_.HostAt(route.second);
  if (host == nullptr) return Violate("I1", fmt::format("{}: there is no such host", Text(route)));
  const SimulatedHost::Truth truth = host->TruthOf(route.first);
  if (truth.validated) return;
  if (!truth.ever_validated) {
    return Violate(
        "I1", fmt::format("{} {} version {}: {} was never validated", data_plane.name(), when, version, Text(route)));
  }
  if (!truth.lost_by_command) return;
  const auto excused = excused_.find({data_plane.name(), route});
  if (excused != excused_.end() && version < excused->second) return;
  Violate("I1", fmt::format("{} {} version {}: {} was unloaded by command at {:.3f}", data_plane.name(), when, version,
                            Text(route), static_cast<double>(truth.lost_ms) / 1000));
}

void Truth::OnRoute(const DataPlane& data_plane, const RunningSnapshot& running, const Route& route) {
  CheckRoute(data_plane, running.snapshot->version(), route, "sends a request by");
}

// Whatever is new in the newest snapshots must be there.
void Truth::CheckNewRoutes() {
  Expect(composition_.Advance().ok(), "world", "the composition cannot be read");
  for (const std::vector<std::string>& scopes : world_.scope_sets()) {
    const std::shared_ptr<const decide::Snapshot> snapshot = composition_.SnapshotOf(scopes);
    std::set<Route> routes = RoutesOf(*snapshot);
    std::set<Route>& known = routes_[scopes];
    for (const Route& route : routes) {
      if (known.contains(route)) continue;
      SimulatedHost* host = world_.HostAt(route.second);
      const SimulatedHost::Truth truth = host == nullptr ? SimulatedHost::Truth{} : host->TruthOf(route.first);
      if (truth.validated) continue;
      // Until a new leader knows better it believes what the one before has written.
      const int64_t since_ms = std::max(truth.lost_ms, leads_since_ms_);
      const bool just_lost = truth.ever_validated && !truth.lost_by_command &&
                             (!truth.detectable || world_.schedule.now_ms() - since_ms <= kNoticeMs);
      if (just_lost) continue;
      Violate("I1", fmt::format("version {} routes to {}, which {}", snapshot->version(), Text(route),
                                !truth.ever_validated   ? "was never validated"
                                : truth.lost_by_command ? "was unloaded by command"
                                                        : "was lost long ago"));
    }
    known = std::move(routes);
  }
}

// --- I2 -------------------------------------------------------------------------------------------------------------

void Truth::BeforeTake(const DataPlane& data_plane, const RunningSnapshot& next) {
  const decide::Snapshot& snapshot = *next.snapshot;
  if (snapshot.version() <= data_plane.running_version()) {
    Violate("I2", fmt::format("{} goes back from version {} to {}", data_plane.name(), data_plane.running_version(),
                              snapshot.version()));
  }
  const auto sent = decisions_.find(snapshot.hash());
  if (sent == decisions_.end() || sent->second != next.decisions) {
    Violate("I5", fmt::format("{} takes version {} with decisions that no control plane has sent", data_plane.name(),
                              snapshot.version()));
  }
  for (const Route& route : next.routes) CheckRoute(data_plane, snapshot.version(), route, "takes");
}

void Truth::OnLead() { leads_since_ms_ = world_.schedule.now_ms(); }

void Truth::BeforeBatch() { placement_version_ = world_.store.Observed()->placement.version; }

void Truth::AfterBatch(const ControlPlane& control, const store::Batch& batch, int64_t observed_placement) {
  const std::optional<store::Record> leader = *world_.store.GetRecord(kLeaderKey);
  if (!leader || leader->value != control.name()) {
    Violate("I2",
            fmt::format("a batch of {} took effect, and {} leads", control.name(), leader ? leader->value : "nobody"));
  }
  for (const store::Publication& publication : batch.publications) {
    if (publication.topic == store::kPlacementTopic && placement_version_ != observed_placement) {
      Violate("I2", fmt::format("a placement that was decided on version {} was written over version {}",
                                observed_placement, placement_version_));
    }
    if (!publication.topic.starts_with("active/")) continue;
    v1::ActiveRules& known = active_[publication.topic];
    v1::ActiveRules now = ActiveIn(publication.topic);
    CheckActive(publication.topic, known, now);
    known = std::move(now);
  }
  CheckNewRoutes();
}

v1::ActiveRules Truth::ActiveIn(const std::string& topic) const {
  v1::ActiveRules active;
  const absl::StatusOr<store::Version> version = world_.store.Get(topic, std::nullopt);
  if (version.ok() && !ParseJson(version->content, active).ok()) active.Clear();
  return active;
}

void Truth::CheckActive(const std::string& topic, const v1::ActiveRules& before, const v1::ActiveRules& now) {
  if (now.rules_version() == 0) {
    return Expect(!now.scope().empty(), "I2", fmt::format("{} runs nothing any more", topic));
  }
  const absl::StatusOr<store::Version> rules =
      world_.store.Get(store::RulesTopic(now.namespace_()), now.rules_version());
  v1::RuleSet published;
  if (!rules.ok() || !ParseJson(rules->content, published).ok() ||
      published.SerializeAsString() != now.rule_set().SerializeAsString()) {
    Violate("I2", fmt::format("{} says that it is rules version {}, and is not", topic, now.rules_version()));
  }
  const rollout::ObservedNamespace of = world_.store.Observed()->namespaces.at(now.namespace_());
  if (now.scope().empty() && now.rules_version() < before.rules_version()) {
    const v1::ReleasePlan plan = of.release.content == nullptr ? v1::ReleasePlan() : *of.release.content;
    const bool wanted =
        plan.pinned_version() == now.rules_version() || plan.cancelled_version() == before.rules_version();
    Expect(wanted, "I2",
           fmt::format("{} goes back from rules version {} to {}, and nobody asked for it", topic,
                       before.rules_version(), now.rules_version()));
  }
  if (const auto rollback = rollbacks_.find(now.namespace_());
      rollback != rollbacks_.end() && now.scope().empty() && now.rules_version() >= rollback->second.version) {
    rollbacks_.erase(rollback);
  }
}

void Truth::OnPublished(const store::VersionInfo& info) {
  published_[{info.topic, info.version}] = info.content_hash;
  CheckNewRoutes();
  const std::optional<std::string_view> of_rules = store::NamespaceOfTopic(info.topic);
  if (!of_rules) return;
  const std::string name_space(*of_rules);
  rollbacks_.erase(name_space);
  published_ms_[name_space] = world_.schedule.now_ms();
  const rollout::ObservedNamespace of = world_.store.Observed()->namespaces.at(name_space);
  const v1::RuleSet& rules = *of.rules.content;
  const bool free_to_go =
      of.release.content == nullptr || (of.release.content->pinned_version() == 0 && !of.release.content->paused() &&
                                        of.release.content->steps().empty());
  const bool calm = world_.plan.profile == Profile::kCalm || world_.plan.profile == Profile::kIsolation;
  if (!free_to_go) return;
  const auto active = of.active.find("");
  bool retained = false;
  if (info.rollback_of != 0 && active != of.active.end() && active->second.content != nullptr) {
    for (const v1::RetainedVersion& version : active->second.content->retained()) {
      retained = retained || (version.rules_version() == info.rollback_of &&
                              version.until_unix_ms() > kEpochMs + world_.schedule.now_ms() + kPromptRollbackMs);
    }
  }
  if (retained && !clocks_jumped_ && !troubled_) {
    rollbacks_[name_space] = {info.version, world_.schedule.now_ms(), ModelsOf(rules)};
    if (calm) ExpectPrompt(name_space, info.version, kPromptRollbackMs, "I4");
  }
  if (world_.plan.profile == Profile::kIsolation && name_space == "risk" && CanRun(ModelsOf(rules))) {
    ExpectPrompt(name_space, info.version, kPromptRolloutMs, "I3");
  }
}

// --- I3, I4 ---------------------------------------------------------------------------------------------------------

void Truth::ExpectPrompt(const std::string& name_space, int64_t version, int64_t within_ms,
                         std::string_view invariant) {
  world_.schedule.After(within_ms, [this, name_space, version, within_ms, invariant] {
    const rollout::ObservedNamespace of = world_.store.Observed()->namespaces.at(name_space);
    // What was published or held up meanwhile has its own time.
    if (of.rules.version != version || troubled_) return;
    if (of.release.content != nullptr && (of.release.content->pinned_version() != 0 || of.release.content->paused() ||
                                          of.release.content->cancelled_version() == version)) {
      return;
    }
    const auto active = of.active.find("");
    const int64_t runs =
        active == of.active.end() || active->second.content == nullptr ? 0 : active->second.content->rules_version();
    Expect(runs >= version, invariant,
           fmt::format("{} rules version {} was published {} ms ago, and version {} runs", name_space, version,
                       within_ms, runs));
  });
}

void Truth::OnTrouble() {
  troubled_ = true;
  rollbacks_.clear();
}

void Truth::BeforeCommand(const ControlPlane& control, const rollout::HostCommand& command) {
  const SimulatedHost* host = world_.HostAt(command.address);
  if (command.kind != rollout::CommandKind::kLoad || host == nullptr) return;
  for (const auto& [name_space, rollback] : rollbacks_) {
    if (!rollback.models.contains(command.model)) continue;
    Violate("I4", fmt::format("{} has {} loaded, while {} goes back to what is retained", control.name(),
                              Text({command.model, command.address}), name_space));
  }
}

std::set<std::string> Truth::RetainedModels() const {
  std::set<std::string> models;
  const int64_t now_unix_ms = kEpochMs + world_.schedule.now_ms();
  for (const auto& [topic, active] : active_) {
    for (const v1::RetainedVersion& version : active.retained()) {
      if (version.until_unix_ms() > now_unix_ms) models.insert(version.models().begin(), version.models().end());
    }
  }
  return models;
}

// --- I5 -------------------------------------------------------------------------------------------------------------

void Truth::OnSent(const decide::Snapshot& snapshot) { decisions_.try_emplace(snapshot.hash(), DecisionsOf(snapshot)); }

void Truth::AfterRestart(const DataPlane& data_plane, const RunningSnapshot* kept) {
  const RunningSnapshot& running = *data_plane.running();
  if (kept != nullptr && kept->decisions == running.decisions && kept->routes == running.routes &&
      kept->snapshot->version() == running.snapshot->version()) {
    if (orphaned_ms_ >= 0) orphaned_decisions_[data_plane.name()] = running.decisions;
    return;
  }
  Violate("I5", fmt::format("{} starts with other decisions than those of the version {} that it had kept",
                            data_plane.name(), running.snapshot->version()));
}

void Truth::OnOrphaned() { orphaned_ms_ = world_.schedule.now_ms(); }

void Truth::BeforeRequest(const DataPlane& data_plane, const RunningSnapshot& running) {
  Expect(DecisionsOf(*running.snapshot) == running.decisions, "I5",
         fmt::format("{} decides otherwise than before", data_plane.name()));
  if (orphaned_ms_ < 0 || world_.schedule.now_ms() < orphaned_ms_ + 2 * kKeepaliveMs) return;
  const auto [known, is_new] = orphaned_decisions_.try_emplace(data_plane.name(), running.decisions);
  Expect(known->second == running.decisions, "I5",
         fmt::format("{} decides otherwise since there is no control plane", data_plane.name()));
}

// --- Progress -------------------------------------------------------------------------------------------------------

bool Truth::CanRun(const std::set<std::string>& models) const {
  return std::all_of(models.begin(), models.end(), [&](const std::string& model) {
    const auto nature = world_.catalog.find(model);
    return nature != world_.catalog.end() && nature->second.can_run();
  });
}

void Truth::AtEnd() {
  for (const auto& [key, hash] : published_) {
    const absl::StatusOr<store::Version> version = world_.store.Get(key.first, key.second);
    Expect(version.ok() && version->info.content_hash == hash, "I2",
           fmt::format("{} version {} was published, and is not there any more", key.first, key.second));
  }
  if (orphaned_ms_ >= 0) return;
  for (const std::string& name_space : kNamespaces) CheckNamespaceAtEnd(name_space);
  CheckHostsAtEnd();
  for (const auto& data_plane : world_.data_planes) {
    if (!data_plane->up()) continue;
    const auto newest = composition_.SnapshotOf(data_plane->scopes());
    Expect(data_plane->running_version() == newest->version(), "progress",
           fmt::format("{} runs version {}, the newest is {}", data_plane->name(), data_plane->running_version(),
                       newest->version()));
    for (const Route& route : RoutesOf(*newest)) {
      const SimulatedHost* host = world_.HostAt(route.second);
      Expect(host != nullptr && host->TruthOf(route.first).validated, "progress",
             fmt::format("the newest snapshot routes to {}, which is not there", Text(route)));
    }
    for (const auto& model : newest->models()) {
      const bool reachable = std::any_of(model->shards.begin(), model->shards.end(),
                                         [](const decide::Shard* shard) { return !shard->hosts.empty(); });
      Expect(reachable, "progress", fmt::format("{} is active and has no host", model->id));
    }
  }
}

// What was published last runs where it can; where it cannot, it says why.
void Truth::CheckNamespaceAtEnd(const std::string& name_space) {
  const rollout::ObservedNamespace of = world_.store.Observed()->namespaces.at(name_space);
  if (of.rules.version == 0) return;
  const auto active = of.active.find("");
  const int64_t runs =
      active == of.active.end() || active->second.content == nullptr ? 0 : active->second.content->rules_version();
  if (runs == of.rules.version) return;
  const v1::ReleasePlan plan = of.release.content == nullptr ? v1::ReleasePlan() : *of.release.content;
  if (plan.cancelled_version() == of.rules.version || (runs != 0 && plan.pinned_version() == runs)) return;
  v1::Rollouts rollouts;
  if (of.rollout) rollouts.ParseFromString(of.rollout->value);
  const v1::Rollout& current = rollouts.current();
  const std::string what = fmt::format(
      "{}: rules version {} was published last, version {} runs; the rollout is of version {}, {}: '{}'", name_space,
      of.rules.version, runs, current.rules_version(), v1::Rollout::State_Name(current.state()), current.reason());
  const bool failed = current.rules_version() == of.rules.version && current.state() == v1::Rollout::FAILED &&
                      !current.reason().empty();
  if (!failed) return Violate("progress", what);
  // A failure of the bad times is over and done with; after them there is no excuse.
  // A model that crashes its hosts takes those of all others on them along.
  const bool hosts_crash = std::any_of(world_.catalog.begin(), world_.catalog.end(), [](const auto& model) {
    return model.second.trouble == ModelNature::Trouble::kCrashesOnSample;
  });
  const bool good = !hosts_crash && CanRun(ModelsOf(*of.rules.content));
  if (good && published_ms_[name_space] >= world_.plan.faults_end_ms) Violate("progress", what);
}

// No model stays on a host for ever.
void Truth::CheckHostsAtEnd() {
  std::set<std::string> wanted = RetainedModels();
  for (const auto& [topic, active] : active_) {
    const std::set<std::string> models = ModelsOf(active.rule_set());
    wanted.insert(models.begin(), models.end());
  }
  for (const std::string& model : std::set<std::string>(wanted)) {
    for (const std::string& needed : world_.catalog[model].depends_on) wanted.insert(needed);
  }
  for (const auto& [id, host] : world_.directory) {
    for (const std::string& model : host->LoadedModels()) {
      // A load that nobody waits for any more may come to its end at any time; what failed is tried again after a
      // while.
      if (world_.schedule.now_ms() - host->TruthOf(model).loaded_ms < kRetryMs) continue;
      Expect(wanted.contains(model), "progress",
             fmt::format("{} is still loaded, and nothing names it", Text({model, host->address()})));
    }
  }
}

}  // namespace signalbox::simulation
