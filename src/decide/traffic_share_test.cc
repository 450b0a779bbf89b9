#include "decide/traffic_share.h"

#include <gtest/gtest.h>

#include <memory_resource>

#include "decide/test_random_rules.h"

namespace signalbox::decide {
namespace {

constexpr int64_t kStart = 1'000'000;

v1::TrafficShift Ramp() {
  v1::TrafficShift shift;
  shift.set_share_ppm(7);
  v1::RampSchedule& schedule = *shift.mutable_schedule();
  schedule.set_start_unix_ms(kStart);
  const std::pair<uint32_t, int64_t> steps[] = {{10'000, 1000}, {100'000, 5000}, {1'000'000, 0}};
  for (const auto& [share_ppm, hold_ms] : steps) {
    v1::RampStep& step = *schedule.add_steps();
    step.set_share_ppm(share_ppm);
    step.set_hold_ms(hold_ms);
  }
  return shift;
}

TEST(TrafficShare, FollowsTheScheduleStepByStep) {
  const v1::TrafficShift shift = Ramp();
  const std::pair<int64_t, uint32_t> cases[] = {{0, 0},
                                                {1, 0},
                                                {kStart - 1, 0},
                                                {kStart, 10'000},
                                                {kStart + 999, 10'000},
                                                {kStart + 1000, 100'000},
                                                {kStart + 5999, 100'000},
                                                {kStart + 6000, 1'000'000},
                                                {INT64_MAX, 1'000'000}};
  for (const auto& [now, share_ppm] : cases) EXPECT_EQ(ShareAt(shift, nullptr, now), share_ppm) << now;
}

TEST(TrafficShare, IsWhatOperatorsSetUntilTheyTakeItAway) {
  const v1::TrafficShift shift = Ramp();
  v1::ShiftSetting setting;
  setting.set_share_ppm(333);
  EXPECT_EQ(ShareAt(shift, &setting, kStart + 6000), 333u);
  setting.set_delay_ms(500);
  EXPECT_EQ(ShareAt(shift, &setting, kStart + 499), 0u);
  EXPECT_EQ(ShareAt(shift, &setting, kStart + 500), 10'000u);
  EXPECT_EQ(ShareAt(shift, &setting, kStart + 1499), 10'000u);
  setting.mutable_paused()->set_share_ppm(10'000);
  EXPECT_EQ(ShareAt(shift, &setting, kStart + 6000), 10'000u);
}

TEST(TrafficShare, APauseHoldsWhenTheRulesLoseTheSchedule) {
  v1::TrafficShift shift = Ramp();
  v1::ShiftSetting setting;
  setting.mutable_paused()->set_share_ppm(10'000);
  shift.clear_schedule();
  EXPECT_EQ(ShareAt(shift, &setting, kStart), 10'000u);
  setting.set_delay_ms(500);
  EXPECT_EQ(ShareAt(shift, &setting, kStart), 7u);
}

TEST(TrafficShare, IsTheSameWorkedOutInAdvance) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    RandomRules random(seed);
    v1::TrafficShift shift;
    shift.set_share_ppm(random.SharePpm());
    if (random.Chance(80)) {
      shift.mutable_schedule()->set_start_unix_ms(random.Chance(5) ? INT64_MAX : random.Number(1, 1000));
      for (uint32_t i = random.Number(1, 6); i > 0; --i) {
        v1::RampStep& step = *shift.mutable_schedule()->add_steps();
        step.set_share_ppm(random.SharePpm());
        step.set_hold_ms(random.Chance(5) ? INT64_MAX : random.Number(1, 300));
      }
    }
    v1::ShiftSetting setting;
    if (random.Chance(20)) setting.set_share_ppm(random.SharePpm());
    if (random.Chance(30)) setting.set_delay_ms(random.Number(0, 500));
    if (random.Chance(20)) setting.mutable_paused()->set_share_ppm(random.SharePpm());
    const v1::ShiftSetting* set = random.Chance(70) ? &setting : nullptr;
    std::pmr::monotonic_buffer_resource memory;
    const TrafficRamp ramp = TrafficRamp::Make(shift, set, memory);
    for (int64_t now = 0; now < 4000; now += 7)
      ASSERT_EQ(ramp.ShareAt(now), ShareAt(shift, set, now)) << "seed " << seed << " at " << now;
  }
}

TEST(TrafficShare, OfARampThatOnlyRisesNeverFalls) {
  const v1::TrafficShift shift = Ramp();
  uint32_t before = 0;
  for (int64_t now = kStart - 100; now < kStart + 10'000; ++now) {
    const uint32_t share = ShareAt(shift, nullptr, now);
    ASSERT_GE(share, before) << now;
    before = share;
  }
}

}  // namespace
}  // namespace signalbox::decide
