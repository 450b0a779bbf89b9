// One HTTP/2 connection, of a client or of a server, on an EventLoop.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/open_loop/event_loop.h"

namespace signalbox::bench {

using Fields = std::vector<std::pair<std::string, std::string>>;

class Http2Session {
 public:
  // What comes of it, called from the loop. After OnClosed the session is not to be used; the owner deletes it later
  // (EventLoop::Defer).
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void OnField(Http2Session& session, int32_t stream, std::string_view name, std::string_view value) = 0;
    // The other side has sent all it will.
    virtual void OnEnd(Http2Session& session, int32_t stream) = 0;
    virtual void OnStreamClosed(Http2Session& session, int32_t stream, uint32_t error_code) = 0;
    virtual void OnClosed(Http2Session& session) = 0;
  };
  enum class Role { kClient, kServer };

  // Takes over the socket, which may still be connecting.
  Http2Session(EventLoop& loop, int socket, Role role, Owner& owner);
  ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  // `body` must outlive the stream. Beyond the number of streams that the server takes, requests wait here. Negative on
  // error.
  int32_t Request(const Fields& fields, const std::string& body);
  void Respond(int32_t stream, const Fields& fields, const std::string& body, const Fields& trailers);
  // An answer without a body, of which the headers are the end.
  void RespondAtOnce(int32_t stream, const Fields& fields);
  void Reset(int32_t stream);

  bool closed() const { return socket_ < 0; }
  size_t streams() const { return streams_; }

 private:
  struct Sending {
    const std::string* body;
    size_t sent = 0;
    Fields trailers;
  };

  static nghttp2_session_callbacks* Callbacks();
  static ssize_t ReadBody(nghttp2_session*, int32_t stream, uint8_t* to, size_t bytes_max, uint32_t* flags,
                          nghttp2_data_source*, void* self);
  void OnEvents(uint32_t events);
  void ScheduleSend();
  void Send();
  void Close();

  EventLoop& loop_;
  int socket_;
  Owner& owner_;
  nghttp2_session* session_ = nullptr;
  size_t streams_ = 0;
  bool send_scheduled_ = false;
  bool wants_out_ = false;
  std::string out_;
  size_t out_sent_ = 0;
  std::unordered_map<int32_t, Sending> sending_;
};

// A listening socket on 127.0.0.1 with a port that is free; the port in `port`. Ends the program when there is none.
int ListenOnLoopback(int& port);
// A socket on its way to "127.0.0.1:PORT".
int StartConnecting(int port);

}  // namespace signalbox::bench
