#include "allocate/worker_cells.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/hash.h"

namespace signalbox::allocate {
namespace {

constexpr std::array<std::string_view, kOutcomes> kOutcomeNames = {
    "hit",     "stale",     "known_none", "answered",  "none",
    "timeout", "abandoned", "overloaded", "too_large", "unknown_platform"};

// After it could not be renewed, a cell that is still given out is not asked for again for so long.
constexpr std::chrono::milliseconds kRenewalPause{1'000};

// With its length before it: no two lists of parts make the same key.
void AppendPart(std::string_view part, std::string& key) {
  const auto bytes = static_cast<uint32_t>(part.size());
  key.append(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
  key.append(part);
}

uint64_t AskerOf(const Question& question) { return StableHash64(question.asker); }

}  // namespace

std::string_view Name(Outcome outcome) { return kOutcomeNames[static_cast<size_t>(outcome)]; }

// One question that is being asked, and those who wait for it: a list, in the order in which they came. Nobody, when a
// cell is being renewed.
struct Waiter::Waited {
  uint32_t platform = 0;
  Waiter* first = nullptr;
  Waiter* last = nullptr;

  void Add(Waiter& waiter) {
    waiter.waited_ = this;
    waiter.previous_ = last;
    waiter.next_ = nullptr;
    (last == nullptr ? first : last->next_) = &waiter;
    last = &waiter;
  }
  void Remove(Waiter& waiter) {
    (waiter.previous_ == nullptr ? first : waiter.previous_->next_) = waiter.next_;
    (waiter.next_ == nullptr ? last : waiter.next_->previous_) = waiter.previous_;
    waiter.waited_ = nullptr;
  }
};

WorkerCells::WorkerCells(uint32_t index, const std::vector<PlatformOptions>& platforms, std::function<void()> wake)
    : index_(index), platforms_(platforms), wake_(std::move(wake)), counts_(platforms.size()) {
  for (uint32_t i = 0; i < platforms.size(); ++i) platform_by_name_.emplace(platforms[i].name, i);
  event_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

WorkerCells::~WorkerCells() {
  if (event_ >= 0) close(event_);
}

WorkerCells::Found WorkerCells::Find(const Question& question, Time now, Waiter& waiter, std::string_view& cell) {
  const auto known = platform_by_name_.find(question.platform);
  if (known == platform_by_name_.end()) {
    unknown_platform_.Add(1);
    return Found::kNone;
  }
  const uint32_t platform = known->second;
  WriteKey(question, platform);
  if (key_.size() > kQuestionBytesMax) {
    Count(platform, Outcome::kTooLarge);
    return Found::kNone;
  }
  const uint64_t asker = AskerOf(question);
  Time newer_than;
  if (CellCache::Entry* entry = cache_.Find(key_); entry != nullptr) {
    const CellCache::Entry::Refusal* refusal = entry->RefusalFor(asker);
    const Age age = AgeOf(*entry, question.ttl, now);
    if (entry->has_cell && refusal == nullptr && age != Age::kTooOld) {
      Count(platform, age == Age::kFresh ? Outcome::kHit : Outcome::kStale);
      cell = entry->cell;
      if (age == Age::kStale && now >= entry->retry_at) Ask(question, platform, now, newer_than);
      return Found::kCell;
    }
    if (refusal != nullptr || !entry->has_cell) {
      const Time until = refusal == nullptr ? entry->none_until : std::max(refusal->until, entry->retry_at);
      if (now < until) {
        Count(platform, Outcome::kKnownNone);
        return Found::kNone;
      }
      newer_than = entry->answered_at;
    }
  }
  Waiter::Waited* waited = Ask(question, platform, now, newer_than);
  if (waited == nullptr) {
    Count(platform, Outcome::kOverloaded);
    return Found::kNone;
  }
  if (waited->first != nullptr) counts_[platform].coalesced.Add(1);
  waiter.asker_ = asker;
  waited->Add(waiter);
  return Found::kAsked;
}

void WorkerCells::WriteKey(const Question& question, uint32_t platform) {
  key_.clear();
  key_.append(reinterpret_cast<const char*>(&platform), sizeof(platform));
  AppendPart(question.flag, key_);
  AppendPart(question.unit, key_);
  auto append = [&](const Field& field) {
    if (field.value.empty() || key_.size() > kQuestionBytesMax) return;
    AppendPart(field.name, key_);
    if (field.name == kSegments) return AppendSegments(field.value);
    AppendPart(field.value, key_);
  };
  for (const Field& field : question.context) append(field);
  for (const Field& field : question.attributes) {
    if (IsSent(platform, field.name)) append(field);
  }
}

// They are a set, which clients write in any order.
void WorkerCells::AppendSegments(std::string_view text) {
  segments_.clear();
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) segments_.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  std::sort(segments_.begin(), segments_.end());
  const auto last = std::unique(segments_.begin(), segments_.end());
  const auto count = static_cast<uint32_t>(last - segments_.begin());
  key_.append(reinterpret_cast<const char*>(&count), sizeof(count));
  std::for_each(segments_.begin(), last, [&](std::string_view segment) { AppendPart(segment, key_); });
}

bool WorkerCells::IsSent(uint32_t platform, std::string_view attribute) const {
  const std::vector<std::string>& sent = platforms_[platform].attributes;
  return std::find(sent.begin(), sent.end(), attribute) != sent.end();
}

Waiter::Waited* WorkerCells::Ask(const Question& question, uint32_t platform, Time now, Time newer_than) {
  if (const auto found = waited_.find(key_); found != waited_.end()) return found->second.get();
  if (waited_.size() >= kInquiriesPerWorkerMax) return nullptr;
  auto inquiry = std::make_unique<Inquiry>();
  inquiry->key = key_;
  inquiry->worker = index_;
  inquiry->platform = platform;
  inquiry->flag = question.flag;
  inquiry->unit = question.unit;
  auto send = [&](const Field& field) {
    if (!field.value.empty()) inquiry->context.emplace_back(field.name, field.value);
  };
  for (const Field& field : question.context) send(field);
  for (const Field& field : question.attributes) {
    if (IsSent(platform, field.name)) send(field);
  }
  inquiry->ttl = question.ttl;
  inquiry->deadline = question.deadline;
  inquiry->asked_at = now;
  inquiry->newer_than = newer_than;
  // There is room: no more are under way than the ring has places.
  if (!to_ask_.Push(inquiry)) return nullptr;
  auto& waited = waited_[key_];
  waited = std::make_unique<Waiter::Waited>();
  waited->platform = platform;
  if (!wake_asked_.exchange(true, std::memory_order_acq_rel)) wake_();
  return waited.get();
}

void WorkerCells::Refuse(const Question& question, Time now) {
  const auto known = platform_by_name_.find(question.platform);
  if (known == platform_by_name_.end()) return;
  WriteKey(question, known->second);
  RefuseKey(known->second, key_, AskerOf(question), question.ttl, now);
}

void WorkerCells::RefuseKey(uint32_t platform, std::string_view key, uint64_t asker, std::chrono::milliseconds ttl,
                            Time now) {
  // Once for all those who waited together.
  if (cache_.Refuse(key, asker, now + std::min(ttl, kNoneKept), now)) counts_[platform].unknown_cells.Add(1);
}

void WorkerCells::GiveUp(Waiter& waiter, Outcome why) {
  if (!waiter.waits()) return;
  Count(waiter.waited_->platform, why);
  waiter.waited_->Remove(waiter);
}

void WorkerCells::Deliver(Time now) {
  eventfd_t ignored = 0;
  eventfd_read(event_, &ignored);
  while (const std::unique_ptr<Inquiry> inquiry = answered_.Pop()) {
    Remember(*inquiry, now);
    const auto found = waited_.find(inquiry->key);
    if (found == waited_.end()) continue;
    // Whoever is told may ask or give up as he likes.
    const std::unique_ptr<Waiter::Waited> waited = std::move(found->second);
    waited_.erase(found);
    const bool has_cell = inquiry->answer.result == Result::kCell;
    while (Waiter* waiter = waited->first) {
      waited->Remove(*waiter);
      Count(inquiry->platform, has_cell ? Outcome::kAnswered : Outcome::kNone);
      const uint64_t asker = waiter->asker_;
      const bool exists = waiter->OnAnswer(has_cell ? std::string_view(inquiry->answer.cell) : std::string_view());
      if (!exists) RefuseKey(inquiry->platform, inquiry->key, asker, inquiry->ttl, now);
    }
  }
  cache_entries_.store(cache_.entries(), std::memory_order_relaxed);
  cache_bytes_.store(cache_.bytes(), std::memory_order_relaxed);
}

void WorkerCells::Remember(const Inquiry& inquiry, Time now) {
  if (inquiry.answer.result == Result::kCell) {
    cache_.PutCell(inquiry.key, inquiry.answer.cell, inquiry.answered_at);
    return;
  }
  // What could not be renewed stays until it is too old; but what the platform has taken back is gone.
  const bool taken_back = inquiry.answer.result == Result::kNoCell || inquiry.answer.result == Result::kNotFound;
  CellCache::Entry* entry = cache_.Find(inquiry.key);
  if (!taken_back && entry != nullptr && entry->has_cell && AgeOf(*entry, inquiry.ttl, now) != Age::kTooOld) {
    entry->retry_at = now + kRenewalPause;
  } else if (inquiry.none_until > now) {
    cache_.PutNone(inquiry.key, inquiry.none_until);
  }
}

void WorkerCells::NotifyAnswered() { eventfd_write(event_, 1); }

void WorkerCells::Count(uint32_t platform, Outcome outcome) {
  counts_[platform].outcomes[static_cast<size_t>(outcome)].Add(1);
}

}  // namespace signalbox::allocate
