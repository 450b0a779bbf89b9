// What a client sends, as attempts at hosts read it: once and gone, or kept, so that it can be read again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/body_queue.h"
#include "proxy/intrusive_list.h"

namespace signalbox::proxy {

class RequestBody;

// What the bodies of one Objective that are kept take of the proxy's memory. Shared by its workers.
struct KeptBytes {
  std::atomic<uint64_t> now{0};
};

// How far one attempt has read. For one thread.
class BodyReader {
 public:
  BodyReader() = default;
  ~BodyReader() { End(); }
  BodyReader(const BodyReader&) = delete;
  BodyReader& operator=(const BodyReader&) = delete;

  // From the first byte, which must be there (RequestBody::MayBegin).
  void Begin(RequestBody& body);
  void End();

  // That can be read now.
  size_t bytes() const;
  bool empty() const { return bytes() == 0; }
  // Nothing more will come.
  bool exhausted() const;
  bool began() const { return position_ > 0; }
  uint64_t bytes_read() const { return position_; }

  // The first contiguous bytes; empty when there are none.
  std::string_view Front();
  void Drop(size_t bytes);
  // Moves the first `bytes`, which must be there, to the end of `to`, by reference.
  void MoveTo(BodyQueue& to, size_t bytes);

  ListHook<BodyReader> hook;

 private:
  friend class RequestBody;
  RequestBody* body_ = nullptr;
  uint64_t position_ = 0;   // in the body, from its beginning
  BodyQueue::Place place_;  // the same, where the queue is not read from its front
};

// For one thread.
//
// While it is kept, window is given back to the client as the fastest reader reads, as if there were no other; what is
// behind that reader stays here, up to the limit. When it gets longer than the limit, it is kept no more: what all
// readers have read goes, and the fastest may be ahead of the slowest by the limit. So there is never more here than
// the limit and one window.
class RequestBody {
 public:
  explicit RequestBody(WorkerMemory& memory) : queue_(memory) {}
  ~RequestBody() { StopKeeping(); }
  RequestBody(const RequestBody&) = delete;
  RequestBody& operator=(const RequestBody&) = delete;

  void Append(std::string_view data, const BlockRef& block);
  void End() { ended_ = true; }
  bool ended() const { return ended_; }
  // That are here.
  size_t bytes() const { return queue_.bytes(); }
  // Nothing has gone: it can be read from the beginning.
  bool whole() const { return dropped_ == 0; }
  // The same, also beside those who read it now.
  bool MayBegin() const { return whole() && (kept() || readers_.empty()); }

  // From now on what is read stays, as long as it is not more than `bytes_max`, and all that is kept for the Objective
  // not more than `all_max`. To be called before anything is read.
  void Keep(size_t bytes_max, KeptBytes& all, uint64_t all_max);
  // Nobody else will read it from the beginning.
  void StopKeeping();
  bool kept() const { return all_ != nullptr; }
  // It was to be kept, and there was too much of it.
  bool was_too_long() const { return too_long_; }

  // Bytes whose window can be given back, since the last call.
  size_t TakeReleasable();
  // Drops what is here, for everybody.
  void Clear();
  // Appends what is here to `to`, by reference.
  void AppendAllTo(RequestBody& to) const;
  // For another request. Nobody reads any more.
  void Reset();

 private:
  friend class BodyReader;
  // What is read is gone at once.
  bool IsReadOnce() const { return !kept() && readers_.size() == 1; }
  // Removes what nobody will read any more.
  void Trim();
  void CheckLimit();

  BodyQueue queue_;
  IntrusiveList<BodyReader, &BodyReader::hook> readers_;
  bool ended_ = false;
  bool too_long_ = false;
  // Places in the body, in bytes from its beginning.
  uint64_t received_ = 0;
  uint64_t dropped_ = 0;   // what is here begins there
  uint64_t released_ = 0;  // of the client's window
  // While it is kept.
  KeptBytes* all_ = nullptr;
  uint64_t all_max_ = 0;
  size_t bytes_max_ = 0;
  size_t counted_ = 0;  // in all_
};

}  // namespace signalbox::proxy
