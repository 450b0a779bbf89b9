// `signalbox traffic show`, `set`, `pause` and `resume`, as a user meets them.
#include <gmock/gmock.h>
#include <sqlite3.h>

#include <algorithm>
#include <sstream>
#include <thread>

#include "base/canonical_json.h"
#include "base/unix_time.h"
#include "signalbox/v1/rules.pb.h"
#include "store/store.h"
#include "tests/rules_commands/rules_folder.h"

namespace signalbox {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kHour = 3'600'000;

class TrafficCommandsTest : public testing::Test {
 protected:
  // `canary` at 10 %, and `ramp`, which is at 1 % since half an hour and goes to 50 % after another half.
  TrafficCommandsTest() {
    v1::RuleSet rules;
    rules.set_namespace_("default");
    v1::Objective& objective = *rules.add_objectives();
    objective.set_name("Ranking");
    objective.mutable_default_model()->set_name("ranker");
    for (const char* id : {"canary", "ramp"}) {
      v1::TrafficShift& shift = *rules.add_traffic_shifts();
      shift.set_id(id);
      shift.set_seed(id);
      shift.add_objectives("Ranking");
      shift.mutable_to()->set_name(id);
    }
    rules.mutable_traffic_shifts(0)->set_share_ppm(100'000);
    v1::RampSchedule& schedule = *rules.mutable_traffic_shifts(1)->mutable_schedule();
    schedule.set_start_unix_ms(NowUnixMs() - kHour / 2);
    schedule.add_steps()->set_share_ppm(10'000);
    schedule.mutable_steps(0)->set_hold_ms(kHour);
    schedule.add_steps()->set_share_ppm(500'000);
    auto store = store::OpenStore(folder_.Spec(), store::OpenMode::kCreateIfMissing);
    EXPECT_TRUE(store.ok()) << store.status();
    EXPECT_TRUE((*store)->Publish({"rules/default", *CanonicalJson(rules), "ada", "", {}}).ok());
  }

  std::string Command(const std::string& arguments) const {
    return fmt::format("'{}' traffic {} --store '{}'", SignalboxProgram(), arguments, folder_.Spec());
  }
  CommandResult Run(const std::string& arguments) const { return RunShell(Command(arguments)); }
  nlohmann::json RunJson(const std::string& arguments) const {
    const CommandResult result = Run(arguments + " --json");
    nlohmann::json json = nlohmann::json::parse(result.output, nullptr, /*allow_exceptions=*/false);
    EXPECT_TRUE(json.is_object()) << result.output;
    return json;
  }
  nlohmann::json Shown(size_t shift) const { return RunJson("show")["shifts"][shift]; }

  RulesFolder folder_;
};

TEST_F(TrafficCommandsTest, WatchShowsEachChangeAsItComes) {
  const std::string log = folder_.File("watch.log");
  const auto lines = [&] {
    const std::string text = *ReadFile(log, 1 << 20);
    return std::count(text.begin(), text.end(), '\n');
  };
  ChildProcess watch = StartShell(Command("show --watch --json --count 3"), log);
  ASSERT_TRUE(WaitUntil([&] { return lines() == 1; })) << watch.Report();
  // Of another namespace, which is nothing new here.
  auto store = store::OpenStore(folder_.Spec(), store::OpenMode::kExisting);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE((*store)->Publish({"rules/other", "{\"namespace\":\"other\"}", "ada", "", {}}).ok());
  EXPECT_EQ(Run("set canary 25").exit_code, 0);
  ASSERT_TRUE(WaitUntil([&] { return lines() == 2; })) << watch.Report();
  EXPECT_EQ(Run("set canary 25").exit_code, 0);
  EXPECT_EQ(Run("resume canary").exit_code, 0);
  ASSERT_TRUE(watch.WaitForEnd(kPatience)) << watch.Report();
  EXPECT_EQ(watch.exit_code(), 0);

  std::vector<int64_t> shares;
  std::istringstream text(*ReadFile(log, 1 << 20));
  for (std::string line; std::getline(text, line);) {
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    ASSERT_TRUE(json.is_object()) << line;
    EXPECT_EQ(json.at("ok"), true);
    shares.push_back(json.at("shifts").at(0).at("in_effect_ppm"));
  }
  EXPECT_THAT(shares, testing::ElementsAre(100'000, 250'000, 100'000));
}

TEST_F(TrafficCommandsTest, WatchShowsAStepOfAScheduleWithoutAnyChangeOfTheStore) {
  v1::RuleSet rules;
  rules.set_namespace_("steps");
  v1::Objective& objective = *rules.add_objectives();
  objective.set_name("Search");
  objective.mutable_default_model()->set_name("finder");
  v1::TrafficShift& shift = *rules.add_traffic_shifts();
  shift.set_id("ramp");
  shift.set_seed("ramp");
  shift.add_objectives("Search");
  shift.mutable_to()->set_name("next");
  v1::RampSchedule& schedule = *shift.mutable_schedule();
  schedule.set_start_unix_ms(NowUnixMs() + 3'000);
  schedule.add_steps()->set_share_ppm(500'000);
  auto store = store::OpenStore(folder_.Spec(), store::OpenMode::kExisting);
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE((*store)->Publish({"rules/steps", *CanonicalJson(rules), "ada", "", {}}).ok());
  const std::string log = folder_.File("watch.log");
  auto watch = ChildProcess::Start(
      {.name = "watch",
       .command = {SignalboxProgram(), "traffic", "show", "--watch", "--namespace", "steps", "--store", folder_.Spec()},
       .log_file = log});
  ASSERT_TRUE(watch.ok()) << watch.status();
  // However late it is started, what it shows last is the step.
  EXPECT_TRUE(WaitUntil([&] { return ReadFile(log, 1 << 20)->find("ramp   50 % to next") != std::string::npos; }))
      << watch->Report();
  EXPECT_TRUE(watch->Stop(std::chrono::seconds(10))) << watch->Report();
}

TEST_F(TrafficCommandsTest, WatchEndsInOrderWhenItIsStopped) {
  const std::string log = folder_.File("watch.log");
  auto watch =
      ChildProcess::Start({.name = "watch",
                           .command = {SignalboxProgram(), "traffic", "show", "--watch", "--store", folder_.Spec()},
                           .log_file = log});
  ASSERT_TRUE(watch.ok()) << watch.status();
  ASSERT_TRUE(WaitUntil([&] { return ReadFile(log, 1 << 20)->find("canary   10 %") != std::string::npos; }));
  EXPECT_TRUE(watch->Stop(std::chrono::seconds(10))) << watch->Report();
  EXPECT_THAT(*ReadFile(log, 1 << 20), Not(HasSubstr("\x1b"))) << "it goes to a file";
  EXPECT_EQ(Run("show --watch --history").exit_code, 1);
}

TEST_F(TrafficCommandsTest, AShiftIsMovedShownAndGivenBackToTheRules) {
  const CommandResult raised = Run("set canary 25 --author grace --message 'looks good'");
  EXPECT_EQ(raised.exit_code, 0) << raised.output;
  EXPECT_THAT(raised.output, AllOf(HasSubstr("canary is set to 25 %, published as version 1"),
                                   HasSubstr("10 % -> 25 %: a further 15 % of the users go to canary; the 10 %"),
                                   HasSubstr("do not count until `signalbox traffic resume canary`")));
  EXPECT_THAT(Run("set canary 0.5%").output, HasSubstr("24.5 % of the users go back to what they had before the shift; "
                                                       "the 0.5 % who are there stay"));
  EXPECT_THAT(Run("show").output, AllOf(HasSubstr("canary   0.5 % to canary"), HasSubstr("rules   10 %"),
                                        HasSubstr("set     set to 0.5 % by")));
  EXPECT_THAT(Run("show --history").output, AllOf(HasSubstr("*       2"), HasSubstr("grace"),
                                                  HasSubstr("canary set to 25 %"), HasSubstr("looks good")));
  EXPECT_THAT(Run("resume canary").output, HasSubstr("the rules count: 10 %"));
  EXPECT_THAT(Run("show").output, AllOf(HasSubstr("traffic version 3"), Not(HasSubstr("set to"))));
  EXPECT_EQ(folder_.RunJson("show")["version"], 1) << "the rules are as they were";
}

TEST_F(TrafficCommandsTest, ARampIsPausedAndGoesOnLater) {
  const int64_t planned = Shown(1)["next"]["at_unix_ms"];
  const CommandResult paused = Run("pause ramp");
  EXPECT_EQ(paused.exit_code, 0) << paused.output;
  EXPECT_THAT(paused.output, AllOf(HasSubstr("ramp is paused at 1 %"), HasSubstr("nobody moves"),
                                   HasSubstr("stands still until `signalbox traffic resume ramp`")));
  EXPECT_TRUE(Shown(1)["next"].is_null());
  EXPECT_EQ(Shown(1)["setting"]["paused"]["share_ppm"], 10'000);
  const nlohmann::json resumed = RunJson("resume ramp");
  const int64_t delay = resumed["setting"]["delay_ms"];
  EXPECT_GE(delay, 0);
  EXPECT_EQ(Shown(1)["next"]["at_unix_ms"], planned + delay);
  EXPECT_THAT(Run("resume ramp --without-delay").output, HasSubstr("ramp is as the rules say"));
  EXPECT_EQ(Shown(1)["next"]["at_unix_ms"], planned);
}

TEST_F(TrafficCommandsTest, ForProgramsEverythingIsJsonAndEveryCommandCanBeRepeated) {
  nlohmann::json set = RunJson("set canary 25");
  EXPECT_EQ(set["ok"], true);
  EXPECT_EQ(set["namespace"], "default");
  EXPECT_EQ(set["topic"], "traffic/default");
  EXPECT_EQ(set["before_ppm"], 100'000);
  EXPECT_EQ(set["in_effect_ppm"], 250'000);
  set = RunJson("set canary 25.0000");
  EXPECT_EQ(set["unchanged"], true);
  EXPECT_EQ(set["version"], 1);
  EXPECT_EQ(RunJson("show")["shifts"][0]["set_by"]["version"], 1);
  EXPECT_EQ(RunJson("show --history")["versions"][0]["changes"][0], "canary set to 25 %");
  const nlohmann::json error = RunJson("set canry 5");
  EXPECT_EQ(error["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(RunJson("set canary 5 --expect-version 7")["code"], "ABORTED");
}

TEST_F(TrafficCommandsTest, WhatIsRefusedSaysWhatToDoAndLeavesNoTrace) {
  const std::pair<const char*, const char*> cases[] = {
      {"set canari 5", "did you mean \"canary\"?"},
      {"set canary 101", "expected a percentage from 0 to 100 with at most 4 decimals"},
      {"set canary 0.00001", "at most 4 decimals"},
      {"set canary ten", "for example 12.5"},
      {"pause canary", "has no schedule, so there is nothing to pause: it stays at 10 %"},
      {"resume nothing-like-it", "they have canary, ramp"},
      {"set canary 5 --expect-version 1", "expected"},
      {"set canary 5 --namespace risk", "`signalbox rules publish` publishes some"},
      {"set canary 5 --namespace Risk", "lower-case"},
      {"set canary 5 --message 'a\nb'", "one line"},
      {"show --history", "was ever moved"},
      {"show --namespace risk", "no rules of namespace risk run"}};
  for (const auto& [arguments, message] : cases) {
    const CommandResult result = Run(arguments);
    EXPECT_EQ(result.exit_code, 1) << arguments << "\n" << result.output;
    EXPECT_THAT(result.output, HasSubstr(message)) << arguments;
  }
  EXPECT_EQ(RunJson("show")["traffic_version"], 0);
}

TEST_F(TrafficCommandsTest, AStoreInTroubleIsNamedWithTheRemedyAndNothingIsLost) {
  ASSERT_EQ(Run("set canary 25").exit_code, 0);
  const std::string elsewhere = fmt::format("'{}' traffic show --store sqlite:/nowhere/store.db", SignalboxProgram());
  EXPECT_EQ(RunShell(elsewhere).exit_code, 2);
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(folder_.StorePath().c_str(), &connection), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(connection, "BEGIN EXCLUSIVE", nullptr, nullptr, nullptr), SQLITE_OK);
  const CommandResult locked = Run("set canary 30");
  EXPECT_EQ(locked.exit_code, 2);
  EXPECT_THAT(locked.output, HasSubstr("locked by another process"));
  ASSERT_EQ(sqlite3_exec(connection, "ROLLBACK", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_EQ(Shown(0)["in_effect_ppm"], 250'000);

  ASSERT_EQ(Run("set canary 30").exit_code, 0);
  ASSERT_EQ(sqlite3_exec(connection,
                         "DROP TRIGGER versions_are_never_changed; UPDATE versions SET content = x'7b' WHERE topic = "
                         "'traffic/default' AND version = 2",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(connection);
  const CommandResult shown = Run("show");
  EXPECT_EQ(shown.exit_code, 0) << shown.output;
  EXPECT_THAT(shown.output, AllOf(HasSubstr("traffic/default version 2 cannot run and is held back; version 1 goes on"),
                                  HasSubstr("canary   25 % to canary")));
  const CommandResult refused = Run("set canary 40");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.output, AllOf(HasSubstr("version 2"), HasSubstr("--replace-held-back")));
  ASSERT_EQ(Run("set canary 40 --replace-held-back").exit_code, 0);
  EXPECT_THAT(Run("show").output, AllOf(HasSubstr("canary   40 %"), Not(HasSubstr("held back"))));
}

TEST_F(TrafficCommandsTest, OfManyWhoMoveAtOnceNobodysMoveIsLost) {
  std::vector<std::jthread> writers;
  for (int i = 1; i <= 6; ++i) {
    writers.emplace_back([this, i] {
      const CommandResult result = Run(fmt::format("set {} {} --author w{}", i % 2 == 0 ? "canary" : "ramp", i, i));
      EXPECT_EQ(result.exit_code, 0) << result.output;
    });
  }
  writers.clear();
  const nlohmann::json shown = RunJson("show");
  EXPECT_EQ(shown["traffic_version"], 6);
  EXPECT_EQ(static_cast<int>(shown["shifts"][0]["in_effect_ppm"]) / 10'000 % 2, 0);
  EXPECT_EQ(static_cast<int>(shown["shifts"][1]["in_effect_ppm"]) / 10'000 % 2, 1);
}

}  // namespace
}  // namespace signalbox
