// A copy of one request to a shadow's model: collected while the live request passes, sent when it is complete, and
// compared when both have answered. It belongs to no client: the live request may be long gone.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "decide/snapshot.h"
#include "proxy/attempt.h"
#include "proxy/body_queue.h"
#include "proxy/deadline_queue.h"
#include "proxy/header_list.h"
#include "proxy/intrusive_list.h"
#include "proxy/request_body.h"
#include "telemetry/shadow_records.h"

namespace signalbox::proxy {

class RequestShadows;
class ShadowTraffic;
class Worker;
struct Routes;

// What shadows of one Objective take of a worker.
struct ObjectiveShadows {
  std::string name;
  uint32_t copies = 0;
  uint32_t charges = 0;  // copies, and what else holds bytes
  uint64_t bytes = 0;
};

// Bytes that are held for shadows, as long as this lives. For its worker's thread.
class ShadowCharge {
 public:
  ShadowCharge() = default;
  ~ShadowCharge() { End(); }
  ShadowCharge(const ShadowCharge&) = delete;
  ShadowCharge& operator=(const ShadowCharge&) = delete;

  void Begin(ShadowTraffic& traffic, std::string_view objective);
  // False, and nothing added, when a bound would be exceeded.
  bool Add(size_t bytes);
  void End();
  ObjectiveShadows& objective() { return *objective_; }

 private:
  ShadowTraffic* traffic_ = nullptr;
  ObjectiveShadows* objective_ = nullptr;
  size_t bytes_ = 0;
};

// How the live request ended, for all of its shadows.
struct LiveAnswer {
  std::string model;
  // gRPC messages with their prefixes; nullptr where there is nothing to compare with: why, and what that makes of the
  // copies.
  std::shared_ptr<const std::string> body;
  std::string why_not;
  telemetry::ShadowOutcome outcome = telemetry::ShadowOutcome::kNotCompared;
  ShadowCharge charge;
};

// For its worker's thread. Is reused, memory and all, for later copies.
class ShadowCopy final : private AttemptOwner {
 public:
  ShadowCopy(Worker& worker, ShadowTraffic& traffic);
  ShadowCopy(const ShadowCopy&) = delete;
  ShadowCopy& operator=(const ShadowCopy&) = delete;

  // --- What makes it, in this order: NewCopy of its traffic, Begin, then what the host is to get.
  // `routes` is kept until its end.
  void Begin(RequestShadows& of, Routes& routes, uint64_t decision_id, int64_t start_unix_us);
  // False when they are too many.
  bool AddHeader(std::string_view name, std::string_view value) { return headers_.Add(name, value); }
  // What is appended to each message.
  std::string& suffix() { return suffix_; }

  // --- What the live request reports. It may end in any of these.
  // What came of the body before it was made. False when that ended it.
  bool AppendAll(const RequestBody& body);
  void Append(std::string_view data, const BlockRef& block);
  void OnBodyComplete();
  // The live request has ended.
  void OnLiveEnd(std::shared_ptr<const LiveAnswer> live);

  // Counts it as this, and ends it. `reason` is for people.
  void Finish(telemetry::ShadowOutcome outcome, std::string reason);

  const decide::Shadow& shadow() const { return *shadow_; }

  // --- What time reports.
  void OnDeadline();
  Deadline deadline;

  ListHook<ShadowCopy> request_hook;
  ListHook<ShadowCopy> open_hook;

 private:
  friend class ShadowTraffic;
  enum class State { kCollects, kComplete, kWaitsForShadow, kAnswered, kWaitsForLive };

  // What its attempt asks and reports (attempt.h).
  void AddHostHeaders(const Attempt& attempt, HeaderFields& fields) override;
  std::string_view SuffixFor(const Attempt&, std::string&) override { return suffix_; }
  void OnBodyTaken() override {}
  void OnResponseHeaders(Attempt& attempt, bool ended) override;
  void OnResponseData(Attempt& attempt) override;
  void OnResponseEnd(Attempt& attempt) override;
  void OnAttemptFailed(Attempt& attempt, const absl::Status& why, Processed processed) override;

  void SetDeadline(std::chrono::milliseconds from_now);
  void Send();
  void OnAnswered();
  // Both have answered.
  void Compare();
  telemetry::ShadowReport Report(telemetry::ShadowOutcome outcome, std::string reason) const;
  void End();

  Worker& worker_;
  ShadowTraffic& traffic_;
  const decide::Shadow* shadow_ = nullptr;
  telemetry::ShadowSeries* series_ = nullptr;
  RequestShadows* of_ = nullptr;  // nullptr once the live request has ended
  Routes* routes_ = nullptr;
  uint64_t decision_id_ = 0;
  int64_t start_unix_us_ = 0;
  State state_ = State::kCollects;
  ShadowCharge charge_;

  HeaderList headers_;
  std::string suffix_;
  RequestBody body_;
  Attempt* attempt_ = nullptr;
  std::array<char, 16> timeout_text_;

  absl::Status failure_;  // what the shadow answered instead of OK
  uint64_t duration_us_ = 0;
  std::string answer_;
  bool answer_too_long_ = false;
  std::shared_ptr<const LiveAnswer> live_;
};

// The copies of one request, and what they get of it: what it is sent, and what it is answered. For its worker's
// thread.
class RequestShadows {
 public:
  bool empty() const { return copies_.empty(); }
  void Add(ShadowCopy& copy) { copies_.PushBack(copy); }
  void Remove(ShadowCopy& copy) { copies_.Remove(copy); }

  void Append(std::string_view data, const BlockRef& block);
  void OnBodyComplete();
  // The answer is to be kept.
  void Capture(ShadowTraffic& traffic, std::string_view objective);
  // These first bytes of it are going to the client.
  void OnAnswer(const BodyQueue& body, size_t bytes);
  // The live request has ended. Where its answer cannot be compared: why not, and what that makes of the copies.
  void End(std::string_view live_model, std::string why_not, telemetry::ShadowOutcome outcome);

 private:
  IntrusiveList<ShadowCopy, &ShadowCopy::request_hook> copies_;
  ShadowTraffic* traffic_ = nullptr;  // while it is captured
  std::shared_ptr<LiveAnswer> live_;
  std::string answer_;
};

}  // namespace signalbox::proxy
