#include "tests/simulation/people.h"

#include <fmt/format.h>

#include "base/canonical_json.h"
#include "base/status.h"
#include "tests/simulation/world.h"

namespace signalbox::simulation {

const std::vector<std::string> kNamespaces = {"home", "risk"};

namespace {

constexpr char kScope[] = "region=eu";

v1::ModelRef Ref(const std::string& id) {
  v1::ModelRef model;
  const size_t at = id.find('@');
  model.set_name(id.substr(0, at));
  if (at != std::string::npos) model.set_version(id.substr(at + 1));
  return model;
}

}  // namespace

void People::Publish(const std::string& topic, const google::protobuf::Message& content, const std::string& who) {
  absl::StatusOr<store::Published> published =
      world_.store_down ? absl::UnavailableError("the store is away")
                        : world_.store.Publish({topic, *CanonicalJson(content), who, "", {}});
  world_.trace.Say(
      who, "publishes {}: {}", topic,
      published.ok() ? fmt::format("version {}", published->info.version) : std::string(Message(published.status())));
  if (!published.ok() || published->unchanged) return;
  world_.truth.OnPublished(published->info);
  world_.TellStoreChanged();
}

void People::Begin() {
  PublishFleet();
  for (const std::string& name_space : kNamespaces) PublishRules(name_space);
}

void People::PublishFleet() {
  fleet_.Clear();
  for (const auto& host : world_.hosts) {
    v1::FleetShard& shard = (*fleet_.mutable_shards())[host->shard()];
    shard.set_memory_bytes(host->memory_bytes());
    shard.set_cores(4);
    if (world_.directory[host->id()] != host.get()) continue;
    v1::FleetHost& entry = *shard.add_hosts();
    entry.set_id(host->id());
    entry.set_address(host->address());
  }
  for (const auto& [id, nature] : world_.catalog) {
    v1::FleetModel& model = (*fleet_.mutable_models())[id];
    model.set_memory_bytes(nature.memory_bytes);
    model.set_cost_seconds(0.001);
    model.set_requests_per_second(10);
    model.set_replicas(1);
    model.set_load_timeout_ms(world_.plan.load_timeout_ms);
    model.set_dry_run_timeout_ms(2000);
    for (const std::string& needed : nature.depends_on) model.add_depends_on(needed);
  }
  Publish("fleet", fleet_, "operator");
}

void People::GoOn() {
  world_.schedule.After(world_.random.Between(500, 2 * world_.plan.people_every_ms), [this] {
    if (world_.schedule.now_ms() >= world_.plan.faults_end_ms) return;
    DoSomething();
    GoOn();
  });
}

void People::DoSomething() {
  const std::string& name_space = world_.random.Pick(kNamespaces);
  const int64_t what = world_.random.Between(0, 99);
  if (what < 45) return PublishRules(name_space);
  if (what < 70) return GoBack(name_space);
  if (what < 88) return ChangeRelease(name_space);
  if (!world_.plan.moves) return PublishRules(name_space);
  if (what < 92) return Drain();
  if (what < 96) return ChangeSample();
  ChangeFleet();
}

std::string People::RandomModel(const std::string& name_space) {
  if (world_.random.Chance(0.15)) return "popular@1";
  return fmt::format("{}-ranker@{}", name_space, world_.random.Between(1, 4));
}

void People::PublishRules(const std::string& name_space) {
  v1::RuleSet rules;
  rules.set_namespace_(name_space);
  const int64_t objectives = world_.random.Between(1, 2);
  for (int64_t i = 1; i <= objectives; ++i) {
    v1::Objective& objective = *rules.add_objectives();
    objective.set_name(fmt::format("{}{}", name_space == "home" ? "Home" : "Risk", i));
    *objective.mutable_default_model() = Ref(RandomModel(name_space));
    (*objective.mutable_parameters())["release"] = fmt::format("{}", ++rules_);
    if (world_.random.Chance(0.5)) *objective.add_fallback_models() = Ref("popular@1");
  }
  if (world_.random.Chance(0.3)) {
    v1::TrafficShift& shift = *rules.add_traffic_shifts();
    shift.set_id("canary");
    shift.add_objectives(rules.objectives(0).name());
    const std::string to = RandomModel(name_space);
    *shift.mutable_to() = Ref(to);
    shift.set_share_ppm(300'000);
    if (shift.to().SerializeAsString() == rules.objectives(0).default_model().SerializeAsString()) {
      rules.clear_traffic_shifts();
    }
  }
  Publish(store::RulesTopic(name_space), rules, "researcher");
}

// To one of the versions before; the one that ran before is the most wanted.
void People::GoBack(const std::string& name_space) {
  if (world_.store_down) return;
  const rollout::ObservedNamespace of = world_.store.Observed()->namespaces.at(name_space);
  if (of.rules.version < 2) return;
  int64_t to = world_.random.Between(1, of.rules.version - 1);
  const auto active = of.active.find("");
  if (active != of.active.end() && active->second.content != nullptr && !active->second.content->retained().empty() &&
      world_.random.Chance(0.8)) {
    to = active->second.content->retained(0).rules_version();
  }
  if (to == of.rules.version) return;
  absl::StatusOr<store::Published> published =
      world_.store.Rollback({store::RulesTopic(name_space), to, "researcher", "", {}});
  world_.trace.Say(
      "researcher", "goes back with {} to version {}: {}", name_space, to,
      published.ok() ? fmt::format("version {}", published->info.version) : std::string(Message(published.status())));
  if (!published.ok() || published->unchanged) return;
  world_.truth.OnPublished(published->info);
  world_.TellStoreChanged();
}

v1::ReleasePlan People::ReleaseOf(const std::string& name_space) const {
  const rollout::ObservedNamespace of = world_.store.Observed()->namespaces.at(name_space);
  v1::ReleasePlan plan = of.release.content == nullptr ? v1::ReleasePlan() : *of.release.content;
  plan.set_namespace_(name_space);
  return plan;
}

void People::ChangeRelease(const std::string& name_space) {
  v1::ReleasePlan plan = ReleaseOf(name_space);
  const rollout::ObservedNamespace of = world_.store.Observed()->namespaces.at(name_space);
  switch (world_.random.Between(0, 5)) {
    case 0:
      plan.set_pinned_version(plan.pinned_version() != 0 ? 0 : world_.random.Between(1, of.rules.version));
      break;
    case 1:
      plan.set_paused(!plan.paused());
      break;
    case 2:
      plan.set_cancelled_version(of.rules.version);
      break;
    case 3:
      plan.set_promoted_version(of.rules.version);
      break;
    default:
      if (plan.steps().empty()) {
        v1::ReleaseStep& step = *plan.add_steps();
        step.set_scope(kScope);
        step.set_hold_ms(world_.random.Between(1, 6) * 1000);
      } else {
        plan.clear_steps();
      }
  }
  Publish("release/" + name_space, plan, "operator");
}

void People::Drain() {
  if (!drains_.shards().empty() || !drains_.hosts().empty()) {
    drains_.Clear();
  } else if (world_.random.Chance(0.5)) {
    drains_.add_shards(world_.random.Pick(world_.hosts)->shard());
  } else {
    drains_.add_hosts(world_.random.Pick(world_.hosts)->id());
  }
  world_.truth.OnTrouble();
  Publish("drains", drains_, "operator");
}

// A model is to be on exactly one shard, or on two.
void People::ChangeFleet() {
  const std::string model = RandomModel(world_.random.Pick(kNamespaces));
  v1::FleetModel& entry = (*fleet_.mutable_models())[model];
  entry.clear_shards();
  if (world_.random.Chance(0.6)) entry.add_shards(world_.random.Pick(world_.hosts)->shard());
  world_.truth.OnTrouble();
  Publish("fleet", fleet_, "operator");
}

// Somebody mistakes himself, or mends that.
void People::ChangeSample() {
  v1::FleetModel& entry = (*fleet_.mutable_models())[RandomModel(world_.random.Pick(kNamespaces))];
  entry.set_sample_request(entry.sample_request().empty() ? kWrongSample : "");
  world_.truth.OnTrouble();
  Publish("fleet", fleet_, "operator");
}

void People::Settle() {
  for (auto& [model, entry] : *fleet_.mutable_models()) entry.clear_sample_request();
  Publish("fleet", fleet_, "operator");
  for (const std::string& name_space : kNamespaces) {
    v1::ReleasePlan plan = ReleaseOf(name_space);
    plan.clear_pinned_version();
    plan.clear_paused();
    plan.clear_steps();
    if (plan.SerializeAsString() != ReleaseOf(name_space).SerializeAsString()) {
      Publish("release/" + name_space, plan, "operator");
    }
    if (world_.random.Chance(0.5)) PublishRules(name_space);
  }
  drains_.Clear();
  Publish("drains", drains_, "operator");
}

}  // namespace signalbox::simulation
