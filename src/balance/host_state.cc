#include "balance/host_state.h"

#include <algorithm>
#include <cmath>

namespace signalbox::balance {
namespace {

constexpr float kWeightLeast = 0.1F;
// An answer cannot take no time; what was not measured is not 0, which stands for what is not known.
constexpr float kMicrosecondsLeast = 1;
constexpr float kMicrosecondsMost = 3600e6F;

float Seconds(milliseconds time) { return static_cast<float>(time.count()) / 1000; }

// exp(-x) near enough for what it is used for, and about 2 ns: 1 at 0, and falls for ever.
float Decay(float x) { return 1 / (1 + x * (1 + x * (0.5F + x * (1.0F / 6)))); }

}  // namespace

Outcome OutcomeOfStatus(int grpc_status) {
  switch (grpc_status) {
    case 0:
      return Outcome::kAnswered;
    case 8:  // RESOURCE_EXHAUSTED
      return Outcome::kRefused;
    case 2:   // UNKNOWN
    case 4:   // DEADLINE_EXCEEDED
    case 5:   // NOT_FOUND
    case 12:  // UNIMPLEMENTED
    case 13:  // INTERNAL
    case 15:  // DATA_LOSS
      return Outcome::kErred;
    case 14:  // UNAVAILABLE
      return Outcome::kFailed;
    default:
      return grpc_status < 0 || grpc_status > 16 ? Outcome::kErred : Outcome::kRejected;
  }
}

void HostState::OnEnd(Outcome outcome, std::chrono::nanoseconds took, Time now, const Settings& settings) {
  outstanding_.fetch_sub(1, std::memory_order_relaxed);
  const bool answered = outcome == Outcome::kAnswered;
  // One that fails at once is not fast.
  Observe(static_cast<float>(took.count()) / 1000, /*may_lower=*/answered, now, settings);
  if (outcome == Outcome::kFailed) {
    Stamped before = failures_.load(std::memory_order_relaxed);
    while (!failures_.compare_exchange_weak(before, {.value = before.value + 1, .at = Tick(now)},
                                            std::memory_order_relaxed)) {
    }
  }
  if (answered && failures_in_succession() != 0) ForgetFailures();
  if (answered || outcome == Outcome::kRejected) good_.fetch_add(1, std::memory_order_relaxed);
  if (outcome == Outcome::kErred || outcome == Outcome::kFailed) bad_.fetch_add(1, std::memory_order_relaxed);
  if (answered && !warm()) answers_since_cold_.fetch_add(1, std::memory_order_relaxed);
}

// Peak EWMA, as Finagle has it: what is longer counts in full and at once, what is shorter as time goes by. A host that
// stalls is known with the first answer that it delays, and has to prove for a while that it is over.
void HostState::Observe(float microseconds, bool may_lower, Time now, const Settings& settings) {
  if (!(microseconds >= kMicrosecondsLeast)) microseconds = kMicrosecondsLeast;
  microseconds = std::min(microseconds, kMicrosecondsMost);
  const uint32_t tick = Tick(now);
  Stamped before = latency_.load(std::memory_order_relaxed);
  Stamped after;
  do {
    if (before.value > 0 && microseconds <= before.value) {
      // Asked it was, so that what is known of it is not forgotten either: it would look faster with each failure.
      const float kept = may_lower ? Decay(SecondsBetween(before.at, tick) / Seconds(settings.latency_decay)) : 1;
      after.value = before.value * kept + microseconds * (1 - kept);
    } else {
      if (!may_lower && before.value == 0) return;  // of a host that never answered it is not known how fast it is
      after.value = microseconds;
    }
    after.at = tick;
  } while (!latency_.compare_exchange_weak(before, after, std::memory_order_relaxed));
}

float HostState::LatencyMicroseconds(Time now, const Settings& settings) const {
  // What nobody has asked for a while is forgotten ten times as slowly: else a slow host would be tried, by a request
  // that waits for it, every few seconds.
  constexpr float kIdleFactor = 10;
  const Stamped latency = latency_.load(std::memory_order_relaxed);
  if (latency.value == 0) return 0;
  const float idle = SecondsBetween(latency.at, Tick(now)) / (kIdleFactor * Seconds(settings.latency_decay));
  return std::max(kMicrosecondsLeast, latency.value * Decay(idle));
}

void HostState::OnReport(double utilisation, Time now) {
  if (std::isnan(utilisation) || utilisation < 0) return;
  report_.store({.value = static_cast<float>(std::min(utilisation, 1.0)), .at = Tick(now)}, std::memory_order_relaxed);
}

float HostState::Utilisation(Time now, const Settings& settings) const {
  const Stamped report = report_.load(std::memory_order_relaxed);
  if (report.value < 0 || SecondsBetween(report.at, Tick(now)) > Seconds(settings.report_lifetime)) return -1;
  return report.value;
}

void HostState::SetCold(Time now) {
  answers_since_cold_.store(0, std::memory_order_relaxed);
  cold_since_.store(std::max<int64_t>(1, now.time_since_epoch().count()), std::memory_order_relaxed);
}

float HostState::Weight(Time now, const Settings& settings) const {
  const int64_t since = cold_since_.load(std::memory_order_relaxed);
  if (since == 0 || settings.slow_start.count() == 0) return 1;
  const float time = static_cast<float>(now.time_since_epoch().count() - since) / 1e9F / Seconds(settings.slow_start);
  constexpr float kInAnyCase = 3;
  if (time >= kInAnyCase) return 1;
  const float answers = settings.slow_start_answers == 0
                            ? 1
                            : static_cast<float>(answers_since_cold_.load(std::memory_order_relaxed)) /
                                  static_cast<float>(settings.slow_start_answers);
  return std::clamp(std::min(time, answers), kWeightLeast, 1.0F);
}

void HostState::EndSlowStart(Time now, const Settings& settings) {
  if (!warm() && Weight(now, settings) >= 1) cold_since_.store(0, std::memory_order_relaxed);
}

}  // namespace signalbox::balance
