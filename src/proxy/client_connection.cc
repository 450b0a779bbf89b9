#include "proxy/client_connection.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/status.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

// A client that takes nothing for so long holds memory for nothing.
constexpr int64_t kSendBlockedMsMax = 30'000;
// To send the first frame after connecting.
constexpr int64_t kFirstFrameMsMax = 10'000;
// Between the notice and the final GOAWAY: requests that the client sent before it saw the notice arrive in it.
constexpr int64_t kDrainNoticeMs = 250;

ClientConnection& Self(void* user_data) { return *static_cast<ClientConnection*>(user_data); }

}  // namespace

ClientConnection::ClientConnection(Worker& worker, int socket)
    : Connection(worker, socket), started_ms_(worker.now_ms()) {}

absl::Status ClientConnection::Start() {
  worker_.Adopt(*this);
  const int error =
      nghttp2_session_server_new3(&session_, Callbacks(), this, SessionOptions(), worker_.memory().session_memory());
  if (error != 0) return absl::InternalError(fmt::format("HTTP/2 session: {}", nghttp2_strerror(error)));
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kStreamsPerClientMax},
                                             {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindowBytes},
                                             {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kHeaderBytesMax}};
  return SubmitSettings(settings, std::size(settings));
}

void ClientConnection::SubmitHeaders(int32_t stream_id, const HeaderFields& fields) {
  nghttp2_data_provider body{};
  body.read_callback = [](nghttp2_session*, int32_t stream, uint8_t*, size_t bytes_max, uint32_t* flags,
                          nghttp2_data_source*,
                          void* self) { return Self(self).ReadResponseBody(stream, bytes_max, flags); };
  nghttp2_submit_response(session_, stream_id, fields.data(), fields.size(), &body);
  ScheduleFlush();
}

void ClientConnection::SubmitHeadersOnly(int32_t stream_id, const HeaderFields& fields) {
  nghttp2_submit_response(session_, stream_id, fields.data(), fields.size(), nullptr);
  ScheduleFlush();
}

void ClientConnection::Resume(int32_t stream_id) {
  if (closed()) return;
  nghttp2_session_resume_data(session_, stream_id);  // an error only says that it was not waiting
  ScheduleFlush();
}

void ClientConnection::StartDraining() {
  if (closed() || drain_notice_ms_ != 0) return;
  drain_notice_ms_ = worker_.now_ms();
  nghttp2_submit_shutdown_notice(session_);
  ScheduleFlush();
}

void ClientConnection::CheckLiveness(int64_t now_ms) {
  if (send_blocked_since_ms_ != 0 && now_ms - send_blocked_since_ms_ >= kSendBlockedMsMax) {
    return Close(absl::UnavailableError("the client does not read"));
  }
  if (!spoke_ && now_ms - started_ms_ >= kFirstFrameMsMax) {
    return Close(absl::UnavailableError("the client does not speak"));
  }
  if (drain_notice_ms_ != 0 && !goaway_sent_ && now_ms - drain_notice_ms_ >= kDrainNoticeMs) {
    goaway_sent_ = true;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                          NGHTTP2_NO_ERROR, nullptr, 0);
    ScheduleFlush();
  }
}

void ClientConnection::OnClosed(const absl::Status&) {
  while (Request* request = requests_.first()) request->OnClientGone();
  worker_.OnClientClosed();
}

void ClientConnection::OnBadMagic() {
  constexpr std::string_view kAnswer =
      "HTTP/1.1 505 HTTP Version Not Supported\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: "
      "61\r\n\r\n"
      "This port speaks gRPC over HTTP/2 without TLS, nothing else.\n";
  // A courtesy on a connection that ends now: whether it arrives does not matter.
  [[maybe_unused]] const ssize_t sent = send(socket_, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void ClientConnection::OnStreamBegins(int32_t stream_id) {
  Request& request = worker_.NewRequest();
  nghttp2_session_set_stream_user_data(session_, stream_id, &request);
  requests_.PushBack(request);
  request.Begin(*this, stream_id);
}

void ClientConnection::OnFrame(const nghttp2_frame& frame) {
  spoke_ = true;
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) return;
  // Each step may end the request, and then another one's memory is there.
  if (frame.hd.type == NGHTTP2_HEADERS && frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
    if (Request* request = RequestOf(frame.hd.stream_id)) request->OnRequestHeadersEnd();
  }
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
    if (Request* request = RequestOf(frame.hd.stream_id)) request->OnRequestEnd();
  }
}

void ClientConnection::OnFrameSent(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_HEADERS) {
    if (Request* request = RequestOf(frame.hd.stream_id)) request->OnResponseHeadersSent();
  }
  const bool ends = (frame.hd.type == NGHTTP2_HEADERS || frame.hd.type == NGHTTP2_DATA) &&
                    (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (!ends) return;
  Request* request = RequestOf(frame.hd.stream_id);
  if (request == nullptr || request->request_ended()) return;
  // The answer is complete: the client need not send the rest (RFC 9113, 8.1).
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_NO_ERROR);
}

void ClientConnection::OnStreamClosed(int32_t stream_id) {
  Request* request = RequestOf(stream_id);
  if (request == nullptr) return;
  nghttp2_session_set_stream_user_data(session_, stream_id, nullptr);
  request->OnClientGone();
}

ssize_t ClientConnection::ReadResponseBody(int32_t stream_id, size_t bytes_max, uint32_t* flags) {
  Request* request = RequestOf(stream_id);
  if (request == nullptr) return NGHTTP2_ERR_DEFERRED;
  const Available available = request->ResponseAvailable(std::min(bytes_max, SendBatch::kFrameBytesMax));
  if (available.bytes == 0 && !available.ended) return NGHTTP2_ERR_DEFERRED;
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (available.ended) *flags |= NGHTTP2_DATA_FLAG_EOF;
  if (available.ended && available.trailers) {
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    HeaderFields fields;
    request->AddTrailers(fields);
    nghttp2_submit_trailer(session_, stream_id, fields.data(), fields.size());
  }
  return static_cast<ssize_t>(available.bytes);
}

nghttp2_session_callbacks* ClientConnection::Callbacks() {
  static nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_on_begin_headers_callback(
        made, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
          Self(self).BeginHeaders();
          if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) Self(self).OnStreamBegins(frame->hd.stream_id);
          return 0;
        });
    nghttp2_session_callbacks_set_on_header_callback2(
        made, [](nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name, nghttp2_rcbuf* value, uint8_t,
                 void* self) {
          if (!Self(self).CountHeader(name, value)) return static_cast<int>(NGHTTP2_ERR_CALLBACK_FAILURE);
          if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;  // gRPC clients send no trailers
          if (Request* request = Self(self).RequestOf(frame->hd.stream_id))
            request->OnRequestHeader(View(name), View(value));
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(made,
                                                         [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
                                                           Self(self).OnFrame(*frame);
                                                           return 0;
                                                         });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, [](nghttp2_session* session, uint8_t,
                                                                       int32_t stream_id, const uint8_t* data,
                                                                       size_t size, void* self) {
      Request* request = Self(self).RequestOf(stream_id);
      if (request == nullptr) {
        nghttp2_session_consume(session, stream_id, size);
        return 0;
      }
      Self(self).OnReceived(size);
      request->OnRequestData({reinterpret_cast<const char*>(data), size}, Self(self).worker_.receive_buffer().block());
      return 0;
    });
    nghttp2_session_callbacks_set_on_frame_send_callback(made,
                                                         [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
                                                           Self(self).OnFrameSent(*frame);
                                                           return 0;
                                                         });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        made, [](nghttp2_session*, int32_t stream_id, uint32_t, void* self) {
          Self(self).OnStreamClosed(stream_id);
          return 0;
        });
    nghttp2_session_callbacks_set_send_data_callback(
        made, [](nghttp2_session*, nghttp2_frame* frame, const uint8_t* header, size_t size, nghttp2_data_source*,
                 void* self) {
          Request* request = Self(self).RequestOf(frame->hd.stream_id);
          if (request == nullptr) return static_cast<int>(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE);
          const int result = Self(self).SendData(header, request->response_body(), size);
          if (result == 0) request->OnResponseSent(size);
          return result;
        });
    return made;
  }();
  return callbacks;
}

}  // namespace signalbox::proxy
