#include "allocate/platform.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace signalbox::allocate {
namespace {

// Many are told at once that a token is not good any more.
constexpr std::chrono::milliseconds kTokenRereadPause{1'000};

}  // namespace

Platform::Platform(const PlatformOptions& options, std::unique_ptr<Asker> asker, Reply reply, Log log)
    : name_(options.name),
      token_file_(options.token_file),
      token_(options.token),
      reply_(std::move(reply)),
      log_(std::move(log)),
      asker_(std::move(asker)) {}

void Platform::Ask(std::unique_ptr<Inquiry> inquiry) {
  const Time now = std::chrono::steady_clock::now();
  if (AnswerFromCache(inquiry)) return;
  std::unique_ptr<Exchange>& exchange = exchanges_[inquiry->key];
  if (exchange != nullptr) {
    counts_.coalesced.Add(1);
    exchange->askers.push_back(std::move(inquiry));
    return;
  }
  exchange = std::make_unique<Exchange>();
  const std::string key = inquiry->key;
  const bool can_be_sent = CanBeSent(*inquiry);
  exchange->askers.push_back(std::move(inquiry));
  if (!can_be_sent) return EndExchange(key, {.result = Result::kRefused}, now);
  if (open_ < kExchangesMax && queue_.empty()) {
    if (!circuit_.Allows(now)) return EndExchange(key, {.result = Result::kPaused}, now);
    Begin(key, *exchange, now);
  } else if (queue_.size() < kQueueMax) {
    queue_.push_back(key);
  } else {
    return EndExchange(key, {.result = Result::kOverloaded}, now);
  }
  Publish();
}

void Platform::RereadToken() {
  if (token_file_.empty()) return;
  token_read_at_ = std::chrono::steady_clock::now();
  absl::StatusOr<std::string> token = ReadToken(token_file_);
  if (!token.ok())
    return log_(fmt::format("platform {}: its token stays as it was: {}", name_, Message(token.status())));
  if (*token == token_) return;
  token_ = *std::move(token);
  asker_->SetToken(token_);
  log_(fmt::format("platform {} is asked with the new token of {}", name_, token_file_));
}

bool Platform::AnswerFromCache(std::unique_ptr<Inquiry>& inquiry) {
  // As its worker saw it: what is too old for the worker is so here.
  const Time now = inquiry->asked_at;
  const CellCache::Entry* entry = cache_.Find(inquiry->key);
  if (entry == nullptr) return false;
  if (entry->has_cell) {
    // A stale one its worker gives out by itself, if it knows it; then it wants to know better.
    if (AgeOf(*entry, inquiry->ttl, now) != Age::kFresh || entry->answered_at <= inquiry->newer_than) return false;
    inquiry->answer = {.result = Result::kCell, .cell = entry->cell};
    inquiry->answered_at = entry->answered_at;
  } else {
    if (now >= entry->none_until) return false;
    inquiry->answer = {.result = Result::kNoCell};
    inquiry->none_until = entry->none_until;
  }
  counts_.shared_hits.Add(1);
  reply_(std::move(inquiry));
  return true;
}

void Platform::Begin(const std::string& key, Exchange& exchange, Time now) {
  ++open_;
  exchange.begun = now;
  exchange.round = circuit_.round();
  const Inquiry& inquiry = *exchange.askers.front();
  asker_->Ask(inquiry, std::max(kExchangeTimeoutMin, inquiry.deadline),
              [this, key](const Answer& answer) { OnAnswer(key, answer); });
}

void Platform::OnAnswer(const std::string& key, const Answer& answer) {
  const Time now = std::chrono::steady_clock::now();
  --open_;
  const Exchange& exchange = *exchanges_.find(key)->second;
  const auto taken = std::chrono::duration_cast<std::chrono::microseconds>(now - exchange.begun);
  counts_.duration.Add(kExchangeBoundsUs, static_cast<uint64_t>(taken.count()));
  Judge(answer, exchange.round, now);
  EndExchange(key, answer, now);
  if (circuit_.paused()) {
    RefuseQueued(now);
  } else {
    BeginQueued(now);
  }
  Publish();
}

void Platform::Judge(const Answer& answer, Circuit::Round asked_in, Time now) {
  if (!IsPlatformFailure(answer.result)) {
    if (circuit_.Succeeded(asked_in)) log_(fmt::format("platform {} answers again", name_));
    return;
  }
  // Tokens are renewed by others, who do not always say so.
  if (answer.result == Result::kUnauthorised && now >= token_read_at_ + kTokenRereadPause) RereadToken();
  const bool has_paused = answer.result == Result::kRateLimited ? circuit_.Pause(now, answer.retry_after, asked_in)
                                                                : circuit_.Failed(now, asked_in);
  if (has_paused) {
    log_(fmt::format("platform {} is asked only now and then until it answers: {}; meanwhile fallbacks count", name_,
                     allocate::Name(answer.result)));
  }
}

Time Platform::NoneUntil(const Answer& answer, std::chrono::milliseconds ttl, Time now) const {
  switch (answer.result) {
    case Result::kNoCell:
    case Result::kNotFound:
    case Result::kRefused:
      return now + std::min(ttl, kNoneKept);
    case Result::kOverloaded:
      return now;
    case Result::kPaused:
      return std::min(circuit_.retry_at(), now + kFailureKept);
    default:
      return now + std::min(ttl, kFailureKept);
  }
}

void Platform::EndExchange(const std::string& key, const Answer& answer, Time now) {
  const auto found = exchanges_.find(key);
  const std::unique_ptr<Exchange> exchange = std::move(found->second);
  exchanges_.erase(found);
  counts_.results[static_cast<size_t>(answer.result)].Add(1);
  const Time none_until = NoneUntil(answer, exchange->askers.front()->ttl, now);
  Remember(exchange->askers.front()->key, answer, now, none_until);
  for (std::unique_ptr<Inquiry>& inquiry : exchange->askers) {
    inquiry->answer = answer;
    inquiry->answered_at = now;
    inquiry->none_until = none_until;
    reply_(std::move(inquiry));
  }
}

void Platform::Remember(const std::string& key, const Answer& answer, Time now, Time none_until) {
  if (answer.result == Result::kCell) {
    cache_.PutCell(key, answer.cell, now);
  } else if (answer.result != Result::kPaused && none_until > now) {
    cache_.PutNone(key, none_until);
  }
}

void Platform::BeginQueued(Time now) {
  while (open_ < kExchangesMax && !queue_.empty()) {
    const std::string key = std::move(queue_.front());
    queue_.pop_front();
    Exchange& exchange = *exchanges_.find(key)->second;
    // Whom nobody waits for any more is not asked about: a platform that is late already has enough to do.
    const bool too_late = std::all_of(exchange.askers.begin(), exchange.askers.end(),
                                      [&](const auto& asker) { return asker->asked_at + asker->deadline < now; });
    if (too_late) {
      EndExchange(key, {.result = Result::kOverloaded}, now);
    } else if (!circuit_.Allows(now)) {
      EndExchange(key, {.result = Result::kPaused}, now);
    } else {
      Begin(key, exchange, now);
    }
  }
}

void Platform::RefuseQueued(Time now) {
  while (!queue_.empty()) {
    const std::string key = std::move(queue_.front());
    queue_.pop_front();
    EndExchange(key, {.result = Result::kPaused}, now);
  }
}

void Platform::Publish() {
  counts_.open.store(open_, std::memory_order_relaxed);
  counts_.queued.store(queue_.size(), std::memory_order_relaxed);
  counts_.paused.store(circuit_.paused(), std::memory_order_relaxed);
}

}  // namespace signalbox::allocate
