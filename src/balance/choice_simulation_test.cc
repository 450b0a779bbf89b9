// The choice of hosts in a simulated world: hosts with queues, of which one is slow and one is cold, against taking
// them in turn and against an oracle that knows every queue.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <queue>
#include <random>

#include "balance/test_hosts.h"

namespace signalbox::balance {
namespace {

using Microseconds = std::chrono::duration<double, std::micro>;

constexpr size_t kHosts = 8;
constexpr size_t kPlaces = 4;  // requests that a host works on at once
constexpr double kMeanWorkUs = 10'000;
constexpr uint32_t kSlow = 0;
constexpr uint32_t kCold = 1;
constexpr double kSlowFactor = 5;
constexpr double kColdFactor = 10;
constexpr int kColdRequests = 100;
constexpr double kCapacityPerSecond = (kHosts - 1 + 1 / kSlowFactor) * kPlaces / (kMeanWorkUs / 1e6);

class World {
 public:
  enum class By { kLoad, kTurn, kOracle };

  World(By by, double share_of_capacity, uint64_t seed)
      : by_(by), rate_(kCapacityPerSecond * share_of_capacity), numbers_(seed), hosts_(kHosts - 1), servers_(kHosts) {
    // The last to come is new: it is put where the cold one is.
    std::vector<Member> members;
    for (uint32_t i = 0; i < kHosts; ++i) {
      const std::string address = i == kCold ? "new:1" : fmt::format("host-{}:1", i < kCold ? i : i - 1);
      members.push_back({.host = hosts_.balancer.StateOf(address, hosts_.now), .place = i});
    }
    hosts_.group = std::make_shared<Group>(members, hosts_.balancer.settings(), false);
    hosts_.balancer.Keep({hosts_.group}, hosts_.now);
    hosts_.hosts.clear();
    for (const Member& member : members) hosts_.hosts.push_back(member.host);
    start_ = hosts_.now;
  }

  // Latencies of all requests that came within `seconds`, in us, sorted.
  std::vector<double> Run(double seconds) {
    for (double at = 0; at < seconds * 1e6;) {
      at += std::exponential_distribution<>(rate_ / 1e6)(numbers_);
      // In this order whatever is chosen: all worlds of a seed meet the same requests.
      arrivals_.push({at, std::exponential_distribution<>(1 / kMeanWorkUs)(numbers_)});
    }
    double next_tick = 0;
    while (!arrivals_.empty() || !departures_.empty()) {
      const double arrival = arrivals_.empty() ? 1e300 : arrivals_.front().at;
      const double departure = departures_.empty() ? 1e300 : departures_.top().at;
      const double next = std::min(arrival, departure);
      for (; next_tick <= next; next_tick += 50'000) {
        SetClock(next_tick);
        hosts_.balancer.Tick(hosts_.now);
      }
      SetClock(next);
      departure <= arrival ? Depart() : Arrive();
    }
    for (const auto& host : hosts_.hosts) EXPECT_EQ(host->outstanding(), 0);
    std::sort(latencies_.begin(), latencies_.end());
    return std::move(latencies_);
  }

 private:
  struct Request {
    double at;
    double work_us;
  };
  struct Departure {
    double at;
    uint32_t server;
    double began;  // its arrival
    bool operator<(const Departure& other) const { return at > other.at; }
  };
  struct Server {
    size_t busy = 0;
    std::deque<Request> queue;
    int served = 0;
  };

  void SetClock(double at_us) {
    hosts_.now = start_ + std::chrono::nanoseconds(static_cast<int64_t>(at_us * 1000));
    now_us_ = at_us;
  }

  double Factor(uint32_t server) const {
    if (server == kSlow) return kSlowFactor;
    return server == kCold && servers_[server].served < kColdRequests ? kColdFactor : 1;
  }

  // Join the shortest expected delay: it knows what queues and speeds are at this moment, though not how much work each
  // request is.
  uint32_t Oracle() const {
    const auto delay = [&](uint32_t i) {
      const Server& server = servers_[i];
      const double service = kMeanWorkUs * Factor(i);
      const double wait = server.busy < kPlaces
                              ? 0
                              : service * static_cast<double>(server.queue.size() + 1) / static_cast<double>(kPlaces);
      return wait + service;
    };
    uint32_t best = 0;
    for (uint32_t i = 1; i < kHosts; ++i) {
      if (delay(i) < delay(best)) best = i;
    }
    return best;
  }

  void Arrive() {
    const Request request = arrivals_.front();
    arrivals_.pop();
    const uint32_t to = by_ == By::kLoad ? hosts_.Choose() : by_ == By::kTurn ? turn_++ % kHosts : Oracle();
    hosts_.hosts[to]->OnBegin();
    servers_[to].busy < kPlaces ? Begin(to, request) : servers_[to].queue.push_back(request);
  }

  void Begin(uint32_t to, const Request& request) {
    ++servers_[to].busy;
    departures_.push({now_us_ + request.work_us * Factor(to), to, request.at});
    ++servers_[to].served;
  }

  void Depart() {
    const Departure done = departures_.top();
    departures_.pop();
    const double took = now_us_ - done.began;
    latencies_.push_back(took);
    hosts_.hosts[done.server]->OnEnd(Outcome::kAnswered, std::chrono::nanoseconds(static_cast<int64_t>(took * 1000)),
                                     hosts_.now, hosts_.balancer.settings());
    Server& server = servers_[done.server];
    --server.busy;
    if (server.queue.empty()) return;
    const Request next = server.queue.front();
    server.queue.pop_front();
    Begin(done.server, next);
  }

  const By by_;
  const double rate_;
  std::mt19937_64 numbers_;
  TestHosts hosts_;
  Time start_;
  double now_us_ = 0;
  std::vector<Server> servers_;
  std::queue<Request> arrivals_;
  std::priority_queue<Departure> departures_;
  std::vector<double> latencies_;
  uint32_t turn_ = 0;
};

struct Figures {
  double p50;
  double p99;
};

Figures Measure(World::By by, double share, uint64_t seed) {
  const std::vector<double> latencies = World(by, share, seed).Run(60);
  const auto at = [&](double part) {
    return latencies[static_cast<size_t>(part * static_cast<double>(latencies.size()))];
  };
  return {.p50 = at(0.5), .p99 = at(0.99)};
}

// Shares of capacity at which taking hosts in turn gives the slow one less (20 %) and more (50 %, 70 %, 85 %) than it
// can ever do.
TEST(ChoiceSimulation, IsFarFromTurnsAndNearAnOracle) {
  double worst_from_oracle = 0;
  double worst_to_turns = 0;
  fmt::print(
      "8 hosts of {} places, one {} x slower, one new and {} x slower for its first {} requests; p50 and p99 in ms\n",
      kPlaces, kSlowFactor, kColdFactor, kColdRequests);
  for (const double share : {0.2, 0.5, 0.7, 0.85}) {
    for (const uint64_t seed : {1u, 2u, 3u}) {
      const Figures load = Measure(World::By::kLoad, share, seed);
      const Figures turn = Measure(World::By::kTurn, share, seed);
      const Figures oracle = Measure(World::By::kOracle, share, seed);
      fmt::print(
          "load {:.2f} seed {}: by load {:6.1f} {:7.1f}  in turn {:6.1f} {:8.1f}  oracle {:6.1f} {:7.1f}  p99: {:.3f} "
          "x turns, {:.2f} x oracle\n",
          share, seed, load.p50 / 1000, load.p99 / 1000, turn.p50 / 1000, turn.p99 / 1000, oracle.p50 / 1000,
          oracle.p99 / 1000, load.p99 / turn.p99, load.p99 / oracle.p99);
      worst_from_oracle = std::max(worst_from_oracle, load.p99 / oracle.p99);
      worst_to_turns = std::max(worst_to_turns, load.p99 / turn.p99);
    }
  }
  EXPECT_LT(worst_from_oracle, 2.0);
  EXPECT_LT(worst_to_turns, 0.6);
}

}  // namespace
}  // namespace signalbox::balance
