#include "tests/simulation/world.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/simulation/faults.h"
#include "tests/simulation/people.h"

namespace signalbox::simulation {
namespace {

using Trouble = ModelNature::Trouble;

constexpr uint64_t kGiB = 1ULL << 30;
constexpr uint64_t kHostBytes = 40 * kGiB;
// A run of five simulated minutes has some ten thousand.
constexpr int64_t kEventsMax = 2'000'000;

Trouble RandomTrouble(Random& random, const Plan& plan, const std::string& name_space) {
  if (plan.profile == Profile::kIsolation && name_space != "home") return Trouble::kNone;
  if (!random.Chance(plan.profile == Profile::kIsolation ? 0.6 : 0.25)) return Trouble::kNone;
  // What hangs is worse for others than what fails.
  if (plan.profile == Profile::kIsolation && random.Chance(0.6)) return Trouble::kSlowLoad;
  switch (random.Between(0, 4)) {
    case 0:
      return Trouble::kLoadFails;
    case 1:
      return Trouble::kSlowLoad;
    case 2:
      return Trouble::kWrongAnswer;
    case 3:
      return Trouble::kTooLarge;
    default:
      // A host that goes takes the models of all with it.
      return plan.fault_every_ms == 0 ? Trouble::kWrongAnswer : Trouble::kCrashesOnSample;
  }
}

}  // namespace

World::World(uint64_t seed, bool print) : random(seed), trace(schedule, print), plan(DrawPlan(random)) {
  network.set_weather(plan.weather);
  MakeParts();
}

void World::MakeParts() {
  auto add_model = [this](const std::string& id, Trouble trouble) {
    ModelNature& nature = catalog[id];
    nature.trouble = trouble;
    nature.memory_bytes = trouble == Trouble::kTooLarge ? 10 * kHostBytes : random.Between(1, 3) * kGiB;
    nature.load_ms = random.Between(20, 900);
    return &nature;
  };
  add_model("popular@1", Trouble::kNone);
  for (const std::string& name_space : kNamespaces) {
    for (int version = 1; version <= 4; ++version) {
      // The first ones are good: something has to run.
      add_model(fmt::format("{}-ranker@{}", name_space, version),
                version == 1 ? Trouble::kNone : RandomTrouble(random, plan, name_space));
    }
  }
  catalog["home-ranker@2"].depends_on = {"popular@1"};

  for (int i = 1; i <= plan.hosts; ++i) {
    const std::string id = fmt::format("host-{}", i);
    hosts.push_back(std::make_unique<SimulatedHost>(*this, id, fmt::format("10.0.0.{}:8001", i),
                                                    fmt::format("shard-{}", (i - 1) % plan.shards + 1), kHostBytes));
    directory[id] = hosts.back().get();
  }
  if (plan.profile == Profile::kHeavy && random.Chance(0.3)) {
    const SimulatedHost& twin = *random.Pick(hosts);
    hosts.push_back(std::make_unique<SimulatedHost>(*this, twin.id(), "10.0.0.99:8001", twin.shard(), kHostBytes));
  }
  for (int i = 1; i <= plan.controls; ++i) {
    controls.push_back(std::make_unique<ControlPlane>(*this, fmt::format("control-{}", i)));
  }
  scope_sets_.push_back({});
  for (int i = 1; i <= plan.data_planes; ++i) {
    std::vector<std::string> scopes;
    if (i % 2 == 0) scopes.push_back("region=eu");
    if (std::find(scope_sets_.begin(), scope_sets_.end(), scopes) == scope_sets_.end()) scope_sets_.push_back(scopes);
    data_planes.push_back(std::make_unique<DataPlane>(*this, fmt::format("proxy-{}", i), scopes));
  }
}

void World::Run() {
  trace.Say("world", "{}: {} control planes, {} hosts in {} shards, {} data planes, {} namespaces, until {} s",
            Name(plan.profile), plan.controls, plan.hosts, plan.shards, plan.data_planes, kNamespaces.size(),
            plan.end_ms / 1000);
  People people(*this);
  Faults faults(*this);
  people.Begin();
  for (const auto& host : hosts) host->Start();
  for (const auto& control : controls) schedule.After(random.Between(0, 500), [&control] { control->Start(); });
  for (const auto& plane : data_planes) schedule.After(random.Between(0, 3000), [&plane] { plane->Start(); });
  people.GoOn();
  faults.GoOn();
  if (plan.profile == Profile::kOrphaned) {
    schedule.At(random.Between(plan.faults_end_ms / 3, plan.faults_end_ms), [&faults] { faults.OrphanDataPlanes(); });
  }
  schedule.At(plan.faults_end_ms, [&] {
    faults.Heal();
    people.Settle();
  });
  while (!truth.violation() && schedule.RunOne(plan.end_ms)) {
    if (++events_ > kEventsMax) truth.Expect(false, "world", "so many events that something runs in a circle");
  }
  if (!truth.violation()) truth.AtEnd();
}

SimulatedHost* World::HostAt(const std::string& address) {
  const auto host = std::find_if(hosts.begin(), hosts.end(), [&](const auto& h) { return h->address() == address; });
  return host == hosts.end() ? nullptr : host->get();
}

void World::TellStoreChanged() {
  for (const auto& control : controls) {
    const int times = random.Chance(0.02) ? 2 : 1;
    for (int i = 0; i < times; ++i) {
      const std::optional<int64_t> delay = network.Delay(kStoreName, control->name());
      if (delay) schedule.After(*delay, [&control] { control->OnStoreChanged(); });
    }
  }
}

void World::BreakCutStreams() {
  for (const auto& plane : data_planes) {
    const std::shared_ptr<Stream> stream = plane->stream();
    if (stream == nullptr) continue;
    const std::string& control = stream->control->name();
    if (network.IsCut(control, plane->name()) || network.IsCut(plane->name(), control)) Break(*this, stream, 0);
  }
}

}  // namespace signalbox::simulation
