// An HTTP/2 client that can misbehave, and a TCP listener that does. For tests only.
#pragma once

#include <nghttp2/nghttp2.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/grpc_frame.h"

namespace signalbox::testing {

using Headers = std::vector<std::pair<std::string, std::string>>;

// Headers of a gRPC request.
Headers GrpcHeaders(const std::string& path, const Headers& more = {});

struct RawStream {
  std::map<std::string, std::string> headers;  // of all header frames, trailers included
  std::string body;
  bool ended = false;   // END_STREAM came
  bool closed = false;  // both sides, or reset
  uint32_t error_code = 0;
};

// Blocking, one thread.
class RawHttp2 {
 public:
  enum class Windows { kGrow, kNeverGrow };
  explicit RawHttp2(int port, Windows windows = Windows::kGrow);
  ~RawHttp2();
  RawHttp2(const RawHttp2&) = delete;
  RawHttp2& operator=(const RawHttp2&) = delete;

  // Opens a stream. Without `end` more is sent with Send.
  int32_t Open(const Headers& headers, std::string body = "", bool end = true);
  void Send(int32_t stream, const std::string& body, bool end);
  void Reset(int32_t stream, uint32_t error_code = NGHTTP2_CANCEL);
  // Bytes that no HTTP/2 session would send.
  void SendBytes(std::string_view bytes);
  // Sends what waits, without waiting for anything.
  void Flush();
  // Sends and receives until `done`, or the connection ends, or 20 s have passed. Whether `done`.
  bool RunUntil(const std::function<bool()>& done);
  bool RunUntilClosed(int32_t stream) {
    return RunUntil([&] { return streams_[stream].closed; });
  }

  RawStream& stream(int32_t id) { return streams_[id]; }
  bool goaway() const { return goaway_; }
  bool disconnected() const { return disconnected_; }

 private:
  struct Outgoing {
    std::string bytes;
    size_t sent = 0;
    bool end = true;
  };

  void ReadOnce();

  int socket_ = -1;
  nghttp2_session* session_ = nullptr;
  bool goaway_ = false;
  bool disconnected_ = false;
  std::map<int32_t, RawStream> streams_;
  std::map<int32_t, Outgoing> outgoing_;
};

// Accepts connections on a free port of 127.0.0.1 and does what `serve` says with each, one after the other. `serve`
// gets the socket, which is closed when it returns, and must return soon after the listener ends the socket at
// destruction.
class RawListener {
 public:
  explicit RawListener(std::function<void(int socket)> serve);
  ~RawListener();
  RawListener(const RawListener&) = delete;
  RawListener& operator=(const RawListener&) = delete;

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int accepted() const { return accepted_; }

 private:
  void Run();

  std::function<void(int)> serve_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> accepted_{0};
  std::atomic<int> current_{-1};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// A port on which nobody listens.
int UnusedPort();

// Reads from the socket until it is closed.
void ReadToEnd(int socket);

}  // namespace signalbox::testing
