#include "tests/support/raw_http2.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace signalbox::testing {
namespace {

constexpr std::chrono::seconds kPatience{20};
constexpr int kPollMs = 10;
constexpr int32_t kWindowBytes = 1 << 20;

RawHttp2& Self(void* user_data) { return *static_cast<RawHttp2*>(user_data); }

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int BoundPort(int socket) {
  sockaddr_in address{};
  socklen_t length = sizeof(address);
  getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.sin_port);
}

}  // namespace

Headers GrpcHeaders(const std::string& path, const Headers& more) {
  Headers headers = {{":method", "POST"},    {":scheme", "http"}, {":path", path},
                     {":authority", "test"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
  headers.insert(headers.end(), more.begin(), more.end());
  return headers;
}

RawHttp2::RawHttp2(int port, Windows windows) {
  socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  EXPECT_EQ(connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0) << std::strerror(errno);

  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void* self) {
        Self(self).streams_[frame->hd.stream_id].headers[std::string(reinterpret_cast<const char*>(name), name_size)] =
            std::string(reinterpret_cast<const char*>(value), value_size);
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks, [](nghttp2_session*, uint8_t, int32_t stream, const uint8_t* data, size_t size, void* self) {
        Self(self).streams_[stream].body.append(reinterpret_cast<const char*>(data), size);
        return 0;
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
        if (frame->hd.type == NGHTTP2_GOAWAY) Self(self).goaway_ = true;
        const bool ends = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
        if (ends && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
          Self(self).streams_[frame->hd.stream_id].ended = true;
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      callbacks, [](nghttp2_session*, int32_t stream, uint32_t error_code, void* self) {
        Self(self).streams_[stream].closed = true;
        Self(self).streams_[stream].error_code = error_code;
        return 0;
      });
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_max_send_header_block_length(option, 4 << 20);
  if (windows == Windows::kNeverGrow) nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_session_client_new2(&session_, callbacks, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindowBytes}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 1);
  if (windows == Windows::kGrow)
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, 16 * kWindowBytes);
}

RawHttp2::~RawHttp2() {
  nghttp2_session_del(session_);
  close(socket_);
}

int32_t RawHttp2::Open(const Headers& headers, std::string body, bool end) {
  std::vector<nghttp2_nv> fields;
  for (const auto& [name, value] : headers) {
    fields.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                      NGHTTP2_NV_FLAG_NONE});
  }
  nghttp2_data_provider provider{};
  provider.read_callback = [](nghttp2_session*, int32_t stream, uint8_t* out, size_t size, uint32_t* flags,
                              nghttp2_data_source*, void* self) -> ssize_t {
    Outgoing& outgoing = Self(self).outgoing_[stream];
    const size_t count = std::min(size, outgoing.bytes.size() - outgoing.sent);
    std::copy_n(outgoing.bytes.data() + outgoing.sent, count, out);
    outgoing.sent += count;
    const bool all = outgoing.sent == outgoing.bytes.size();
    if (all && outgoing.end) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return count == 0 && !(all && outgoing.end) ? static_cast<ssize_t>(NGHTTP2_ERR_DEFERRED)
                                                : static_cast<ssize_t>(count);
  };
  const int32_t stream = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), &provider, nullptr);
  outgoing_[stream] = {std::move(body), 0, end};
  return stream;
}

void RawHttp2::Send(int32_t stream, const std::string& body, bool end) {
  outgoing_[stream].bytes += body;
  outgoing_[stream].end = end;
  nghttp2_session_resume_data(session_, stream);
}

void RawHttp2::Reset(int32_t stream, uint32_t error_code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, error_code);
}

void RawHttp2::SendBytes(std::string_view bytes) {
  while (!bytes.empty() && !disconnected_) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      disconnected_ = true;
      return;
    }
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

void RawHttp2::Flush() {
  const uint8_t* bytes = nullptr;
  for (ssize_t size; (size = nghttp2_session_mem_send(session_, &bytes)) > 0;) {
    SendBytes({reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)});
  }
}

void RawHttp2::ReadOnce() {
  pollfd waiting{socket_, POLLIN, 0};
  if (poll(&waiting, 1, kPollMs) <= 0) return;
  std::array<uint8_t, 65536> buffer;
  const ssize_t size = recv(socket_, buffer.data(), buffer.size(), 0);
  if (size <= 0) {
    disconnected_ = true;
    return;
  }
  nghttp2_session_mem_recv(session_, buffer.data(), static_cast<size_t>(size));
}

bool RawHttp2::RunUntil(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (disconnected_ || std::chrono::steady_clock::now() > end) return done();
    Flush();
    ReadOnce();
  }
  return true;
}

RawListener::RawListener(std::function<void(int)> serve) : serve_(std::move(serve)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(0);
  EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(listen(listener_, 64), 0);
  port_ = BoundPort(listener_);
  thread_ = std::thread([this] { Run(); });
}

RawListener::~RawListener() {
  stop_ = true;
  shutdown(listener_, SHUT_RDWR);
  if (const int socket = current_; socket >= 0) shutdown(socket, SHUT_RDWR);
  thread_.join();
  close(listener_);
}

void RawListener::Run() {
  while (!stop_) {
    const int socket = accept(listener_, nullptr, nullptr);
    if (socket < 0) return;
    ++accepted_;
    current_ = socket;
    if (!stop_) serve_(socket);
    current_ = -1;
    close(socket);
  }
}

int UnusedPort() {
  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(0);
  EXPECT_EQ(bind(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  const int port = BoundPort(probe);
  close(probe);
  return port;
}

void ReadToEnd(int socket) {
  std::array<char, 65536> buffer;
  while (recv(socket, buffer.data(), buffer.size(), 0) > 0) {
  }
}

}  // namespace signalbox::testing
