#include "proxy/shadow_comparer.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <string_view>
#include <utility>

#include "base/background_thread.h"
#include "inference/compare.h"

namespace signalbox::proxy {
namespace {

using telemetry::ShadowOutcome;

// Of each answer in a report: some dozens of scores.
constexpr size_t kShownBytesMax = 512;

// The one message of an answer, without its prefix; nullopt when it is not one, or compressed.
std::optional<std::string_view> OnlyMessage(std::string_view body) {
  constexpr size_t kPrefixBytes = 5;
  if (body.size() < kPrefixBytes || body[0] != 0) return std::nullopt;
  size_t length = 0;
  for (size_t i = 1; i < kPrefixBytes; ++i) length = length << 8 | static_cast<unsigned char>(body[i]);
  if (body.size() - kPrefixBytes != length) return std::nullopt;
  return body.substr(kPrefixBytes);
}

compare::Result Compare(const ShadowResult& result, std::string& live_shown, std::string& shadow_shown) {
  const std::optional<std::string_view> live = OnlyMessage(*result.live);
  const std::optional<std::string_view> shadow = OnlyMessage(result.shadow);
  if (!live || !shadow) {
    return {
        .verdict = compare::Verdict::kNotComparable,
        .reason = fmt::format("the {} answer is not one message that is not compressed", live ? "shadow's" : "live")};
  }
  compare::Result compared = compare::Compare(*result.comparison, *live, *shadow);
  if (compared.verdict != compare::Verdict::kAgree) {
    live_shown = compare::Describe(*live, kShownBytesMax);
    shadow_shown = compare::Describe(*shadow, kShownBytesMax);
  }
  return compared;
}

}  // namespace

ShadowComparer::ShadowComparer(telemetry::ShadowRecords& records) : records_(records) {
  thread_ = std::thread([this] { Run(); });
}

ShadowComparer::~ShadowComparer() {
  stop_.store(true, std::memory_order_release);
  Wake();
  thread_.join();
}

bool ShadowComparer::Add(ShadowResult result) {
  const size_t bytes = result.bytes();
  const bool has_room = waiting_.fetch_add(1, std::memory_order_relaxed) < kResultsMax &&
                        bytes_.load(std::memory_order_relaxed) + bytes <= kBytesMax;
  if (!has_room) {
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  auto node = std::make_unique<Node>();
  node->result = std::move(result);
  Node* newest = newest_.load(std::memory_order_relaxed);
  do {
    (void)node->next.release();  // still the list's
    node->next.reset(newest);
  } while (!newest_.compare_exchange_weak(newest, node.get(), std::memory_order_release, std::memory_order_relaxed));
  (void)node.release();
  Wake();
  return true;
}

void ShadowComparer::Wake() {
  changes_.fetch_add(1, std::memory_order_release);
  changes_.notify_one();
}

void ShadowComparer::Run() {
  // Signals are for the main thread; and a pipe whose reader went away is an error of the log, not the end of the
  // process.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  pthread_setname_np(pthread_self(), "shadow-compare");
  MakeThisABackgroundThread();
  for (;;) {
    const uint32_t seen = changes_.load(std::memory_order_acquire);
    const bool last = stop_.load(std::memory_order_acquire);
    FinishAll(std::unique_ptr<Node>(newest_.exchange(nullptr, std::memory_order_acquire)));
    if (last) return;
    changes_.wait(seen, std::memory_order_acquire);
  }
}

void ShadowComparer::FinishAll(std::unique_ptr<Node> newest) {
  std::unique_ptr<Node> oldest;
  while (newest != nullptr) {
    std::unique_ptr<Node> next = std::move(newest->next);
    newest->next = std::move(oldest);
    oldest = std::move(newest);
    newest = std::move(next);
  }
  while (oldest != nullptr) {
    const size_t bytes = oldest->result.bytes();
    Finish(std::move(oldest->result));
    std::unique_ptr<Node> next = std::move(oldest->next);
    oldest = std::move(next);
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  }
}

void ShadowComparer::Finish(ShadowResult result) {
  if (result.comparison) {
    compare::Result compared = Compare(result, result.report.live_answer, result.report.shadow_answer);
    const auto outcome = compared.verdict == compare::Verdict::kAgree      ? ShadowOutcome::kAgree
                         : compared.verdict == compare::Verdict::kDisagree ? ShadowOutcome::kDisagree
                                                                           : ShadowOutcome::kNotComparable;
    result.report.reason = std::move(compared.reason);
    result.report.outcome = outcome;
    if (outcome == ShadowOutcome::kAgree) return result.series->Count(outcome);
    telemetry::ShadowSeries& series = *result.series;
    records_.Report(std::move(result.report));
    // Last: whoever sees the count sees the report.
    return series.Count(outcome);
  }
  records_.Report(std::move(result.report));
}

}  // namespace signalbox::proxy
