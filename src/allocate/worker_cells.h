// One worker's side of remote allocation: what it knows already, and whom it waits for.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "allocate/cell_cache.h"
#include "allocate/inquiry_ring.h"
#include "allocate/platform_options.h"
#include "allocate/question.h"
#include "base/string_map.h"
#include "telemetry/counter.h"

namespace signalbox::allocate {

// Of each worker. Some hundred thousand cells.
inline constexpr size_t kWorkerCacheBytesMax = 32 << 20;
// Questions of one worker that are not answered yet. Beyond them the fallback counts at once.
inline constexpr size_t kInquiriesPerWorkerMax = 4096;

// What became of the questions that requests had.
enum class Outcome : uint8_t {
  kHit,              // known
  kStale,            // known, and being renewed
  kKnownNone,        // known that there is none for the moment
  kAnswered,         // waited for, and it came in time
  kNone,             // waited for, and none came
  kTimeout,          // waited for until the deadline
  kAbandoned,        // waited for until the request ended
  kOverloaded,       // too many are waiting
  kTooLarge,         // more than is sent
  kUnknownPlatform,  // counted without a platform's name, which comes from rules
};
inline constexpr size_t kOutcomes = 10;
// "hit", "stale", ...
std::string_view Name(Outcome outcome);

class WorkerCells;

// Somebody who waits for the answer to one question. It may wait for one at a time.
class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // When it ends, it waits for nothing any more.
  virtual ~Waiter() = default;

  // `cell` is empty when there is none, and lives for the call. It waits no more when this is called. False: there is
  // no such cell for who asked, and WorkerCells::Refuse shall be done with it.
  virtual bool OnAnswer(std::string_view cell) = 0;
  bool waits() const { return waited_ != nullptr; }

 private:
  friend class WorkerCells;
  struct Waited;
  Waited* waited_ = nullptr;
  uint64_t asker_ = 0;
  Waiter* previous_ = nullptr;
  Waiter* next_ = nullptr;
};

struct OutcomeCounts {
  std::array<telemetry::Counter, kOutcomes> outcomes;
  // Waited for a question that somebody else of the same worker had asked.
  telemetry::Counter coalesced;
  // Cells that requests had, and that the rules do not have.
  telemetry::Counter unknown_cells;
};

// For its worker's thread, but for what is marked. Never waits for anything.
class WorkerCells {
 public:
  // `wake` tells the thread that asks that there is something in `to_ask()`.
  WorkerCells(uint32_t index, const std::vector<PlatformOptions>& platforms, std::function<void()> wake);
  ~WorkerCells();
  WorkerCells(const WorkerCells&) = delete;
  WorkerCells& operator=(const WorkerCells&) = delete;

  enum class Found {
    kCell,   // `cell` is it, until the next call of any method
    kNone,   // there is none to be had now
    kAsked,  // `waiter` will be told by Deliver, unless it gives up
  };
  Found Find(const Question& question, Time now, Waiter& waiter, std::string_view& cell);
  // What Find has given for `question` is no cell of its asker's. For a while there is none for that asker: the
  // platform is asked again soon, but not by every request. Others who ask the same keep the cell.
  void Refuse(const Question& question, Time now);
  // `why`: kTimeout or kAbandoned. The answer, when it comes, is remembered for others.
  void GiveUp(Waiter& waiter, Outcome why);

  // Readable when there are answers. The worker watches it, and calls Deliver.
  int event() const { return event_; }
  void Deliver(Time now);

  // --- Of the thread that asks.
  InquiryRing& to_ask() { return to_ask_; }
  InquiryRing& answered() { return answered_; }
  // Before it looks at `to_ask()`. Read and written at once: after a mere store it could look at the ring as it was
  // before, while a worker that has just put something there still finds that a wake-up is under way.
  void ClearWake() { wake_asked_.exchange(false, std::memory_order_acq_rel); }
  void NotifyAnswered();

  // --- Of any thread.
  const OutcomeCounts& counts(size_t platform) const { return counts_[platform]; }
  uint64_t unknown_platform() const { return unknown_platform_.value(); }
  uint64_t cache_entries() const { return cache_entries_.load(std::memory_order_relaxed); }
  uint64_t cache_bytes() const { return cache_bytes_.load(std::memory_order_relaxed); }

 private:
  void WriteKey(const Question& question, uint32_t platform);
  void AppendSegments(std::string_view text);
  bool IsSent(uint32_t platform, std::string_view attribute) const;
  // The waiters of the question in `key_`; nullptr when nothing can be asked. An answer that came at `newer_than` or
  // earlier is not wanted.
  Waiter::Waited* Ask(const Question& question, uint32_t platform, Time now, Time newer_than);
  void Remember(const Inquiry& inquiry, Time now);
  void RefuseKey(uint32_t platform, std::string_view key, uint64_t asker, std::chrono::milliseconds ttl, Time now);
  void Count(uint32_t platform, Outcome outcome);

  const uint32_t index_;
  const std::vector<PlatformOptions>& platforms_;
  const std::function<void()> wake_;
  StringMap<uint32_t> platform_by_name_;
  // Of the question that is looked at; kept for their memory.
  std::string key_;
  std::vector<std::string_view> segments_;
  CellCache cache_{kWorkerCacheBytesMax};
  StringMap<std::unique_ptr<Waiter::Waited>> waited_;
  InquiryRing to_ask_{kInquiriesPerWorkerMax};
  InquiryRing answered_{kInquiriesPerWorkerMax};
  std::atomic<bool> wake_asked_{false};
  int event_ = -1;

  std::vector<OutcomeCounts> counts_;
  telemetry::Counter unknown_platform_;
  std::atomic<uint64_t> cache_entries_{0};
  std::atomic<uint64_t> cache_bytes_{0};
};

}  // namespace signalbox::allocate
