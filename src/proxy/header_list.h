// The headers of one message, copied into memory of fixed size.
#pragma once

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#include "proxy/worker_memory.h"

namespace signalbox::proxy {

// gRPC's own default for all metadata is 8 KiB; Envoy's limits are 60 KiB and 100.
inline constexpr size_t kHeaderBytesMax = 64 << 10;
inline constexpr size_t kHeadersMax = 128;

struct Header {
  std::string_view name;
  std::string_view value;
};

class HeaderList {
 public:
  explicit HeaderList(WorkerMemory& memory) : memory_(&memory) {}
  ~HeaderList() { Clear(); }
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;

  // Copies. False, and nothing added, when a limit would be exceeded.
  bool Add(std::string_view name, std::string_view value) {
    if (count_ == kHeadersMax || bytes_ + name.size() + value.size() > kHeaderBytesMax) return false;
    headers_[count_++] = {Keep(name), Keep(value)};
    bytes_ += name.size() + value.size();
    return true;
  }

  std::span<const Header> headers() const { return {headers_.data(), count_}; }
  bool empty() const { return count_ == 0; }

  // The value of the first header of that name; empty when there is none.
  std::string_view Find(std::string_view name) const {
    for (const Header& header : headers()) {
      if (header.name == name) return header.value;
    }
    return {};
  }

  void Clear() {
    count_ = bytes_ = inline_used_ = 0;
    while (chunks_ != nullptr) memory_->Free(std::exchange(chunks_, chunks_->next));
  }

 private:
  // Memory for what does not fit into inline_; its bytes follow it.
  struct Chunk {
    Chunk* next;
    char* end;
    size_t room;
  };

  std::string_view Keep(std::string_view text) {
    if (inline_used_ + text.size() <= inline_.size()) {
      char* place = &inline_[inline_used_];
      inline_used_ += text.copy(place, text.size());
      return {place, text.size()};
    }
    if (chunks_ == nullptr || chunks_->room < text.size()) AddChunk(text.size());
    char* place = chunks_->end;
    text.copy(place, text.size());
    chunks_->end += text.size();
    chunks_->room -= text.size();
    return {place, text.size()};
  }

  void AddChunk(size_t bytes) {
    // Tokens and cookies are some kilobytes; each further chunk is as large, so that what is lost at their ends stays
    // small.
    constexpr size_t kChunkBytes = 4 << 10;
    const size_t room = std::max(bytes, kChunkBytes - sizeof(Chunk));
    void* place = memory_->Allocate(sizeof(Chunk) + room);
    if (place == nullptr) throw std::bad_alloc();
    chunks_ = new (place) Chunk{.next = chunks_, .end = static_cast<char*>(place) + sizeof(Chunk), .room = room};
  }

  WorkerMemory* memory_;
  Chunk* chunks_ = nullptr;
  size_t count_ = 0;
  size_t bytes_ = 0;
  size_t inline_used_ = 0;
  std::array<Header, kHeadersMax> headers_;
  // Headers of a request of usual size.
  std::array<char, 2048> inline_;
};

// nghttp2's form of headers that are about to be submitted, which copies them. A fixed number: those of a list, and
// signalbox's own.
class HeaderFields {
 public:
  void Add(std::string_view name, std::string_view value) { Add(name, value, NGHTTP2_NV_FLAG_NONE); }
  // For values that hardly ever come twice on a connection. In HPACK's table they would only push out what does, and
  // every header after them would be looked up in vain: a tenth of the CPU time of a small request.
  void AddUnique(std::string_view name, std::string_view value) { Add(name, value, NGHTTP2_NV_FLAG_NO_INDEX); }
  const nghttp2_nv* data() const { return fields_.data(); }
  size_t size() const { return count_; }

 private:
  void Add(std::string_view name, std::string_view value, uint8_t flags) {
    fields_[count_++] = {.name = reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                         .value = reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())),
                         .namelen = name.size(),
                         .valuelen = value.size(),
                         .flags = flags};
  }

  static constexpr size_t kOwnHeadersMax = 16;
  size_t count_ = 0;
  std::array<nghttp2_nv, kHeadersMax + kOwnHeadersMax> fields_;
};

}  // namespace signalbox::proxy
