#include "proxy/request_body.h"

#include <algorithm>
#include <utility>

namespace signalbox::proxy {

// --- Reading.

void BodyReader::Begin(RequestBody& body) {
  body_ = &body;
  body.readers_.PushBack(*this);
}

void BodyReader::End() {
  if (body_ == nullptr) return;
  RequestBody& body = *std::exchange(body_, nullptr);
  body.readers_.Remove(*this);
  position_ = 0;
  place_ = {};
  body.Trim();
}

size_t BodyReader::bytes() const { return static_cast<size_t>(body_->received_ - position_); }

bool BodyReader::exhausted() const { return body_->ended_ && empty(); }

std::string_view BodyReader::Front() { return body_->IsReadOnce() ? body_->queue_.Front() : body_->queue_.At(place_); }

void BodyReader::Drop(size_t bytes) {
  position_ += bytes;
  if (body_->IsReadOnce()) {
    body_->queue_.Drop(bytes);
    body_->dropped_ = position_;
    return;
  }
  body_->queue_.Skip(place_, bytes);
  body_->Trim();
}

void BodyReader::MoveTo(BodyQueue& to, size_t bytes) {
  position_ += bytes;
  if (body_->IsReadOnce()) {
    body_->queue_.MoveTo(to, bytes);
    body_->dropped_ = position_;
    return;
  }
  body_->queue_.CopyTo(place_, to, bytes);
  body_->Trim();
}

// --- What comes.

void RequestBody::Append(std::string_view data, const BlockRef& block) {
  queue_.Append(data, block);
  received_ += data.size();
  if (!kept()) return;
  counted_ += data.size();
  all_->now.fetch_add(data.size(), std::memory_order_relaxed);
  CheckLimit();
}

void RequestBody::Keep(size_t bytes_max, KeptBytes& all, uint64_t all_max) {
  all_ = &all;
  all_max_ = all_max;
  bytes_max_ = bytes_max;
  counted_ = queue_.bytes();
  all.now.fetch_add(counted_, std::memory_order_relaxed);
  CheckLimit();
}

void RequestBody::CheckLimit() {
  if (counted_ <= bytes_max_ && all_->now.load(std::memory_order_relaxed) <= all_max_) return;
  too_long_ = true;
  StopKeeping();
}

void RequestBody::StopKeeping() {
  if (!kept()) return;
  std::exchange(all_, nullptr)->now.fetch_sub(std::exchange(counted_, 0), std::memory_order_relaxed);
  Trim();
}

void RequestBody::Trim() {
  if (kept() || readers_.empty()) return;
  BodyReader* slowest = readers_.first();
  for (BodyReader* reader = slowest; reader != nullptr; reader = decltype(readers_)::Next(*reader)) {
    if (reader->position_ < slowest->position_) slowest = reader;
  }
  if (slowest->position_ == dropped_) return;
  if (readers_.size() == 1) {
    // From here on it reads from the front.
    queue_.Drop(static_cast<size_t>(slowest->position_ - dropped_));
    dropped_ = slowest->position_;
    slowest->place_ = {};
  } else {
    dropped_ += queue_.DropBefore(slowest->place_);
  }
}

// --- Flow control.

size_t RequestBody::TakeReleasable() {
  uint64_t until = released_;
  if (!readers_.empty()) {
    uint64_t slowest = received_;
    uint64_t fastest = 0;
    for (BodyReader* reader = readers_.first(); reader != nullptr; reader = decltype(readers_)::Next(*reader)) {
      slowest = std::min(slowest, reader->position_);
      fastest = std::max(fastest, reader->position_);
    }
    until = std::max(until, kept() ? fastest : std::min(fastest, slowest + bytes_max_));
  }
  until = std::max(until, dropped_);
  return static_cast<size_t>(until - std::exchange(released_, until));
}

void RequestBody::Clear() {
  if (kept()) std::exchange(all_, nullptr)->now.fetch_sub(std::exchange(counted_, 0), std::memory_order_relaxed);
  queue_.Clear();
  for (BodyReader* reader = readers_.first(); reader != nullptr; reader = decltype(readers_)::Next(*reader)) {
    reader->position_ = received_;
    reader->place_ = {};
  }
  dropped_ = received_;
}

void RequestBody::AppendAllTo(RequestBody& to) const {
  BodyQueue::Place place;
  queue_.CopyTo(place, to.queue_, queue_.bytes());
  to.received_ += queue_.bytes();
}

void RequestBody::Reset() {
  Clear();
  ended_ = too_long_ = false;
  received_ = dropped_ = released_ = 0;
}

}  // namespace signalbox::proxy
