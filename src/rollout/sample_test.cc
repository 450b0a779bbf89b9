// Samples that are wrong, and what must not come of them: a shard that goes for a line in the fleet file, and rules
// that take effect where nothing can answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "rollout/test_world.h"

namespace signalbox::rollout {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kFleet = R"pb(shards {
                                      key: "a"
                                      value {}
                                    })pb";
constexpr const char* kOtherSample = R"pb(shards {
                                            key: "a"
                                            value {}
                                          }
                                          models {
                                            key: "ranker"
                                            value { sample_request: "{\"id\": \"another\"}" }
                                          })pb";

const absl::Status kRefused = absl::InvalidArgumentError("input 'title' has a wrong datatype");

// Two hosts of shard a with ranker@1, active.
struct Serving : World {
  Serving() {
    Fleet(kFleet);
    AddHost("h1", "a");
    AddHost("h2", "a");
    Publish("home", {"ranker@1"});
    Settle();
    EXPECT_EQ(HostsOf("a"), "h1:8001,h2:8001");
    commands.clear();
    log.clear();
  }
  // The new sample is one that the model refuses.
  void BreakSample() {
    answers["dry-run * ranker@1"] = kRefused;
    Fleet(kOtherSample);
    Settle();
  }
  void MendSample() {
    answers.clear();
    Fleet(kFleet);
    Settle();
  }
  std::string WaitsOf(const std::string& model) const {
    for (const PlacementView::ModelView& view : controller().placement().models) {
      if (view.model == model) return fmt::format("{}", fmt::join(view.waits, "; "));
    }
    return "";
  }
};

TEST(Samples, AChangedOneIsTriedAtOnceOnWhatIsLoaded) {
  Serving world;
  world.Fleet(kOtherSample);
  world.Settle();
  EXPECT_THAT(world.commands, ElementsAre("dry-run h1 ranker@1", "dry-run h2 ranker@1"));
  EXPECT_THAT(world.log, Not(Contains(HasSubstr("sample"))));
}

TEST(Samples, OneThatIsRefusedIsToldAndTakesNoHostOut) {
  Serving world;
  const int version = static_cast<int>(world.version("placement"));
  world.BreakSample();
  world.Pass(120'000);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
  EXPECT_EQ(world.version("placement"), version);
  EXPECT_THAT(world.log, Contains(HasSubstr("host h1: ranker@1 fails its sample request, and stays in use")));
  EXPECT_EQ(std::count_if(world.log.begin(), world.log.end(),
                          [](const std::string& line) { return line.find("sample") != std::string::npos; }),
            2)
      << "once for each host";
  EXPECT_THAT(world.ReasonOf("home"), HasSubstr("ranker@1 on host h1 fails its sample request"));
  EXPECT_THAT(world.WaitsOf("ranker@1"), HasSubstr("ranker@1 on host h2 fails its sample request"));
  EXPECT_THAT(world.commands, Not(Contains(HasSubstr("load"))));
}

TEST(Samples, OneThatIsMendedIsTriedAtOnceAndNothingIsSaidOfItAnyMore) {
  Serving world;
  world.BreakSample();
  world.Pass(50'000);
  const int64_t before = world.now_ms();
  world.MendSample();
  EXPECT_EQ(world.now_ms(), before);
  EXPECT_THAT(world.log, Contains(HasSubstr("host h2: ranker@1 answers its sample request again")));
  world.Pass(1'000);
  EXPECT_EQ(world.ReasonOf("home"), "");
  EXPECT_EQ(world.WaitsOf("ranker@1"), "");
}

TEST(Samples, ANewLeaderDropsNoHostForOneEither) {
  Serving world;
  world.BreakSample();
  world.Elect();
  world.Pass(60'000);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
  EXPECT_THAT(world.ReasonOf("home"), HasSubstr("fails its sample request"));
}

TEST(Samples, AHostThatWasOnlyNotHeardComesBackWithAFailingOne) {
  Serving world;
  world.BreakSample();
  world.Host("h1").alive = false;
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "h2:8001");
  world.Host("h1").alive = true;
  world.Pass(5'000);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
}

TEST(Samples, AHostThatStartsAgainHasToAnswerThem) {
  Serving world;
  world.BreakSample();
  world.Restart("h1");
  world.Pass(60'000);
  EXPECT_EQ(world.HostsOf("a"), "h2:8001");
  world.MendSample();
  world.Pass(61'000);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
}

TEST(Samples, AHostThatLosesTheModelOrDoesNotAnswerInTimeLeaves) {
  for (const absl::Status& status :
       {absl::NotFoundError("no such model"), absl::DeadlineExceededError("no answer within 10000 ms")}) {
    Serving world;
    world.answers["dry-run h1 ranker@1"] = status;
    world.answers["load h1 ranker@1"] = std::nullopt;
    world.Fleet(kOtherSample);
    world.Settle();
    EXPECT_EQ(world.HostsOf("a"), "h2:8001") << status.ToString();
  }
  Serving world;
  world.BreakSample();
  world.Host("h1").index["ranker@1"] = ModelState::kUnavailable;
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "h2:8001");
  world.Pass(60'000);
  EXPECT_EQ(world.HostsOf("a"), "h2:8001") << "loaded again, it has to answer";
}

TEST(Samples, OneThatTakesAHostWithItIsTriedOnNoOther) {
  Serving world;
  world.before_command = [&](const HostCommand& command) {
    if (command.kind == CommandKind::kDryRun) world.Host(command.host).alive = false;
  };
  world.Fleet(kOtherSample);
  world.Settle();
  world.Restart("h1");
  world.Host("h1").alive = true;
  world.before_command = nullptr;
  world.answers["load h1 ranker@1"] = std::nullopt;
  world.Pass(30'000);
  EXPECT_THAT(world.commands, Not(Contains("dry-run h2 ranker@1")));
  EXPECT_EQ(world.HostsOf("a"), "h2:8001");
  EXPECT_THAT(world.log, Contains(HasSubstr("has taken host h1 with it, and is not tried on others")));
}

TEST(Samples, ARolloutWhoseModelWasNeverThereIsHeldToThem) {
  Serving world;
  world.answers["dry-run * ranker@2"] = kRefused;
  world.Publish("home", {"ranker@2"});
  world.Pass(60'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
  EXPECT_EQ(world.ActiveVersion("home"), 1);
}

TEST(Samples, OneThatChangesUnderARolloutCountsForIt) {
  Serving world;
  world.answers["load h2 ranker@2"] = std::nullopt;
  world.Publish("home", {"ranker@2"});
  world.Settle();
  EXPECT_THAT(world.commands, Contains("dry-run h1 ranker@2"));
  world.answers = {{"dry-run * ranker@2", kRefused}};
  world.Fleet(kOtherSample);
  world.Pass(120'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
}

TEST(Rollouts, AreNotActiveWhileOneOfTheirModelsHasNoHost) {
  Serving world;
  for (const char* host : {"h1", "h2"}) world.Host(host).alive = false;
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "");
  world.Publish("home", {"ranker@1", "ranker@1"});
  world.Settle();
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::LOADING);
  EXPECT_THAT(world.ReasonOf("home"),
              HasSubstr("no host of shard a may answer for ranker@1: host h1: does not answer; host h2: does not"));
  EXPECT_EQ(world.ActiveVersion("home"), 1);
  world.Host("h2").alive = true;
  world.Pass(3'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::ACTIVE);
  EXPECT_EQ(world.ActiveVersion("home"), 2);
}

TEST(Rollouts, FailByTheirTimeoutWhileAModelHasNoHost) {
  Serving world;
  for (const char* host : {"h1", "h2"}) world.Host(host).alive = false;
  world.Publish("home", {"ranker@1", "ranker@1"});
  world.Pass(601'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("home"), HasSubstr("not validated within 600 s: no host of shard a may answer"));
  EXPECT_EQ(world.ActiveVersion("home"), 1);
}

TEST(Rollouts, WaitForALookAtHostsThatAreOnlyWrittenDown) {
  Serving world;
  world.Elect();
  for (const char* host : {"h1", "h2"}) world.Host(host).probed = false;
  world.Publish("home", {"ranker@1", "ranker@1"});
  world.Settle();
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::LOADING);
  world.Host("h1").probed = true;
  world.Settle();
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::ACTIVE);
}

TEST(Rollouts, BackIsInstantAlsoWithASampleThatFails) {
  Serving world;
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.BreakSample();
  world.commands.clear();
  const int64_t before = world.now_ms();
  world.Publish("home", {"ranker@1"}, 1);
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home"), 3);
  EXPECT_EQ(world.now_ms(), before);
  EXPECT_THAT(world.commands, Not(Contains(StartsWith("load"))));
}

}  // namespace
}  // namespace signalbox::rollout
