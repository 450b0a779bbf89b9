// A worker that does nothing but ask for cells. For tests only.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "allocate/allocator.h"
#include "prometheus/metric_family.h"

namespace signalbox::allocate {

// One request's question.
class TestWaiter : public Waiter {
 public:
  bool OnAnswer(std::string_view cell) override {
    answer = std::string(cell);
    if (then) then();
    return exists;
  }
  std::optional<std::string> answer;  // empty text: there is none
  std::function<void()> then;
  bool exists = true;  // what is said of the cell
};

class TestWorker {
 public:
  explicit TestWorker(Allocator& allocator) : cells_(allocator.AddWorker()) {}

  WorkerCells& cells() { return cells_; }
  Time now() const { return std::chrono::steady_clock::now() + ahead_; }
  // As far as this worker is concerned.
  void PassTime(std::chrono::milliseconds time) { ahead_ += time; }

  // Asks, and has the answer in `waiter` at once when it is known.
  WorkerCells::Found Find(const Question& question, TestWaiter& waiter) {
    std::string_view cell;
    const WorkerCells::Found found = cells_.Find(question, now(), waiter, cell);
    if (found == WorkerCells::Found::kCell) waiter.answer = std::string(cell);
    if (found == WorkerCells::Found::kNone) waiter.answer = "";
    return found;
  }

  // Until `done`, or a test has waited for longer than any machine takes.
  bool RunUntil(const std::function<bool()>& done) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      pollfd event{cells_.event(), POLLIN, 0};
      constexpr int kLookAgainMs = 20;
      if (poll(&event, 1, kLookAgainMs) > 0) cells_.Deliver(now());
    }
    return true;
  }

  // The cell, waiting for it; empty when there is none.
  std::string Ask(const Question& question) {
    TestWaiter waiter;
    Find(question, waiter);
    EXPECT_TRUE(RunUntil([&] { return waiter.answer.has_value(); }));
    return waiter.answer.value_or("no answer");
  }

 private:
  WorkerCells& cells_;
  std::chrono::milliseconds ahead_{0};
};

// What `family` says of the metric whose label values are `labels`, in order; -1 when there is none.
inline double MetricOf(const Allocator& allocator, const std::string& family, const std::vector<std::string>& labels) {
  for (const auto& collected : allocator.Collect()) {
    if (collected.name != family) continue;
    for (const auto& metric : collected.metric) {
      bool same = metric.label.size() == labels.size();
      for (size_t i = 0; same && i < labels.size(); ++i) same = metric.label[i].value == labels[i];
      if (!same) continue;
      if (collected.type == prometheus::MetricType::Histogram)
        return static_cast<double>(metric.histogram.sample_count);
      return collected.type == prometheus::MetricType::Gauge ? metric.gauge.value : metric.counter.value;
    }
  }
  return -1;
}

}  // namespace signalbox::allocate
