#include "control/publish_traffic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/status.h"
#include "base/test_folder.h"
#include "control/publish_rules.h"

namespace signalbox::control {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kHour = 3'600'000;
constexpr int64_t kStart = 1'800'000'000'000;

// `canary` at a share, and `ramp`: 1 % for an hour, then 50 %.
v1::RuleSet Rules(uint32_t canary_ppm = 100'000) {
  v1::RuleSet rules;
  rules.set_namespace_("home");
  v1::Objective& objective = *rules.add_objectives();
  objective.set_name("Ranking");
  objective.mutable_default_model()->set_name("old");
  for (const char* id : {"canary", "ramp"}) {
    v1::TrafficShift& shift = *rules.add_traffic_shifts();
    shift.set_id(id);
    shift.set_seed(id);
    shift.add_objectives("Ranking");
    shift.mutable_to()->set_name(std::string("new-") + id);
  }
  rules.mutable_traffic_shifts(0)->set_share_ppm(canary_ppm);
  v1::RampSchedule& schedule = *rules.mutable_traffic_shifts(1)->mutable_schedule();
  schedule.set_start_unix_ms(kStart);
  schedule.add_steps()->set_share_ppm(10'000);
  schedule.mutable_steps(0)->set_hold_ms(kHour);
  schedule.add_steps()->set_share_ppm(500'000);
  return rules;
}

class PublishTrafficTest : public testing::Test {
 protected:
  PublishTrafficTest() { PublishTheRules(Rules()); }

  std::unique_ptr<store::Store> Open() {
    auto store = store::OpenStore("sqlite:" + folder_.File("store.db"), store::OpenMode::kCreateIfMissing);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  std::vector<std::string> PublishTheRules(v1::RuleSet rules) {
    auto published = PublishRules(*store_, {std::move(rules), "ada", "rules", std::nullopt});
    EXPECT_TRUE(published.ok()) << published.status();
    return published.ok() ? published->warnings : std::vector<std::string>();
  }
  absl::StatusOr<PublishedTraffic> Move(const std::string& shift, const ShiftCommand& command, int64_t now = kStart,
                                        std::optional<int64_t> expected = std::nullopt) {
    return PublishTraffic(*store_, {"home", shift, command, "grace", "why", expected}, now);
  }
  TrafficView View(int64_t now = kStart) {
    auto view = ViewTraffic(*store_, "home", now);
    EXPECT_TRUE(view.ok()) << view.status();
    return view.value_or(TrafficView());
  }
  uint32_t Share(size_t shift, int64_t now = kStart) { return View(now).shifts.at(shift).state.share_ppm; }

  TestFolder folder_;
  std::unique_ptr<store::Store> store_ = Open();
};

TEST_F(PublishTrafficTest, AShiftIsMovedInAVersionOfItsOwnAndTheRulesStayAsTheyAre) {
  auto moved = Move("canary", FixShare{250'000});
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->published.info.topic, "traffic/home");
  EXPECT_EQ(moved->published.info.version, 1);
  EXPECT_EQ(moved->published.info.author, "grace");
  EXPECT_EQ(moved->before.share_ppm, 100'000U);
  EXPECT_EQ(moved->after.share_ppm, 250'000U);
  EXPECT_EQ(store_->Get("rules/home", std::nullopt)->info.version, 1);
  const TrafficView view = View();
  EXPECT_EQ(view.rules_version, 1);
  EXPECT_EQ(view.traffic_version, 1);
  EXPECT_EQ(view.shifts[0].state.share_ppm, 250'000U);
  EXPECT_EQ(view.shifts[0].state.rules_share_ppm, 100'000U);
  EXPECT_FALSE(view.shifts[1].setting.has_value());
}

TEST_F(PublishTrafficTest, WhatIsSoAlreadyIsNotPublishedAgain) {
  EXPECT_EQ(Move("canary", Resume{})->published.info.version, 0) << "nothing was ever set";
  EXPECT_TRUE(Move("canary", Resume{})->published.unchanged);
  EXPECT_EQ(Move("canary", FixShare{5})->published.info.version, 1);
  EXPECT_TRUE(Move("canary", FixShare{5})->published.unchanged);
  EXPECT_EQ(Move("ramp", PauseSchedule{}, kStart)->published.info.version, 2);
  EXPECT_TRUE(Move("ramp", PauseSchedule{}, kStart + 2 * kHour)->published.unchanged);
  EXPECT_EQ(Share(1, kStart + 9 * kHour), 10'000U);
  EXPECT_EQ(Move("ramp", Resume{}, kStart + 2 * kHour)->published.info.version, 3);
  EXPECT_TRUE(Move("ramp", Resume{}, kStart + 3 * kHour)->published.unchanged);
  EXPECT_EQ(Share(1, kStart + 3 * kHour), 500'000U);
}

TEST_F(PublishTrafficTest, WhatIsRefusedLeavesNoTrace) {
  const int64_t sequence = store_->Latest()->sequence;
  EXPECT_EQ(Move("canari", FixShare{5}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Move("canary", PauseSchedule{}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Move("canary", FixShare{5}, kStart, 3).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Move("canary", Resume{}, kStart, 3).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(PublishTraffic(*store_, {"Home", "canary", Resume{}, "a", "", {}}, 0).status().code(),
            absl::StatusCode::kInvalidArgument);
  const absl::Status nobody = PublishTraffic(*store_, {"risk", "canary", Resume{}, "a", "", {}}, 0).status();
  EXPECT_EQ(nobody.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Message(nobody)), HasSubstr("rules publish"));
  EXPECT_EQ(store_->Latest()->sequence, sequence);
}

TEST_F(PublishTrafficTest, OfTwoWhoExpectTheSameVersionTheLaterOneIsTold) {
  ASSERT_TRUE(Move("canary", FixShare{5}, kStart, 0).ok());
  const absl::Status late = Move("canary", FixShare{6}, kStart, 0).status();
  EXPECT_EQ(late.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(Message(late)), HasSubstr("grace"));
  EXPECT_EQ(Share(0), 5U);
}

TEST_F(PublishTrafficTest, TwoWhoMoveTwoShiftsAtOnceBothGetWhatTheyAskedFor) {
  constexpr uint32_t kMoves = 25;
  auto move = [&](const std::string& shift) {
    const auto store = Open();
    for (uint32_t i = 1; i <= kMoves; ++i) {
      const auto moved = PublishTraffic(*store, {"home", shift, FixShare{i}, shift, "", {}}, kStart);
      ASSERT_TRUE(moved.ok()) << moved.status();
      EXPECT_EQ(moved->before.share_ppm, i == 1 ? (shift == "canary" ? 100'000 : 10'000) : i - 1) << "lost a move";
    }
  };
  {
    std::jthread one([&] { move("canary"); });
    std::jthread other([&] { move("ramp"); });
  }
  EXPECT_EQ(Share(0), kMoves);
  EXPECT_EQ(Share(1), kMoves);
  EXPECT_EQ(View().traffic_version, 2 * kMoves);
}

TEST_F(PublishTrafficTest, ItIsTellableWhoSetWhatAndWhen) {
  ASSERT_TRUE(Move("canary", FixShare{5}).ok());
  ASSERT_TRUE(Move("ramp", PauseSchedule{}).ok());
  ASSERT_TRUE(Move("canary", Resume{}).ok());
  ASSERT_TRUE(PublishTraffic(*store_, {"home", "canary", FixShare{5}, "linus", "again", {}}, kStart).ok());
  ASSERT_TRUE(Move("ramp", Resume{}, kStart + kHour).ok());
  const TrafficView view = View();
  EXPECT_EQ(view.shifts[0].set_by->version, 4);
  EXPECT_EQ(view.shifts[0].set_by->author, "linus");
  EXPECT_EQ(view.shifts[1].set_by->version, 5);
  const auto history = TrafficHistory(*store_, "home", 100);
  ASSERT_TRUE(history.ok()) << history.status();
  ASSERT_EQ(history->size(), 5U);
  EXPECT_THAT(history->at(0).changes, ElementsAre("ramp 1 h behind its schedule"));
  EXPECT_THAT(history->at(2).changes, ElementsAre("canary as the rules say"));
  EXPECT_THAT(history->at(3).changes, ElementsAre("ramp paused at 1 %"));
  EXPECT_EQ(TrafficHistory(*store_, "risk", 1).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(PublishTrafficTest, SettingsThatAreHeldBackAreReplacedOnlyByWhoSaysSo) {
  ASSERT_TRUE(Move("canary", FixShare{5}).ok());
  // As a newer release could have written them.
  const std::string newer = R"({"namespace":"home","shifts":[{"shift":"canary","share_ppm":9}],"freeze":true})";
  ASSERT_TRUE(store_->Publish({"traffic/home", newer, "newer", "", {}}).ok());
  ASSERT_EQ(View().held_back.size(), 1U);
  EXPECT_EQ(Share(0), 5U);
  for (const ShiftCommand& command :
       {ShiftCommand(FixShare{7}), ShiftCommand(PauseSchedule{}), ShiftCommand(Resume{})}) {
    const absl::Status refused = Move("ramp", command).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kAborted);
    EXPECT_THAT(std::string(Message(refused)),
                AllOf(HasSubstr("version 2 of what is set in namespace home is held back, and version 1 runs: "),
                      HasSubstr("freeze"), HasSubstr("--replace-held-back")));
  }
  EXPECT_EQ(store_->Get("traffic/home", std::nullopt)->content, newer);

  ASSERT_TRUE(PublishTraffic(*store_, {"home", "ramp", FixShare{7}, "grace", "", {}, true}, kStart).ok());
  const TrafficView view = View();
  EXPECT_THAT(view.held_back, IsEmpty());
  EXPECT_EQ(Share(0), 5U);
  EXPECT_EQ(Share(1), 7U);
  EXPECT_THAT(TrafficHistory(*store_, "home", 100)->at(1).changes, ElementsAre("cannot be read"));
  ASSERT_TRUE(view.shifts[0].set_by.has_value());
  EXPECT_EQ(view.shifts[0].set_by->version, 1) << "what could not be read never ran";
  ASSERT_TRUE(view.shifts[1].set_by.has_value());
  EXPECT_EQ(view.shifts[1].set_by->version, 3);
}

TEST_F(PublishTrafficTest, ARollbackOfTheRulesLeavesAloneWhatIsSet) {
  PublishTheRules(Rules(200'000));
  ASSERT_TRUE(Move("canary", FixShare{5}).ok());
  auto back = RollBackRules(*store_, {"home", 1, "ada", "", std::nullopt});
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_THAT(back->warnings, ElementsAre(HasSubstr("canary stays set to 0.0005 %: the 10 % of these rules")));
  EXPECT_EQ(Share(0), 5U);
}

TEST_F(PublishTrafficTest, AnAuthorIsToldWhenWhatWasPublishedDoesNotCount) {
  EXPECT_THAT(PublishTheRules(Rules(1)), IsEmpty());
  ASSERT_TRUE(Move("canary", FixShare{50}).ok());
  ASSERT_TRUE(Move("ramp", PauseSchedule{}, kStart).ok());
  EXPECT_THAT(
      PublishTheRules(Rules(2)),
      ElementsAre(AllOf(HasSubstr("canary stays set to 0.005 %: the 0.0002 %"), HasSubstr("traffic resume canary")),
                  HasSubstr("ramp stays paused at 1 %: the schedule of these rules counts after")));
  ASSERT_TRUE(Move("ramp", Resume{}, kStart + kHour).ok());
  EXPECT_THAT(PublishTheRules(Rules(50)),
              ElementsAre(AllOf(HasSubstr("ramp is 1 h behind"), HasSubstr("--without-delay"))));
  v1::RuleSet without = Rules(50);
  without.mutable_traffic_shifts()->RemoveLast();
  EXPECT_THAT(PublishTheRules(without), ElementsAre(HasSubstr("ramp is gone, but it stays 1 h behind")));
  EXPECT_EQ(View().without_effect.size(), 1U);
  ASSERT_TRUE(Move("ramp", Resume{}).ok());
  EXPECT_THAT(View().without_effect, IsEmpty());
}

}  // namespace
}  // namespace signalbox::control
