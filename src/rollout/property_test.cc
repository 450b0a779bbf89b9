// Whatever happens in whatever order: what is listed is there, what is used is not unloaded, and when the trouble is
// over everything comes to its end.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "rollout/test_world.h"

namespace signalbox::rollout {
namespace {

class RandomWorld {
 public:
  explicit RandomWorld(uint32_t seed) : random_(seed) {
    world_.Fleet(kFleet);
    for (int i = 0; i < 6; ++i) world_.AddHost(HostName(i), i < 3 ? "a" : i < 5 ? "b" : "c");
    for (const char* node : {"proxy-1", "proxy-2"}) world_.DataPlane(node);
    world_.DataPlane("proxy-1").add_scopes("region=eu");
    world_.before_unload = [this](const HostCommand& command) { CheckUnload(command); };
  }

  void Run() {
    for (int i = 0; i < 60; ++i) {
      Happen();
      const int turns = Pick(4);
      for (int turn = 0; turn < turns; ++turn) {
        world_.Turn();
        CheckPlacement();
      }
      if (Pick(3) == 0) {
        world_.Pass(Pick(5) == 0 ? Pick(700'000) : Pick(15'000));
        CheckPlacement();
      }
    }
    EndTrouble();
    CheckEnd();
  }

  World& world() { return world_; }

 private:
  static constexpr const char* kFleet = R"pb(
    shards {
      key: "a"
      value { memory_bytes: 1000 }
    }
    shards {
      key: "b"
      value { memory_bytes: 1000 }
    }
    shards {
      key: "c"
      value { memory_bytes: 1000 }
    }
    models {
      key: "m0"
      value { memory_bytes: 100 replicas: 2 }
    }
    models {
      key: "m1"
      value { memory_bytes: 200 depends_on: "m0@1" }
    }
    models {
      key: "m2"
      value { memory_bytes: 100 load_timeout_ms: 2000 }
    })pb";

  int Pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }
  static std::string HostName(int i) { return fmt::format("h{}", i); }
  std::string AnyHost() { return HostName(Pick(6)); }
  std::string AnyModel() { return fmt::format("m{}@{}", Pick(3), 1 + Pick(4)); }
  std::string AnyNamespace() { return Pick(2) == 0 ? "home" : "search"; }

  void Happen() {
    TestHost& host = world_.Host(AnyHost());
    const std::string node = Pick(2) == 0 ? "proxy-1" : "proxy-2";
    switch (Pick(15)) {
      case 0:
      case 1:
        world_.Publish(AnyNamespace(), {AnyModel(), AnyModel()}, Pick(4) == 0 ? 1 : 0);
        break;
      case 2:
        host.alive = !host.alive;
        break;
      case 3:
        host.instance += "+";
        host.index.clear();
        break;
      case 4:
        if (!host.index.empty()) host.index.erase(host.index.begin());
        break;
      case 5: {
        const char* kinds[] = {"load", "dry-run", "unload"};
        world_.answers[fmt::format("{} {} {}", kinds[Pick(3)], AnyHost(), AnyModel())] =
            Pick(2) == 0 ? std::nullopt : std::optional<absl::Status>(absl::InternalError("planted"));
        break;
      }
      case 6:
        world_.answers.clear();
        break;
      case 7:
        Elect();
        break;
      case 8:
        world_.write_status = Pick(2) == 0 ? absl::OkStatus() : absl::UnavailableError("no quorum");
        break;
      case 9:
        if (!world_.stuck.erase(node)) world_.stuck.insert(node);
        break;
      case 10:
        world_.JumpClock(Pick(2'000'000) - 1'000'000);
        break;
      case 11:
        world_.Drains(Pick(2) == 0 ? "" : Pick(2) == 0 ? R"pb(shards: "a")pb" : R"pb(hosts: "h0")pb");
        break;
      case 12:
        world_.Plan(AnyNamespace(), Pick(2) == 0 ? "" : R"pb(steps { scope: "region=eu" hold_ms: 5000 })pb");
        break;
      case 13:
        world_.Plan(AnyNamespace(), Pick(2) == 0 ? "paused: true" : "pinned_version: 1");
        break;
      default:
        host.probed = Pick(3) != 0;
        break;
    }
  }

  void Elect() {
    for (int i = 0; i < 6; ++i) world_.Host(HostName(i)).probed = Pick(4) != 0;
    world_.Elect();
  }

  // What the placement lists was alive and READY when it was written. (What happened since the last step is not the
  // controller's fault: only what it was told counts.)
  void CheckPlacement() {
    if (!world_.write_status.ok() || world_.last().batch.has_value() || !world_.IsQuiet()) return;
    const v1::Placement placement = world_.Placement();
    for (const auto& [model, entry] : placement.models()) {
      for (const std::string& shard : entry.shards()) {
        for (const std::string& address : placement.shards().at(shard).hosts()) {
          const std::string id = address.substr(0, address.find(':'));
          const TestHost& host = world_.Host(id);
          if (!host.probed) continue;
          EXPECT_TRUE(host.alive) << id;
          EXPECT_TRUE(world_.Has(id, model)) << id << " " << model;
        }
      }
    }
    for (const char* name : {"home", "search"}) {
      for (const char* scope : {"", "region=eu"}) {
        for (const std::string& model : world_.ActiveModels(name, scope)) {
          EXPECT_NE(world_.ShardsOf(model), "") << name << " " << scope << " " << model;
        }
      }
    }
  }

  // No snapshot that a data plane may still run routes to it.
  void CheckUnload(const HostCommand& command) {
    for (const char* node : {"proxy-1", "proxy-2"}) {
      if (world_.stuck.contains(node)) continue;  // given up after its time
      EXPECT_FALSE(world_.Routes(command.address, command.model)) << command.host << " " << command.model;
    }
  }

  void EndTrouble() {
    world_.answers.clear();
    world_.write_status = absl::OkStatus();
    world_.stuck.clear();
    world_.Drains("");
    for (int i = 0; i < 6; ++i) {
      world_.Host(HostName(i)).alive = true;
      world_.Host(HostName(i)).probed = true;
    }
    for (const char* name : {"home", "search"}) {
      world_.Plan(name, "");
      world_.Publish(name, {"m0@1", "m1@2"});
    }
    world_.Pass(2'400'000);
  }

  void CheckEnd() {
    for (const char* name : {"home", "search"}) {
      EXPECT_EQ(world_.StateOf(name), v1::Rollout::ACTIVE) << world_.ReasonOf(name);
      EXPECT_EQ(world_.ActiveVersion(name), world_.version(fmt::format("rules/{}", name)));
    }
    const v1::Placement placement = world_.Placement();
    EXPECT_EQ(placement.models_size(), 2);
    for (int i = 0; i < 6; ++i) {
      // Exactly what its shard has.
      const std::string shard = world_.Host(HostName(i)).shard;
      for (const auto& [model, state] : world_.Host(HostName(i)).index) {
        const auto& shards = placement.models().at(model).shards();
        EXPECT_NE(std::find(shards.begin(), shards.end(), shard), shards.end()) << HostName(i) << " " << model;
      }
      if (!placement.shards().contains(shard)) continue;
      EXPECT_NE(world_.HostsOf(shard).find(HostName(i)), std::string::npos) << HostName(i);
    }
    const int batches = world_.batches;
    world_.Pass(3'600'000);
    EXPECT_EQ(world_.batches, batches);
  }

  std::mt19937 random_;
  World world_;
};

TEST(Property, WhateverHappensWhatIsListedIsThereAndEverythingComesToItsEnd) {
  const char* given = std::getenv("SIGNALBOX_SEED");
  const uint32_t first = given == nullptr ? 0 : static_cast<uint32_t>(std::strtoul(given, nullptr, 10));
  for (uint32_t seed = first; seed < (given == nullptr ? 100 : first + 1); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RandomWorld random(seed);
    random.Run();
    if (testing::Test::HasFailure()) {
      for (const std::string& line : random.world().log) fmt::print("{}\n", line);
      return;
    }
  }
}

}  // namespace
}  // namespace signalbox::rollout
