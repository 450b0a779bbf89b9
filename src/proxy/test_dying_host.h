// Hosts that do not do what they should. For tests only.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "tests/support/raw_http2.h"

namespace signalbox::proxy {

// Frames as a host writes them by hand.
inline std::string Frame(char type, char flags, uint8_t stream, const std::string& payload) {
  std::string frame;
  for (int shift = 16; shift >= 0; shift -= 8) frame.push_back(static_cast<char>(payload.size() >> shift));
  return frame + type + flags + std::string(3, '\0') + static_cast<char>(stream) + payload;
}
inline const std::string kSettings = Frame(4, 0, 0, "");
inline const std::string kSettingsAck = Frame(4, 1, 0, "");
// `:status: 200` from HPACK's static table, `content-type: application/grpc` as a literal.
inline const std::string kResponseHeaders = Frame(1, 4, 1, std::string("\x88\x5f\x10") + "application/grpc");

// Reads until `bytes` have come: the preface, SETTINGS, the request.
inline void ReadAtLeast(int socket, size_t bytes) {
  std::array<char, 4096> buffer;
  while (bytes > 0) {
    const ssize_t received = recv(socket, buffer.data(), buffer.size(), 0);
    if (received <= 0) return;
    bytes -= std::min(bytes, static_cast<size_t>(received));
  }
}

// A host that accepts the request, says `answer`, and is gone.
class DyingHost {
 public:
  explicit DyingHost(std::string answer)
      : answer_(std::move(answer)), listener_([this](int socket) {
          const std::string hello = kSettings + kSettingsAck;
          send(socket, hello.data(), hello.size(), MSG_NOSIGNAL);
          constexpr size_t kUntilTheBody = 400;  // more than preface and settings, less than the request with its body
          ReadAtLeast(socket, kUntilTheBody);
          send(socket, answer_.data(), answer_.size(), MSG_NOSIGNAL);
        }) {}
  std::string address() const { return listener_.address(); }

 private:
  const std::string answer_;
  testing::RawListener listener_;
};

}  // namespace signalbox::proxy
