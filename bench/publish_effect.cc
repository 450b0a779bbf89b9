// Many data planes and one author, for bench/publish_effect.mjs: how long it takes from the beginning of a publish
// until the last of N subscribers has compiled the rules and runs them, which it acknowledges in that moment.
//
//   publish_effect STORE CONTROL SUBSCRIBERS PUBLISHES ROLLBACKS RESTARTS
//
// The subscribers are those of the data planes (subscribe::Subscriber), each with a connection of its own; all are in
// this process. Prints one JSON object a line: {"event": "publish" | "rollback", "ms", ...} for each, and
// {"event": "started" | "away" | "back", ...}; a control plane that is away is started again by the driver.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <stdlib.h>
#include <time.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "control/publish_rules.h"
#include "store/store.h"
#include "subscribe/subscriber.h"

namespace signalbox::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::chrono::seconds kPatience{60};
constexpr milliseconds kPoll{2};
constexpr char kNamespace[] = "bench";
constexpr int kObjectives = 10;
constexpr uint64_t kSeed = 20;

template <typename T>
T OrExit(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  fmt::print(stderr, "{:.2000}\n", Message(value.status()));
  std::exit(1);
}

[[noreturn]] void GiveUp(const std::string& what) {
  fmt::print(stderr, "{} within {} s\n", what, kPatience.count());
  std::exit(1);
}

double MillisecondsSince(Clock::time_point start, Clock::time_point end = Clock::now()) {
  return std::chrono::duration<double, std::milli>(end - start).count();
}

// Of this process: what the subscribers take.
double CpuMilliseconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

int64_t NowUnixUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Told apart by the share of one traffic shift, which is what an author changes most often. Both models are there.
v1::RuleSet Rules(uint32_t share_ppm) {
  v1::RuleSet rules;
  rules.set_namespace_(kNamespace);
  for (int i = 0; i < kObjectives; ++i) {
    v1::Objective& objective = *rules.add_objectives();
    objective.set_name(fmt::format("Ranking{}", i));
    objective.mutable_default_model()->set_name("title-ranker");
    objective.mutable_default_model()->set_version("1");
    v1::TrafficShift& shift = *rules.add_traffic_shifts();
    shift.set_id(fmt::format("canary-{}", i));
    shift.add_objectives(objective.name());
    shift.mutable_to()->set_name("title-ranker");
    shift.mutable_to()->set_version("2");
    shift.set_share_ppm(share_ppm);
  }
  return rules;
}

uint32_t ShareOf(const decide::Snapshot& snapshot) {
  for (const v1::PublishedRuleSet& published : snapshot.proto().rule_sets()) {
    if (published.rule_set().namespace_() != kNamespace) continue;
    if (published.rule_set().traffic_shifts().empty()) return 0;
    return published.rule_set().traffic_shifts(0).share_ppm();
  }
  return 0;
}

// How many subscribers run the rules that are waited for.
class Running {
 public:
  explicit Running(size_t subscribers) : shares_(subscribers) {}

  void Expect(uint32_t share_ppm) {
    std::lock_guard lock(mutex_);
    expected_ = share_ppm;
    count_ = 0;
    for (uint32_t share : shares_) count_ += share == expected_ ? 1 : 0;
  }
  void Note(size_t subscriber, uint32_t share_ppm) {
    std::lock_guard lock(mutex_);
    if (shares_[subscriber] == share_ppm) return;
    if (shares_[subscriber] == expected_) --count_;
    shares_[subscriber] = share_ppm;
    if (share_ppm != expected_) return;
    if (++count_ == 1) first_ = Clock::now();
    if (count_ == shares_.size()) all_.notify_one();
  }
  // When the first came to run what is waited for.
  Clock::time_point first() const {
    std::lock_guard lock(mutex_);
    return first_;
  }
  void WaitForAll(const std::string& what) {
    std::unique_lock lock(mutex_);
    if (all_.wait_for(lock, kPatience, [this] { return count_ == shares_.size(); })) return;
    GiveUp(fmt::format("{}: {} of {} subscribers run it", what, count_, shares_.size()));
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable all_;
  std::vector<uint32_t> shares_;
  uint32_t expected_ = 0;
  size_t count_ = 0;
  Clock::time_point first_;
};

class Bench {
 public:
  Bench(const std::string& store, std::string control, size_t subscribers)
      : store_(OrExit(store::OpenStore(store, store::OpenMode::kCreateIfMissing))),
        control_(std::move(control)),
        running_(subscribers),
        subscribers_(subscribers) {}

  // The models are loaded by the first publish; then everybody comes at once.
  void Begin() {
    Publish();
    WaitUntil("the first rules take effect", [this] {
      auto active = store_->Get(store::ActiveTopic(kNamespace), std::nullopt);
      return active.ok() && active->content.find(fmt::format("{}", share_ppm_)) != std::string::npos;
    });
    running_.Expect(share_ppm_);
    const Clock::time_point start = Clock::now();
    for (size_t i = 0; i < subscribers_.size(); ++i) {
      subscribe::SubscriberOptions options;
      options.control = control_;
      options.node_id = fmt::format("bench-{}", i);
      subscribers_[i] =
          OrExit(subscribe::Subscriber::Start(options, [this, i](std::shared_ptr<const decide::Snapshot> snapshot) {
            running_.Note(i, ShareOf(*snapshot));
            return absl::OkStatus();
          }));
    }
    running_.WaitForAll("the first rules");
    Tell(fmt::format(R"("event": "started", "ms": {:.3f})", MillisecondsSince(start)));
  }

  void MeasurePublish() {
    Rest();
    cpu_before_ms_ = CpuMilliseconds();
    const Clock::time_point start = Clock::now();
    Publish();
    TellEffect("publish", start);
  }

  void MeasureRollback() {
    const uint32_t before = share_ppm_;
    Rest();
    Publish();
    running_.WaitForAll("what is to be rolled back");
    Rest();
    running_.Expect(before);
    cpu_before_ms_ = CpuMilliseconds();
    const Clock::time_point start = Clock::now();
    (void)OrExit(control::RollBackRules(*store_, {.namespace_name = kNamespace,
                                                  .to_version = std::nullopt,
                                                  .author = "bench",
                                                  .message = "",
                                                  .expected_version = std::nullopt}));
    written_ms_ = MillisecondsSince(start);
    TellEffect("rollback", start);
    Rest();
    Publish();  // a next rollback would go a step further back
    running_.WaitForAll("rules after a rollback");
  }

  void MeasureRestart() {
    Tell(R"("event": "stop")");
    WaitUntil("the control plane is stopped", [this] { return Connected() == 0; });
    Tell(R"("event": "away")");
    WaitUntil("all subscribers are back", [this] { return Connected() == subscribers_.size(); });
    Tell(R"("event": "back")");
  }

 private:
  void Publish() {
    share_ppm_ = next_share_ppm_++;
    running_.Expect(share_ppm_);
    const Clock::time_point start = Clock::now();
    (void)OrExit(control::PublishRules(
        *store_, {.rule_set = Rules(share_ppm_), .author = "bench", .message = "", .expected_version = std::nullopt}));
    written_ms_ = MillisecondsSince(start);
  }

  void TellEffect(const char* event, Clock::time_point start) {
    running_.WaitForAll(event);
    const Clock::time_point end = Clock::now();
    Tell(fmt::format(
        R"("event": "{}", "ms": {:.3f}, "written_ms": {:.3f}, "first_ms": {:.3f}, "subscribers_cpu_ms": {:.3f})", event,
        MillisecondsSince(start, end), written_ms_, MillisecondsSince(start, running_.first()),
        CpuMilliseconds() - cpu_before_ms_));
  }

  // As long as no pattern in time can hide behind it; the acknowledgements of the last publish are written by then.
  void Rest() { std::this_thread::sleep_for(milliseconds(std::uniform_int_distribution<int>(200, 500)(random_))); }

  size_t Connected() const {
    size_t connected = 0;
    for (const auto& subscriber : subscribers_) connected += subscriber->status().connected ? 1 : 0;
    return connected;
  }

  static void WaitUntil(const std::string& what, const std::function<bool()>& holds) {
    const Clock::time_point end = Clock::now() + kPatience;
    while (!holds()) {
      if (Clock::now() > end) GiveUp(what + ": did not happen");
      std::this_thread::sleep_for(kPoll);
    }
  }

  static void Tell(const std::string& fields) {
    fmt::print("{{{}, \"unix_us\": {}}}\n", fields, NowUnixUs());
    std::fflush(stdout);
  }

  const std::unique_ptr<store::Store> store_;
  const std::string control_;
  Running running_;
  std::vector<std::unique_ptr<subscribe::Subscriber>> subscribers_;  // after what they call
  std::mt19937_64 random_{kSeed};
  uint32_t next_share_ppm_ = 123'456;  // digits that stand nowhere else in the rules
  uint32_t share_ppm_ = 0;
  double written_ms_ = 0;
  double cpu_before_ms_ = 0;
};

}  // namespace
}  // namespace signalbox::bench

int main(int argc, char** argv) {
  if (argc != 7) {
    fmt::print(stderr, "publish_effect STORE CONTROL SUBSCRIBERS PUBLISHES ROLLBACKS RESTARTS\n");
    return 1;
  }
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  spdlog::set_level(spdlog::level::off);  // its lines would be among ours
  auto number = [&](int i) { return std::atoi(argv[i]); };
  signalbox::bench::Bench bench(argv[1], argv[2], static_cast<size_t>(number(3)));
  bench.Begin();
  for (int i = 0; i < number(4); ++i) bench.MeasurePublish();
  for (int i = 0; i < number(5); ++i) bench.MeasureRollback();
  for (int i = 0; i < number(6); ++i) bench.MeasureRestart();
  // A thousand subscribers end with the process.
  std::fflush(stdout);
  std::_Exit(0);
}
