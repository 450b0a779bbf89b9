// A client's connection: where requests come from.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "proxy/connection.h"
#include "proxy/header_list.h"
#include "proxy/request.h"

namespace signalbox::proxy {

// Streams that one connection may have open at a time.
inline constexpr uint32_t kStreamsPerClientMax = 256;

// For its worker's thread.
class ClientConnection : public Connection {
 public:
  ClientConnection(Worker& worker, int socket);
  // Sends the settings. To be called once, before anything else.
  absl::Status Start();

  // Headers of a response whose body follows.
  void SubmitHeaders(int32_t stream_id, const HeaderFields& fields);
  // A response that is complete with its headers.
  void SubmitHeadersOnly(int32_t stream_id, const HeaderFields& fields);
  // The response has more to send.
  void Resume(int32_t stream_id);
  void Forget(Request& request) { requests_.Remove(request); }

  // Asks the client to open no more streams; ends the connection when the last has ended.
  void StartDraining() override;
  // Ends it when the client does not take what waits for it, or never spoke.
  void CheckLiveness(int64_t now_ms) override;

 private:
  static nghttp2_session_callbacks* Callbacks();
  void OnClosed(const absl::Status& why) override;
  void OnBadMagic() override;
  // Requests may be on the way to us until the final GOAWAY.
  bool MayEnd() const override { return drain_notice_ms_ == 0 || goaway_sent_; }
  void OnStreamBegins(int32_t stream_id);
  void OnFrame(const nghttp2_frame& frame);
  void OnFrameSent(const nghttp2_frame& frame);
  void OnStreamClosed(int32_t stream_id);
  // nullptr when it has ended for us.
  Request* RequestOf(int32_t stream_id) { return static_cast<Request*>(StreamUser(stream_id)); }
  ssize_t ReadResponseBody(int32_t stream_id, size_t bytes_max, uint32_t* flags);

  bool spoke_ = false;
  int64_t started_ms_;
  int64_t drain_notice_ms_ = 0;  // 0: not draining
  bool goaway_sent_ = false;
  IntrusiveList<Request, &Request::client_hook> requests_;
};

}  // namespace signalbox::proxy
