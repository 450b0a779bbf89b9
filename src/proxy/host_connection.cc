#include "proxy/host_connection.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"
#include "limit/bulkhead.h"
#include "proxy/host.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

// A host from which nothing came for so long while it owes answers is asked whether it lives, and given as long again
// to say so.
constexpr int64_t kSilenceMsMax = 5000;
// gRPC servers end a connection at the third PING without data in between: it is not asked more often in one silence.
// After that, TCP's keepalive and the request's deadline watch.
constexpr int kPingsInSilenceMax = 2;
// A window that is used up for so long is not used up by haste.
constexpr int64_t kBlockedMsMax = 100;
// An Objective's own connection that nothing was heard on for so long is ended.
constexpr int64_t kOwnConnectionIdleMs = 10'000;

HostConnection& Self(void* user_data) { return *static_cast<HostConnection*>(user_data); }

}  // namespace

absl::StatusOr<int> HostConnection::StartConnecting(const HostAddress& address) {
  const int socket = ::socket(address.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0)
    return absl::UnavailableError(fmt::format("host {}: no socket: {}", address.text, std::strerror(errno)));
  PrepareSocket(socket);
  if (connect(socket, reinterpret_cast<const sockaddr*>(&address.address), address.length) == 0 ||
      errno == EINPROGRESS) {
    return socket;
  }
  absl::Status status = absl::UnavailableError(fmt::format("host {}: {}", address.text, std::strerror(errno)));
  close(socket);
  return status;
}

HostConnection::HostConnection(Worker& worker, Host& host, int socket, const limit::Bulkhead* lane)
    : Connection(worker, socket), host_(&host), lane_(lane), started_ms_(worker.now_ms()) {
  worker_.ChangeWatch(*this, socket_, EPOLLOUT);
  worker_.Adopt(*this);
}

void HostConnection::OnEvents(uint32_t events) {
  if (!connecting_) return Connection::OnEvents(events);
  FinishConnecting();
}

void HostConnection::FinishConnecting() {
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &length);
  absl::Status status;
  if (error != 0) status = absl::UnavailableError(fmt::format("cannot connect: {}", std::strerror(error)));
  if (status.ok()) status = StartSession();
  if (!status.ok()) return Close(status);
  connecting_ = false;
  worker_.ChangeWatch(*this, socket_, EPOLLIN);
}

void HostConnection::OnSettings() {
  if (settings_received_) return;
  settings_received_ = true;
  if (host_ != nullptr) host_->OnConnected();
}

absl::Status HostConnection::StartSession() {
  const int error =
      nghttp2_session_client_new3(&session_, Callbacks(), this, SessionOptions(), worker_.memory().session_memory());
  if (error != 0) return absl::InternalError(fmt::format("HTTP/2 session: {}", nghttp2_strerror(error)));
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                             {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindowBytes},
                                             {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kHeaderBytesMax}};
  return SubmitSettings(settings, std::size(settings));
}

bool HostConnection::Usable() const {
  if (closed() || draining_) return false;
  return session_ == nullptr || nghttp2_session_check_request_allowed(session_) != 0;
}

bool HostConnection::HasRoom() const {
  return settings_received_ && Usable() &&
         open_streams_ < nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

absl::Status HostConnection::Open(Attempt& attempt) {
  HeaderFields fields;
  attempt.AddHostHeaders(fields);
  nghttp2_data_provider body{};
  body.read_callback = [](nghttp2_session*, int32_t stream_id, uint8_t*, size_t bytes_max, uint32_t* flags,
                          nghttp2_data_source*,
                          void* self) { return Self(self).ReadRequestBody(stream_id, bytes_max, flags); };
  const int32_t stream_id = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(),
                                                   attempt.has_body() ? &body : nullptr, &attempt);
  if (stream_id < 0) {
    return absl::UnavailableError(fmt::format("host {}: {}", host_->name(), nghttp2_strerror(stream_id)));
  }
  ++open_streams_;
  attempts_.PushBack(attempt);
  attempt.OnStream(*this, stream_id);
  ScheduleFlush();
  return absl::OkStatus();
}

void HostConnection::Cancel(int32_t stream_id) {
  if (closed()) return;
  nghttp2_session_set_stream_user_data(session_, stream_id, nullptr);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_CANCEL);
  ScheduleFlush();
}

void HostConnection::Resume(int32_t stream_id) {
  if (closed()) return;
  nghttp2_session_resume_data(session_, stream_id);  // an error only says that it was not waiting
  ScheduleFlush();
}

void HostConnection::Abandon() {
  host_ = nullptr;
  Close(absl::UnavailableError("the host is not in use any more"));
}

void HostConnection::CheckLiveness(int64_t now_ms) {
  if (!settings_received_) {
    if (now_ms - started_ms_ >= kConnectTimeout.count()) Close(absl::UnavailableError("cannot connect: timed out"));
    return;
  }
  if (open_streams_ == 0 && !Usable()) return Close(absl::UnavailableError("it takes no more streams"));
  if (lane_ != nullptr && open_streams_ == 0 && now_ms - last_received_ms_ >= kOwnConnectionIdleMs) {
    return Close(absl::UnavailableError("it is not needed any more"));
  }
  OnBlocked(now_ms);
  if (closed()) return;
  if (open_streams_ == 0 || now_ms - last_received_ms_ < kSilenceMsMax) {
    ping_sent_ms_ = 0;
    return;
  }
  if (ping_sent_ms_ == 0) {
    if (pings_in_silence_ == kPingsInSilenceMax) return;
    ++pings_in_silence_;
    ping_sent_ms_ = now_ms;
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    return ScheduleFlush();
  }
  if (now_ms - ping_sent_ms_ >= kSilenceMsMax) Close(absl::UnavailableError("it does not answer PINGs"));
}

// A host that does not read the streams of one Objective lets no other's payload through either: HTTP/2 has one window
// for all of a connection. New requests go elsewhere (Host::Submit). Of those that are on it, whoever holds the window
// is ended, in the hope that the host gives it back (not every host does); and those of others that could send nothing
// yet are asked elsewhere. The connection is not used any more.
void HostConnection::OnBlocked(int64_t now_ms) {
  if (open_streams_ == 0 || HasWindow() || host_ == nullptr) {
    blocked_since_ms_ = 0;
    return;
  }
  if (blocked_since_ms_ == 0) blocked_since_ms_ = now_ms;
  if (now_ms - blocked_since_ms_ < kBlockedMsMax) return;
  if (lane_ != nullptr) return host_->Isolate(*lane_);  // it has not changed
  absl::flat_hash_map<const limit::Bulkhead*, int64_t> unread;
  for (Attempt* attempt = attempts_.first(); attempt != nullptr; attempt = decltype(attempts_)::Next(*attempt)) {
    unread[attempt->lane().objective] += UnreadBytes(*attempt);
  }
  const auto most =
      std::max_element(unread.begin(), unread.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  // Alone it holds up nobody but itself.
  if (unread.size() < 2 || most->first == nullptr) return;
  const limit::Bulkhead& objective = *most->first;
  host_->Isolate(objective);
  draining_ = true;
  EndStreams(absl::ResourceExhaustedError(
                 fmt::format("host {} does not read the requests of Objective {}, which held up those of others on "
                             "its connection",
                             host_->name(), objective.objective)),
             Processed::kMaybe, [&](const Attempt& attempt) {
               return attempt.lane().objective == &objective && UnreadBytes(attempt) > 0;
             });
  EndStreams(absl::UnavailableError(fmt::format("host {} does not read", host_->name())), Processed::kNo,
             [](const Attempt& attempt) { return !attempt.body_was_taken() && attempt.has_body(); });
}

template <typename Which>
void HostConnection::EndStreams(const absl::Status& why, Processed processed, const Which& which) {
  for (Attempt* attempt = attempts_.first(); attempt != nullptr && !closed();) {
    if (attempt->stream() == 0 || !which(*attempt)) {
      attempt = decltype(attempts_)::Next(*attempt);
      continue;
    }
    Cancel(attempt->stream());
    attempt->OnHostGone(why, processed);
    attempt = attempts_.first();  // whoever was next may be gone; this one has no stream any more
  }
}

int64_t HostConnection::UnreadBytes(const Attempt& attempt) const {
  if (attempt.stream() == 0) return 0;
  const auto initial =
      static_cast<int64_t>(nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE));
  const int32_t left = nghttp2_session_get_stream_remote_window_size(session_, attempt.stream());
  return left < 0 ? 0 : std::max<int64_t>(0, initial - left);
}

void HostConnection::OnClosed(const absl::Status& why) {
  const std::string name = host_ == nullptr ? "" : host_->name();
  const absl::Status status(why.code(), fmt::format("host {}: {}", name, Message(why)));
  if (host_ != nullptr) {
    settings_received_ ? host_->OnConnectionClosed(*this, status) : host_->OnConnectFailed(*this, status);
  }
  while (Attempt* attempt = attempts_.PopFront()) attempt->OnHostGone(status, Processed::kMaybe);
}

void HostConnection::OnFrame(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_GOAWAY) {
    draining_ = true;
    if (host_ != nullptr) host_->OnConnectionUnusable();
    return;
  }
  if (frame.hd.type == NGHTTP2_SETTINGS && (frame.hd.flags & NGHTTP2_FLAG_ACK) == 0) return OnSettings();
  if (frame.hd.type == NGHTTP2_WINDOW_UPDATE && host_ != nullptr) return host_->OnRoom();
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) return;
  pings_in_silence_ = 0;
  Attempt* attempt = AttemptOf(frame.hd.stream_id);
  if (attempt == nullptr) return;
  const bool end_stream = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame.hd.type == NGHTTP2_HEADERS) {
    attempt->OnResponseHeadersEnd(end_stream);
  } else if (end_stream) {
    attempt->OnResponseEnd();
  }
}

void HostConnection::OnStreamClosed(int32_t stream_id, uint32_t error_code) {
  --open_streams_;
  Attempt* attempt = AttemptOf(stream_id);
  if (attempt != nullptr) {
    nghttp2_session_set_stream_user_data(session_, stream_id, nullptr);
    // The usual end first: a message for it would cost more than the rest of its closing.
    attempt->OnHostGone(attempt->response_ended() ? absl::OkStatus() : ResetError(error_code),
                        error_code == NGHTTP2_REFUSED_STREAM ? Processed::kNo : Processed::kMaybe);
  }
  if (host_ != nullptr) host_->OnRoom();
}

// As gRPC maps HTTP/2's error codes, so that clients see what they would see without a proxy.
absl::Status HostConnection::ResetError(uint32_t error_code) const {
  const std::string message = fmt::format("host {} reset the stream ({})", host_ == nullptr ? "" : host_->name(),
                                          nghttp2_http2_strerror(error_code));
  switch (error_code) {
    case NGHTTP2_REFUSED_STREAM:
      return absl::UnavailableError(message);
    case NGHTTP2_CANCEL:
      return absl::CancelledError(message);
    case NGHTTP2_ENHANCE_YOUR_CALM:
      return absl::ResourceExhaustedError(message);
    case NGHTTP2_INADEQUATE_SECURITY:
      return absl::PermissionDeniedError(message);
    default:
      return absl::InternalError(message);
  }
}

void HostConnection::OnFrameSent(const nghttp2_frame& frame) {
  if (frame.hd.type != NGHTTP2_HEADERS) return;
  if (Attempt* attempt = AttemptOf(frame.hd.stream_id)) attempt->OnHeadersSent();
}

ssize_t HostConnection::ReadRequestBody(int32_t stream_id, size_t bytes_max, uint32_t* flags) {
  Attempt* attempt = AttemptOf(stream_id);
  if (attempt == nullptr) return NGHTTP2_ERR_DEFERRED;  // its reset is on the way
  const Available available = attempt->RequestAvailable(std::min(bytes_max, SendBatch::kFrameBytesMax));
  if (available.bytes == 0 && !available.ended) return NGHTTP2_ERR_DEFERRED;
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (available.ended) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(available.bytes);
}

nghttp2_session_callbacks* HostConnection::Callbacks() {
  static nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made,
                                                            [](nghttp2_session*, const nghttp2_frame*, void* self) {
                                                              Self(self).BeginHeaders();
                                                              return 0;
                                                            });
    nghttp2_session_callbacks_set_on_header_callback2(
        made, [](nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name, nghttp2_rcbuf* value, uint8_t,
                 void* self) {
          if (!Self(self).CountHeader(name, value)) return static_cast<int>(NGHTTP2_ERR_CALLBACK_FAILURE);
          if (Attempt* attempt = Self(self).AttemptOf(frame->hd.stream_id))
            attempt->OnResponseHeader(View(name), View(value));
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(made,
                                                         [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
                                                           Self(self).OnFrame(*frame);
                                                           return 0;
                                                         });
    nghttp2_session_callbacks_set_on_frame_send_callback(made,
                                                         [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
                                                           Self(self).OnFrameSent(*frame);
                                                           return 0;
                                                         });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, [](nghttp2_session* session, uint8_t,
                                                                       int32_t stream_id, const uint8_t* data,
                                                                       size_t size, void* self) {
      Attempt* attempt = Self(self).AttemptOf(stream_id);
      if (attempt == nullptr) {
        nghttp2_session_consume(session, stream_id, size);
        return 0;
      }
      Self(self).OnReceived(size);
      attempt->OnResponseData({reinterpret_cast<const char*>(data), size}, Self(self).worker_.receive_buffer().block());
      return 0;
    });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        made, [](nghttp2_session*, int32_t stream_id, uint32_t error_code, void* self) {
          Self(self).OnStreamClosed(stream_id, error_code);
          return 0;
        });
    nghttp2_session_callbacks_set_send_data_callback(
        made, [](nghttp2_session*, nghttp2_frame* frame, const uint8_t* header, size_t size, nghttp2_data_source*,
                 void* self) {
          Attempt* attempt = Self(self).AttemptOf(frame->hd.stream_id);
          if (attempt == nullptr) return static_cast<int>(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE);
          return Self(self).SendData(header, attempt->enriched_body(), size);
        });
    return made;
  }();
  return callbacks;
}

}  // namespace signalbox::proxy
