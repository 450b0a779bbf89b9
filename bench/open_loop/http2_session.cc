#include "bench/open_loop/http2_session.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace signalbox::bench {
namespace {

constexpr uint32_t kWindowBytes = 1 << 20;
constexpr int32_t kConnectionWindowBytes = 16 << 20;
constexpr uint32_t kStreamsMax = 100'000;  // of a server: the queue is what is measured, not this

std::vector<nghttp2_nv> Views(const Fields& fields) {
  std::vector<nghttp2_nv> views;
  views.reserve(fields.size());
  for (const auto& [name, value] : fields) {
    views.push_back({.name = reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                     .value = reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())),
                     .namelen = name.size(),
                     .valuelen = value.size(),
                     .flags = NGHTTP2_NV_FLAG_NONE});
  }
  return views;
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

}  // namespace

Http2Session::Http2Session(EventLoop& loop, int socket, Role role, Owner& owner)
    : loop_(loop), socket_(socket), owner_(owner) {
  const int on = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  role == Role::kClient ? nghttp2_session_client_new(&session_, Callbacks(), this)
                        : nghttp2_session_server_new(&session_, Callbacks(), this);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindowBytes},
                                             {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kStreamsMax}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindowBytes);
  wants_out_ = role == Role::kClient;  // until it is connected
  loop_.Watch(socket_, wants_out_ ? EPOLLIN | EPOLLOUT : EPOLLIN, [this](uint32_t events) { OnEvents(events); });
  ScheduleSend();
}

Http2Session::~Http2Session() {
  nghttp2_session_del(session_);
  if (socket_ < 0) return;
  loop_.Unwatch(socket_);
  close(socket_);
}

int32_t Http2Session::Request(const Fields& fields, const std::string& body) {
  nghttp2_data_provider provider{.source = {.ptr = nullptr}, .read_callback = ReadBody};
  const std::vector<nghttp2_nv> views = Views(fields);
  const int32_t stream = nghttp2_submit_request(session_, nullptr, views.data(), views.size(), &provider, nullptr);
  if (stream < 0) return stream;
  sending_.insert_or_assign(stream, Sending{.body = &body, .trailers = {}});
  ++streams_;
  ScheduleSend();
  return stream;
}

void Http2Session::Respond(int32_t stream, const Fields& fields, const std::string& body, const Fields& trailers) {
  if (closed()) return;
  nghttp2_data_provider provider{.source = {.ptr = nullptr}, .read_callback = ReadBody};
  const std::vector<nghttp2_nv> views = Views(fields);
  sending_.insert_or_assign(stream, Sending{.body = &body, .trailers = trailers});
  nghttp2_submit_response(session_, stream, views.data(), views.size(), &provider);
  ScheduleSend();
}

void Http2Session::RespondAtOnce(int32_t stream, const Fields& fields) {
  if (closed()) return;
  const std::vector<nghttp2_nv> views = Views(fields);
  nghttp2_submit_response(session_, stream, views.data(), views.size(), nullptr);
  ScheduleSend();
}

void Http2Session::Reset(int32_t stream) {
  if (closed()) return;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
  ScheduleSend();
}

ssize_t Http2Session::ReadBody(nghttp2_session* session, int32_t stream, uint8_t* to, size_t bytes_max, uint32_t* flags,
                               nghttp2_data_source*, void* user_data) {
  auto& self = *static_cast<Http2Session*>(user_data);
  const auto found = self.sending_.find(stream);
  if (found == self.sending_.end()) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  Sending& sending = found->second;
  const size_t bytes = std::min(bytes_max, sending.body->size() - sending.sent);
  std::memcpy(to, sending.body->data() + sending.sent, bytes);
  sending.sent += bytes;
  if (sending.sent < sending.body->size()) return static_cast<ssize_t>(bytes);
  *flags |= NGHTTP2_DATA_FLAG_EOF;
  if (!sending.trailers.empty()) {
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const std::vector<nghttp2_nv> views = Views(sending.trailers);
    nghttp2_submit_trailer(session, stream, views.data(), views.size());
  }
  return static_cast<ssize_t>(bytes);
}

void Http2Session::OnEvents(uint32_t events) {
  if ((events & EPOLLOUT) != 0) ScheduleSend();
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  char buffer[64 << 10];
  for (;;) {
    const ssize_t received = recv(socket_, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (received <= 0) return Close();
    if (nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(buffer), static_cast<size_t>(received)) < 0)
      return Close();
    if (static_cast<size_t>(received) < sizeof(buffer)) break;
  }
  ScheduleSend();
}

void Http2Session::ScheduleSend() {
  if (send_scheduled_ || closed()) return;
  send_scheduled_ = true;
  loop_.Defer([this] { Send(); });
}

void Http2Session::Send() {
  send_scheduled_ = false;
  if (closed()) return;
  for (;;) {
    const uint8_t* data = nullptr;
    const ssize_t bytes = nghttp2_session_mem_send(session_, &data);
    if (bytes < 0) return Close();
    if (bytes == 0) break;
    out_.append(reinterpret_cast<const char*>(data), static_cast<size_t>(bytes));
  }
  while (out_sent_ < out_.size()) {
    const ssize_t sent = send(socket_, out_.data() + out_sent_, out_.size() - out_sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) break;
    if (sent < 0) return Close();
    out_sent_ += static_cast<size_t>(sent);
  }
  const bool blocked = out_sent_ < out_.size();
  if (!blocked) {
    out_.clear();
    out_sent_ = 0;
    if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) return Close();
  }
  if (blocked == wants_out_) return;
  wants_out_ = blocked;
  loop_.ChangeWatch(socket_, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void Http2Session::Close() {
  if (closed()) return;
  loop_.Unwatch(socket_);
  close(std::exchange(socket_, -1));
  owner_.OnClosed(*this);
}

nghttp2_session_callbacks* Http2Session::Callbacks() {
  static nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_on_header_callback(
        made, [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                 const uint8_t* value, size_t value_size, uint8_t, void* user_data) {
          auto& self = *static_cast<Http2Session*>(user_data);
          self.owner_.OnField(self, frame->hd.stream_id, {reinterpret_cast<const char*>(name), name_size},
                              {reinterpret_cast<const char*>(value), value_size});
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        made, [](nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
          auto& self = *static_cast<Http2Session*>(user_data);
          const bool has_end = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
          if (has_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) self.owner_.OnEnd(self, frame->hd.stream_id);
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        made, [](nghttp2_session*, int32_t stream, uint32_t error_code, void* user_data) {
          auto& self = *static_cast<Http2Session*>(user_data);
          self.sending_.erase(stream);
          if (self.streams_ > 0) --self.streams_;
          self.owner_.OnStreamClosed(self, stream, error_code);
          return 0;
        });
    return made;
  }();
  return callbacks;
}

int ListenOnLoopback(int& port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address = Loopback(port);
  socklen_t length = sizeof(address);
  if (bind(socket, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(socket, SOMAXCONN) != 0 ||
      getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    std::perror("cannot listen on 127.0.0.1");
    std::exit(1);
  }
  port = ntohs(address.sin_port);
  return socket;
}

int StartConnecting(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  return socket;
}

}  // namespace signalbox::bench
