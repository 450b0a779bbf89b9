#include "control/traffic_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/canonical_json.h"
#include "base/status.h"

namespace signalbox::control {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kMinute = 60'000;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kStart = 1'800'000'000'000;

// `canary` at 10 %, and `ramp`: 1 % for 30 min, 10 % for 2 h, then everybody.
v1::RuleSet Rules() {
  v1::RuleSet rules;
  rules.set_namespace_("home");
  v1::TrafficShift& canary = *rules.add_traffic_shifts();
  canary.set_id("canary");
  canary.set_share_ppm(100'000);
  v1::TrafficShift& ramp = *rules.add_traffic_shifts();
  ramp.set_id("ramp");
  ramp.mutable_schedule()->set_start_unix_ms(kStart);
  for (const auto& [share, hold] : {std::pair(10'000, 30 * kMinute), {100'000, 2 * kHour}, {1'000'000, int64_t{0}}}) {
    v1::RampStep& step = *ramp.mutable_schedule()->add_steps();
    step.set_share_ppm(static_cast<uint32_t>(share));
    step.set_hold_ms(hold);
  }
  return rules;
}

// What is set, and what is in effect because of it.
class TrafficSettingsTest : public testing::Test {
 protected:
  void Change(std::string_view id, const ShiftCommand& command, int64_t now) {
    auto changed = ChangeSettings(rules_, settings_, id, command, now);
    ASSERT_TRUE(changed.ok()) << changed.status();
    settings_ = *std::move(changed);
    const absl::Status sound = CheckTrafficSettings(settings_, "home");
    ASSERT_TRUE(sound.ok()) << sound;
  }
  std::string Error(std::string_view id, const ShiftCommand& command) {
    const absl::Status status = ChangeSettings(rules_, settings_, id, command, kStart).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(Message(status));
  }
  ShiftState State(std::string_view id, int64_t now) {
    return StateOf(*FindShift(rules_, id), FindSetting(settings_, id), now);
  }
  uint32_t Share(std::string_view id, int64_t now) { return State(id, now).share_ppm; }

  v1::RuleSet rules_ = Rules();
  v1::TrafficSettings settings_;
};

TEST_F(TrafficSettingsTest, AScheduleIsFollowedStepByStep) {
  const std::tuple<int64_t, uint32_t, int64_t, uint32_t> moments[] = {
      {kStart - 1, 0, kStart, 10'000},
      {kStart, 10'000, kStart + 30 * kMinute, 100'000},
      {kStart + 30 * kMinute - 1, 10'000, kStart + 30 * kMinute, 100'000},
      {kStart + 30 * kMinute, 100'000, kStart + 150 * kMinute, 1'000'000}};
  for (const auto& [now, share, next_at, next_share] : moments) {
    const ShiftState state = State("ramp", now);
    EXPECT_EQ(state.share_ppm, share) << now;
    ASSERT_TRUE(state.next.has_value()) << now;
    EXPECT_EQ(state.next->at_unix_ms, next_at);
    EXPECT_EQ(state.next->share_ppm, next_share);
  }
  EXPECT_EQ(Share("ramp", kStart + 150 * kMinute), 1'000'000U);
  EXPECT_FALSE(State("ramp", kStart + 150 * kMinute).next.has_value());
}

TEST_F(TrafficSettingsTest, AShareThatIsSetGoesBeforeTheRulesUntilItIsTakenAway) {
  Change("canary", FixShare{250'000}, kStart);
  EXPECT_EQ(Share("canary", kStart), 250'000U);
  EXPECT_EQ(State("canary", kStart).rules_share_ppm, 100'000U);
  Change("ramp", FixShare{0}, kStart);
  EXPECT_EQ(Share("ramp", kStart + kHour), 0U);
  EXPECT_FALSE(State("ramp", kStart + kHour).next.has_value());
  Change("canary", Resume{}, kStart);
  EXPECT_EQ(Share("canary", kStart), 100'000U);
  Change("ramp", Resume{}, kStart);
  EXPECT_EQ(Share("ramp", kStart + kHour), 100'000U);
  EXPECT_EQ(settings_.shifts_size(), 0);
}

TEST_F(TrafficSettingsTest, APausedScheduleStandsStillAndGoesOnAsMuchLater) {
  Change("ramp", PauseSchedule{}, kStart + 20 * kMinute);
  EXPECT_EQ(Share("ramp", kStart + 100 * kHour), 10'000U);
  EXPECT_FALSE(State("ramp", kStart + 100 * kHour).next.has_value());
  Change("ramp", Resume{}, kStart + 20 * kMinute + 5 * kHour);
  EXPECT_EQ(State("ramp", kStart + 20 * kMinute + 5 * kHour).next->at_unix_ms, kStart + 5 * kHour + 30 * kMinute);
  // Paused once more: both pauses count.
  Change("ramp", PauseSchedule{}, kStart + 6 * kHour);
  Change("ramp", Resume{}, kStart + 7 * kHour);
  EXPECT_EQ(Share("ramp", kStart + 7 * kHour), 100'000U);
  EXPECT_EQ(State("ramp", kStart + 7 * kHour).next->at_unix_ms, kStart + 6 * kHour + 150 * kMinute);
  Change("ramp", Resume{.without_delay = true}, kStart + 7 * kHour);
  EXPECT_EQ(Share("ramp", kStart + 7 * kHour), 1'000'000U);
}

TEST_F(TrafficSettingsTest, NoPauseOfAScheduleThatOnlyRisesEverMovesAnybodyBack) {
  std::mt19937_64 random(7);
  int64_t now = kStart - kHour;
  uint32_t share = 0;
  bool paused = false;
  for (int i = 0; i < 2000; ++i) {
    now += static_cast<int64_t>(random() % static_cast<uint64_t>(5 * kMinute));
    ASSERT_GE(Share("ramp", now), share) << "seed 7, step " << i;
    share = Share("ramp", now);
    if (random() % 4 == 0) {
      paused = !paused;
      Change("ramp", paused ? ShiftCommand(PauseSchedule{}) : ShiftCommand(Resume{}), now);
      ASSERT_EQ(Share("ramp", now), share) << "seed 7, step " << i;
    }
  }
  EXPECT_EQ(share, 1'000'000U);
}

TEST_F(TrafficSettingsTest, EveryCommandCanBeRepeated) {
  const ShiftCommand commands[] = {FixShare{5}, Resume{}, PauseSchedule{}, FixShare{6}, Resume{},
                                   FixShare{7}, Resume{}, PauseSchedule{}, Resume{},    Resume{true}};
  int64_t now = kStart;
  for (const ShiftCommand& command : commands) {
    Change("ramp", command, now += kMinute);
    const std::string once = *CanonicalJson(settings_);
    Change("ramp", command, now += kMinute);
    EXPECT_EQ(*CanonicalJson(settings_), once) << command.index();
  }
}

TEST_F(TrafficSettingsTest, AShareThatIsSetOverAPauseKeepsItsDelay) {
  Change("ramp", PauseSchedule{}, kStart + 20 * kMinute);
  Change("ramp", FixShare{20'000}, kStart + 40 * kHour);
  EXPECT_EQ(Share("ramp", kStart + 50 * kHour), 20'000U);
  Change("ramp", Resume{}, kStart + 50 * kHour);
  EXPECT_EQ(Share("ramp", kStart + 50 * kHour), 10'000U) << "goes on where it was paused";
  EXPECT_EQ(State("ramp", kStart + 50 * kHour).next->at_unix_ms, kStart + 50 * kHour + 10 * kMinute);
  // Set once more while it is late: it stands still at that share, and goes on from here.
  Change("ramp", FixShare{30'000}, kStart + 50 * kHour);
  EXPECT_EQ(Share("ramp", kStart + 60 * kHour), 30'000U);
  Change("ramp", Resume{}, kStart + 60 * kHour);
  EXPECT_EQ(Share("ramp", kStart + 60 * kHour), 10'000U);
  EXPECT_EQ(State("ramp", kStart + 60 * kHour).next->at_unix_ms, kStart + 60 * kHour + 10 * kMinute);
}

TEST_F(TrafficSettingsTest, APauseOfAScheduleThatHasGoneHoldsUntilItIsResumed) {
  Change("ramp", PauseSchedule{}, kStart + 20 * kMinute);
  rules_.mutable_traffic_shifts(1)->clear_schedule();
  rules_.mutable_traffic_shifts(1)->set_share_ppm(500'000);
  EXPECT_EQ(Share("ramp", kStart + kHour), 10'000U);
  Change("ramp", Resume{}, kStart + kHour);
  EXPECT_EQ(Share("ramp", kStart + kHour), 500'000U);
  EXPECT_EQ(settings_.shifts_size(), 0);
}

TEST_F(TrafficSettingsTest, AClockThatIsBehindThatOfWhoeverPausedDelaysNothing) {
  Change("ramp", PauseSchedule{}, kStart + kHour);
  Change("ramp", Resume{}, kStart + kHour - 5000);
  EXPECT_EQ(FindSetting(settings_, "ramp")->delay_ms(), 0);
}

TEST_F(TrafficSettingsTest, WhatCannotBeDoneSaysWhatToDo) {
  EXPECT_THAT(Error("canari", FixShare{1}), AllOf(HasSubstr("namespace home"), HasSubstr("did you mean \"canary\"?")));
  EXPECT_THAT(Error("xyz", Resume{}), HasSubstr("they have canary, ramp"));
  EXPECT_THAT(Error("canary", PauseSchedule{}), AllOf(HasSubstr("no schedule"), HasSubstr("traffic set canary 0")));
  Change("ramp", FixShare{1}, kStart);
  EXPECT_THAT(Error("ramp", PauseSchedule{}), AllOf(HasSubstr("nothing to pause"), HasSubstr("traffic resume ramp")));
  rules_.clear_traffic_shifts();
  EXPECT_THAT(Error("ramp", PauseSchedule{}), HasSubstr("no traffic shift at all"));
}

TEST_F(TrafficSettingsTest, WhatIsSetOfAShiftThatHasGoneCanBeTakenAway) {
  Change("ramp", FixShare{1}, kStart);
  Change("canary", FixShare{2}, kStart);
  rules_.mutable_traffic_shifts()->RemoveLast();
  EXPECT_EQ(SettingsWithEffect(settings_, rules_).shifts_size(), 1);
  Change("ramp", Resume{}, kStart);
  EXPECT_EQ(settings_.shifts_size(), 1);
}

TEST_F(TrafficSettingsTest, SettingsThatNoCommandMakesAreRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"namespace":"other"})", "namespace 'other'"},
      {R"({"namespace":"home","shifts":[{"shift":"a"}]})", "says nothing"},
      {R"({"namespace":"home","shifts":[{"shift":"a b","share_ppm":1}]})", "no name"},
      {R"({"namespace":"home","shifts":[{"shift":"a","share_ppm":1000001}]})", "expected at most 1000000"},
      {R"({"namespace":"home","shifts":[{"shift":"a","delay_ms":"-1"}]})", "a delay of -1 ms"},
      {R"({"namespace":"home","shifts":[{"shift":"a","delay_ms":"9223372036854775807"}]})", "expected 0 to"},
      {R"({"namespace":"home","shifts":[{"shift":"a","paused":{"share_ppm":2000000}}]})", "expected at most 1000000"},
      {R"({"namespace":"home","shifts":[{"shift":"a","paused":{"at_unix_ms":"-9223372036854775808"}}]})",
       "paused at -9"},
      {R"({"namespace":"home","shifts":[{"shift":"a","paused":{"at_unix_ms":"253402300800000"}}]})", "paused at 2534"},
      {R"({"namespace":"a\u001b[2J","shifts":[]})", "of namespace 'a\\x1b[2J'"},
      {R"({"namespace":"home","shifts":[{"shift":"b","share_ppm":1},{"shift":"a","share_ppm":1}]})", "not in order"},
      {R"({"namespace":"home","shifts":[{"shift":"a","share_ppm":1},{"shift":"a","share_ppm":1}]})", "set twice"}};
  for (const auto& [json, expected] : cases) {
    v1::TrafficSettings settings;
    ASSERT_TRUE(ParseJson(json, settings).ok()) << json;
    const absl::Status status = CheckTrafficSettings(settings, "home");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << json;
    EXPECT_THAT(std::string(Message(status)), HasSubstr(expected));
  }
}

TEST_F(TrafficSettingsTest, AreSaidInAFewWords) {
  Change("ramp", PauseSchedule{}, kStart + kHour);
  EXPECT_EQ(SettingText(*FindSetting(settings_, "ramp")), "paused at 10 %");
  Change("ramp", Resume{}, kStart + 2 * kHour);
  EXPECT_EQ(SettingText(*FindSetting(settings_, "ramp")), "1 h behind its schedule");
  Change("ramp", Resume{.without_delay = true}, kStart);
  Change("ramp", FixShare{125'000}, kStart);
  EXPECT_EQ(SettingText(*FindSetting(settings_, "ramp")), "set to 12.5 %");
}

}  // namespace
}  // namespace signalbox::control
