// Appends the decision to the messages of a request while they pass.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/body_queue.h"
#include "proxy/request_body.h"

namespace signalbox::proxy {

// Rewrites one request body: every message gets `suffix` at its end and the longer length in its 5-byte prefix. Prefix
// first: the host may start work before our last byte; the length is known because the suffix is. The body must have
// been checked (message_walk.h).
class MessageEnricher {
 public:
  // For messages that are passed on as they are.
  MessageEnricher() = default;
  // `suffix` must live as long as what is moved.
  explicit MessageEnricher(std::string_view suffix) : suffix_(suffix) {}

  // Moves bytes from `from` to `to`, until `to` holds `bytes_wanted` or `from` is empty. Returns how many were taken
  // from `from`. Sets `overflow` when a message would become longer than gRPC's prefix can say.
  size_t Move(BodyReader& from, BodyQueue& to, size_t bytes_wanted, bool& overflow);

 private:
  bool OnPrefix(BodyQueue& to);

  std::string_view suffix_;
  uint8_t prefix_bytes_ = 0;
  bool compressed_ = false;
  uint64_t message_left_ = 0;
  std::array<char, 5> prefix_;
};

}  // namespace signalbox::proxy
