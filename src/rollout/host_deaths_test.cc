// Models that take their hosts with them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "rollout/test_world.h"

namespace signalbox::rollout {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

// Two hosts of shard a with ranker@1, active. Some models kill.
struct DeadlyWorld : World {
  DeadlyWorld() {
    Fleet(R"pb(shards {
                 key: "a"
                 value {}
               })pb");
    AddHost("h1", "a");
    AddHost("h2", "a");
    Publish("home", {"ranker@1"});
    Settle();
    commands.clear();
    before_command = [this](const HostCommand& command) {
      const char* const kind = command.kind == CommandKind::kLoad     ? "load"
                               : command.kind == CommandKind::kDryRun ? "dry-run"
                                                                      : "unload";
      if (deadly.contains(fmt::format("{} {}", kind, command.model))) Kill(command.host);
    };
  }

  void Kill(const std::string& id) {
    ++deaths[id];
    TestHost& host = Host(id);
    host.alive = false;
    host.instance += "+";
    host.index.clear();
    dead_until[id] = now_ms() + down_ms;
  }

  // Half a second at a time; hosts that died start again.
  void Live(int64_t ms) {
    for (int64_t until = now_ms() + ms; now_ms() < until;) {
      Pass(500);
      for (auto& [id, at] : dead_until) {
        if (at >= 0 && now_ms() >= at) {
          Host(id).alive = true;
          at = -1;
        }
      }
    }
  }

  int DeathsOfAll() const {
    int all = 0;
    for (const auto& [host, count] : deaths) all += count;
    return all;
  }

  std::set<std::string> deadly;  // "dry-run MODEL"
  int64_t down_ms = 2'000;
  std::map<std::string, int> deaths;  // by host
  std::map<std::string, int64_t> dead_until;
};

TEST(HostDeaths, AModelThatKillsItsHostFailsAfterThreeDeathsOfOneHost) {
  DeadlyWorld world;
  world.deadly = {"dry-run bad@1"};
  world.Publish("other", {"bad@1"});
  world.Live(60'000);
  EXPECT_EQ(world.StateOf("other"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("other"), AllOf(HasSubstr("model bad@1 kills its host"), HasSubstr("host h1 of shard a"),
                                             HasSubstr("died 3 times"), HasSubstr("retry the rollout")));
  EXPECT_EQ(world.deaths["h1"], 3);
  EXPECT_EQ(world.deaths["h2"], 0);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
  EXPECT_EQ(world.ActiveVersion("home"), 1);
}

TEST(HostDeaths, ALoadKillsAsADryRunDoes) {
  DeadlyWorld world;
  world.deadly = {"load bad@1"};
  world.Publish("other", {"bad@1"});
  world.Live(60'000);
  EXPECT_EQ(world.StateOf("other"), v1::Rollout::FAILED);
  EXPECT_EQ(world.deaths["h1"], 3);
  EXPECT_THAT(world.commands, Not(Contains("load h2 bad@1")));
}

TEST(HostDeaths, AModelThatIsAssignedElsewhereSinceIsTriedThere) {
  DeadlyWorld world;
  const std::string shards = "shards { key: 'a' value {} } shards { key: 'b' value {} } ";
  world.Fleet(shards + "models { key: 'bad@1' value { shards: 'a' } }");
  world.AddHost("h3", "b");
  world.deadly = {"dry-run bad@1"};
  world.Publish("other", {"bad@1"});
  world.Live(5'000);
  ASSERT_GE(world.deaths["h1"], 1);
  world.deadly.clear();
  world.Fleet(shards + "models { key: 'bad@1' value { shards: 'b' } }");
  world.Live(20'000);
  EXPECT_EQ(world.ActiveVersion("other"), 1) << world.ReasonOf("other");
  EXPECT_EQ(world.HostsOf("b"), "h3:8001");
}

TEST(HostDeaths, OneThatStartsAgainBeforeAnyProbeNoticesHasDiedAllTheSame) {
  DeadlyWorld world;
  world.deadly = {"dry-run bad@1"};
  world.down_ms = 0;
  world.before_command = [&](const HostCommand& command) {
    if (command.kind != CommandKind::kDryRun || command.model != "bad@1") return;
    ++world.deaths[command.host];
    world.Restart(command.host);
  };
  world.Publish("other", {"bad@1"});
  world.Live(60'000);
  EXPECT_EQ(world.StateOf("other"), v1::Rollout::FAILED);
  EXPECT_EQ(world.deaths["h1"], 3);
  EXPECT_EQ(world.deaths["h2"], 0);
}

TEST(HostDeaths, AHostThatDiesShortlyAfterItsAnswerHasDiedOfTheModelToo) {
  DeadlyWorld world;
  world.Plan("films", "paused: true");  // validated, and not in use yet
  world.Publish("films", {"late@1"});
  const auto tried = [&] { return std::count(world.commands.begin(), world.commands.end(), "dry-run h1 late@1"); };
  for (int i = 0; i < 3; ++i) {
    for (int turn = 0; turn < 200 && tried() <= i; ++turn) world.Live(500);
    ASSERT_GT(tried(), i);
    world.Kill("h1");
  }
  world.Live(20'000);
  EXPECT_EQ(world.StateOf("films"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("films"), HasSubstr("host h1 of shard a died 3 times"));
}

TEST(HostDeaths, AModelThatNobodyHasValidatedIsTriedOnOneHostAndThenOnTheOthers) {
  DeadlyWorld world;
  world.answers["dry-run h1 ranker@2"] = std::nullopt;
  world.Publish("home", {"ranker@2"});
  world.Settle();
  EXPECT_THAT(world.commands, testing::ElementsAre("load h1 ranker@2", "dry-run h1 ranker@2"));
  world.answers.clear();
  world.Pass(60'000);
  EXPECT_THAT(world.commands, Contains("dry-run h2 ranker@2"));
  EXPECT_EQ(world.ActiveVersion("home"), 2);
}

TEST(HostDeaths, TwoModelsAreTriedOnTwoHostsAtATime) {
  DeadlyWorld world;
  world.answers["load h1 one@1"] = world.answers["load h2 two@1"] = std::nullopt;
  world.Publish("other", {"one@1", "two@1"});
  world.Settle();
  EXPECT_THAT(world.commands, testing::ElementsAre("load h1 one@1", "load h2 two@1"));
}

TEST(HostDeaths, AModelThatMerelyFailsOnAHostIsTriedOnAnother) {
  World world;
  world.Fleet(R"pb(shards {
                     key: "a"
                     value {}
                   })pb");
  world.AddHost("h1", "a");
  world.AddHost("h2", "a");
  world.answers["load h1 ranker@1"] = absl::InternalError("disk");
  world.Publish("home", {"ranker@1"});
  world.Pass(3'000);
  EXPECT_EQ(world.ActiveVersion("home"), 1);
  EXPECT_EQ(world.HostsOf("a"), "h2:8001");
}

TEST(HostDeaths, AGoodModelBesideADeadlyOneIsTriedAloneAndRuns) {
  DeadlyWorld world;
  world.RemoveHost("h2");
  world.Settle();
  world.deadly = {"dry-run bad@1"};
  world.answers["dry-run h1 good@1"] = std::nullopt;  // under way when the other one kills
  world.Publish("films", {"good@1"});
  world.Settle();
  world.Publish("other", {"bad@1"});
  world.Live(1'500);
  ASSERT_EQ(world.DeathsOfAll(), 1);
  world.answers.clear();
  world.Live(120'000);
  EXPECT_EQ(world.StateOf("other"), v1::Rollout::FAILED);
  EXPECT_EQ(world.ActiveVersion("films"), 1) << world.ReasonOf("films");
  ASSERT_EQ(world.Rollouts("films").current().host_deaths_size(), 1);
  EXPECT_EQ(world.Rollouts("films").current().host_deaths(0).deaths(), 1U);
  EXPECT_EQ(world.deaths["h1"], 3);
}

TEST(HostDeaths, ANewLeaderGoesOnCounting) {
  DeadlyWorld world;
  world.deadly = {"dry-run bad@1"};
  world.Publish("other", {"bad@1"});
  for (int i = 0; i < 200 && world.StateOf("other") != v1::Rollout::FAILED; ++i) {
    world.Live(500);
    // One after each death that was written.
    const v1::Rollout current = world.Rollouts("other").current();
    const int written = current.host_deaths().empty() ? 0 : static_cast<int>(current.host_deaths(0).deaths());
    if (written == world.DeathsOfAll() && i % 10 == 9) world.Elect();
  }
  EXPECT_EQ(world.StateOf("other"), v1::Rollout::FAILED);
  EXPECT_EQ(world.deaths["h1"], 3);
  EXPECT_EQ(world.deaths["h2"], 0);
}

TEST(HostDeaths, AHostThatStaysAwayFailsTheRolloutInsteadOfHoldingItUp) {
  DeadlyWorld world;
  world.deadly = {"dry-run bad@1"};
  world.down_ms = 3'600'000;
  world.Publish("other", {"bad@1"});
  world.Live(40'000);
  EXPECT_EQ(world.StateOf("other"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("other"), AllOf(HasSubstr("host h1 of shard a went away while"), HasSubstr("bad@1")));
  EXPECT_EQ(world.deaths["h2"], 0);
  EXPECT_EQ(world.HostsOf("a"), "h2:8001");
}

TEST(HostDeaths, AHostThatWasOnlyNotHeardIsNotDead) {
  DeadlyWorld world;
  world.answers["dry-run h1 ranker@2"] = absl::UnavailableError("connection reset");
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.Host("h1").alive = false;
  world.Settle();
  world.answers.clear();
  world.Host("h1").alive = true;
  world.Pass(60'000);
  EXPECT_EQ(world.ActiveVersion("home"), 2);
  EXPECT_EQ(world.Rollouts("home").current().host_deaths_size(), 0);
}

TEST(HostDeaths, AnotherTryBeginsToCountAnew) {
  DeadlyWorld world;
  world.deadly = {"dry-run bad@1"};
  world.Publish("other", {"bad@1"});
  world.Live(60'000);
  ASSERT_EQ(world.StateOf("other"), v1::Rollout::FAILED);
  world.deadly.clear();
  world.Plan("other", "attempt: 1");
  world.Live(60'000);
  EXPECT_EQ(world.ActiveVersion("other"), 1) << world.ReasonOf("other");
}

}  // namespace
}  // namespace signalbox::rollout
