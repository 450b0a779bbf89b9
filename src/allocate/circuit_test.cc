#include "allocate/circuit.h"

#include <gtest/gtest.h>

namespace signalbox::allocate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Time kStart{seconds(1000)};

Circuit PausedAt(Time now) {
  Circuit circuit;
  for (int i = 0; i < kFailuresInARowMax; ++i) circuit.Failed(now, circuit.round());
  return circuit;
}

TEST(Circuit, SomeFailuresAmongSuccessesChangeNothing) {
  Circuit circuit;
  for (int i = 0; i < 100; ++i) {
    for (int failure = 1; failure < kFailuresInARowMax; ++failure)
      EXPECT_FALSE(circuit.Failed(kStart, circuit.round()));
    circuit.Succeeded(circuit.round());
    EXPECT_TRUE(circuit.Allows(kStart));
  }
}

TEST(Circuit, FailuresInARowPauseItAndSayItOnce) {
  Circuit circuit;
  int said = 0;
  for (int i = 0; i < 50; ++i) said += circuit.Failed(kStart, circuit.round()) ? 1 : 0;
  EXPECT_EQ(said, 1);
  EXPECT_FALSE(circuit.Allows(kStart + kPauseFirst - milliseconds(1)));
}

TEST(Circuit, AfterThePauseOneQuestionIsAskedAndTheOthersWaitForHowItGoes) {
  Circuit circuit = PausedAt(kStart);
  EXPECT_TRUE(circuit.Allows(kStart + kPauseFirst));
  EXPECT_FALSE(circuit.Allows(kStart + kPauseFirst));
  EXPECT_TRUE(circuit.Succeeded(circuit.round()));
  EXPECT_TRUE(circuit.Allows(kStart + kPauseFirst));
  EXPECT_FALSE(circuit.paused());
}

TEST(Circuit, PausesGrowUpToALimit) {
  Circuit circuit = PausedAt(kStart);
  Time now = kStart;
  milliseconds longest{0};
  for (int i = 0; i < 20; ++i) {
    longest = std::chrono::duration_cast<milliseconds>(circuit.retry_at() - now);
    now = circuit.retry_at();
    ASSERT_TRUE(circuit.Allows(now));
    circuit.Failed(now, circuit.round());
  }
  EXPECT_EQ(longest, kPauseMax);
}

TEST(Circuit, APlatformThatSaysWhenIsAskedThen) {
  Circuit circuit;
  EXPECT_TRUE(circuit.Pause(kStart, seconds(7), circuit.round()));
  EXPECT_FALSE(circuit.Allows(kStart + milliseconds(6'999)));
  EXPECT_TRUE(circuit.Allows(kStart + seconds(7)));
}

TEST(Circuit, ThoseUnderWayWhenItWasPausedNeitherEndThePauseNorMakeItLonger) {
  Circuit circuit;
  circuit.Pause(kStart, std::nullopt, circuit.round());
  const Time retry_at = circuit.retry_at();
  for (int i = 0; i < 64; ++i) {
    EXPECT_FALSE(circuit.Succeeded(circuit.round()));
    EXPECT_FALSE(circuit.Failed(kStart, circuit.round()));
    EXPECT_FALSE(circuit.Pause(kStart, std::nullopt, circuit.round()));
  }
  EXPECT_EQ(circuit.retry_at(), retry_at);
  EXPECT_FALSE(circuit.Allows(kStart));
  EXPECT_TRUE(circuit.Allows(retry_at));
  EXPECT_TRUE(circuit.Succeeded(circuit.round()));
}

TEST(Circuit, ALaterWishDoesNotMakeAPauseShorter) {
  Circuit circuit;
  const Circuit::Round round = circuit.round();
  circuit.Pause(kStart, seconds(60), round);
  circuit.Pause(kStart, seconds(0), round);
  circuit.Pause(kStart, seconds(2), round);
  EXPECT_EQ(circuit.retry_at(), kStart + seconds(60));
  circuit.Pause(kStart, seconds(90), round);
  EXPECT_EQ(circuit.retry_at(), kStart + seconds(90));
}

TEST(Circuit, APlatformThatIsFullAndWantsToBeAskedAtOnceIsGivenAMoment) {
  Circuit circuit;
  EXPECT_TRUE(circuit.Pause(kStart, seconds(0), circuit.round()));
  EXPECT_FALSE(circuit.Allows(kStart));
  EXPECT_TRUE(circuit.Allows(kStart + kPauseFirst));
}

TEST(Circuit, WhatWasAskedBeforeThePauseSaysNothingOfTheQuestionAfterIt) {
  Circuit circuit = PausedAt(kStart);
  const Circuit::Round before = circuit.round();
  const Time probed_at = circuit.retry_at();
  ASSERT_TRUE(circuit.Allows(probed_at));
  for (int i = 0; i < 64; ++i) {
    EXPECT_FALSE(circuit.Failed(probed_at, before));
    EXPECT_FALSE(circuit.Pause(probed_at, seconds(60), before));
    EXPECT_FALSE(circuit.Succeeded(before));
  }
  EXPECT_FALSE(circuit.Allows(probed_at + seconds(60))) << "the question is still under way";
  EXPECT_TRUE(circuit.Succeeded(circuit.round()));
  for (int i = 0; i < 64; ++i) EXPECT_FALSE(circuit.Failed(probed_at, before));
  EXPECT_FALSE(circuit.paused());
}

TEST(Circuit, NobodySilencesItForADay) {
  Circuit circuit;
  circuit.Pause(kStart, std::chrono::hours(24), circuit.round());
  EXPECT_TRUE(circuit.Allows(kStart + kRetryAfterMax));
}

}  // namespace
}  // namespace signalbox::allocate
