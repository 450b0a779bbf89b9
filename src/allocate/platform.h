// One experimentation platform, as the thread that asks sees it: who asks what, how many at once, and whether at all.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "allocate/asker.h"
#include "allocate/cell_cache.h"
#include "allocate/circuit.h"
#include "allocate/platform_options.h"
#include "allocate/question.h"
#include "base/string_map.h"
#include "telemetry/counter.h"
#include "telemetry/histogram.h"

namespace signalbox::allocate {

// Questions that a platform works on for us at the same time.
inline constexpr size_t kExchangesMax = 64;
// Those that wait until it is their turn. Beyond them the fallback counts at once.
inline constexpr size_t kQueueMax = 1024;
// What all workers know together, for when a session moves from one to another.
inline constexpr size_t kSharedCacheBytesMax = 64 << 20;
// A platform has so long to answer, or the asker's deadline where that is longer: an answer that is late for one
// request is in time for the next.
inline constexpr std::chrono::milliseconds kExchangeTimeoutMin{1'000};

// 500 us to 10 s, the longest deadline.
inline constexpr std::array<uint32_t, 14> kExchangeBoundsUs = {500,       1'000,     2'500,     5'000,     10'000,
                                                               20'000,    50'000,    100'000,   200'000,   500'000,
                                                               1'000'000, 2'000'000, 5'000'000, 10'000'000};

// What a scrape reads while the thread counts.
struct ExchangeCounts {
  std::array<telemetry::Counter, kResults> results;
  telemetry::BoundedHistogram<kExchangeBoundsUs.size()> duration;
  telemetry::Counter shared_hits;  // answered from what another worker had asked
  telemetry::Counter coalesced;    // two workers asked the same at the same time
  std::atomic<uint64_t> open{0};
  std::atomic<uint64_t> queued{0};
  std::atomic<bool> paused{false};
};

// For one thread, but for `counts()`.
class Platform {
 public:
  // Gives an inquiry back with its answer.
  using Reply = std::function<void(std::unique_ptr<Inquiry>)>;
  using Log = std::function<void(std::string_view line)>;

  Platform(const PlatformOptions& options, std::unique_ptr<Asker> asker, Reply reply, Log log);

  void Ask(std::unique_ptr<Inquiry> inquiry);
  // Reads the token's file again, if there is one. Where that fails the token that it has stays.
  void RereadToken();

  const std::string& name() const { return name_; }
  const ExchangeCounts& counts() const { return counts_; }

 private:
  // A question that is under way or waits for its turn, and all who have it.
  struct Exchange {
    std::vector<std::unique_ptr<Inquiry>> askers;
    Time begun;
    Circuit::Round round = 0;
  };

  bool AnswerFromCache(std::unique_ptr<Inquiry>& inquiry);
  void Begin(const std::string& key, Exchange& exchange, Time now);
  void OnAnswer(const std::string& key, const Answer& answer);
  void Judge(const Answer& answer, Circuit::Round asked_in, Time now);
  void Remember(const std::string& key, const Answer& answer, Time now, Time none_until);
  Time NoneUntil(const Answer& answer, std::chrono::milliseconds ttl, Time now) const;
  void EndExchange(const std::string& key, const Answer& answer, Time now);
  void BeginQueued(Time now);
  void RefuseQueued(Time now);
  void Publish();

  const std::string name_;
  const std::string token_file_;
  std::string token_;
  Time token_read_at_;
  const Reply reply_;
  const Log log_;
  Circuit circuit_;
  CellCache cache_{kSharedCacheBytesMax};
  StringMap<std::unique_ptr<Exchange>> exchanges_;
  std::deque<std::string> queue_;  // keys of exchanges_
  size_t open_ = 0;
  ExchangeCounts counts_;
  std::unique_ptr<Asker> asker_;  // last: what it has under way refers to the rest
};

}  // namespace signalbox::allocate
