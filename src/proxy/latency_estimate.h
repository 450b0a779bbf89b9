// How long a model takes, as hedging needs to know it: any quantile of its recent answers.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

namespace signalbox::proxy {

// A histogram of the times to the first byte of an answer, in steps of an eighth (so within 12 %), from 1 us to nine
// minutes; it is halved every 2,048 answers, so that old ones fade. Of one model, shared by all workers; thread-safe.
class LatencyEstimate {
 public:
  void Add(std::chrono::nanoseconds latency);
  // The quantile, from above; nullopt before there were enough answers to know.
  std::optional<std::chrono::microseconds> Quantile(uint32_t ppm) const;

 private:
  static constexpr size_t kStepsPerDoubling = 8;
  static constexpr size_t kDoublings = 27;
  static constexpr uint32_t kAnswersUntilHalved = 2048;
  static constexpr uint32_t kAnswersMin = 32;

  static size_t StepOf(uint64_t us);
  static uint64_t EndOf(size_t step);

  std::array<std::atomic<uint32_t>, kStepsPerDoubling* kDoublings> counts_ = {};
  std::atomic<uint32_t> answers_{0};  // since it was halved
};

}  // namespace signalbox::proxy
