#include "proxy/connection.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/status.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

// One connection may not keep the others of its worker waiting: 512 KiB, about 100 us.
constexpr int kReadsPerRoundMax = 4;
// Bytes say little of the work they are: 128 KiB can be one message or, packed by HPACK, a hundred thousand headers. A
// connection that has taken so long leaves its turn to the next, and what took longer by itself is read in smaller
// parts until it is cheap again.
constexpr std::chrono::microseconds kReadTimeMax{500};
constexpr size_t kReadBytesMin = 8 << 10;
// PING and SETTINGS that a peer can make us answer without reading the answers.
constexpr size_t kOutboundAcksMax = 1000;
// 16 KiB each: a header block above kHeaderBytesMax is read to its end and refused by itself, one far above ends the
// connection.
constexpr size_t kContinuationsMax = 80;

}  // namespace

Connection::Connection(Worker& worker, int socket)
    : worker_(worker), socket_(socket), batch_(worker.memory()), read_bytes_max_(kLargeBlockBytes) {
  last_received_ms_ = worker.now_ms();
  worker_.Watch(*this, socket_, EPOLLIN);
}

Connection::~Connection() {
  if (session_ != nullptr) nghttp2_session_del(session_);
  if (socket_ >= 0) close(socket_);
}

nghttp2_option* Connection::SessionOptions() {
  static nghttp2_option* const options = [] {
    nghttp2_option* made = nullptr;
    nghttp2_option_new(&made);
    nghttp2_option_set_no_auto_window_update(made, 1);
    nghttp2_option_set_max_outbound_ack(made, kOutboundAcksMax);
    nghttp2_option_set_max_continuations(made, kContinuationsMax);
    // Priorities are deprecated, and closed streams need not be kept for them.
    nghttp2_option_set_no_closed_streams(made, 1);
    return made;
  }();
  return options;
}

absl::Status Connection::SubmitSettings(const nghttp2_settings_entry* entries, size_t count) {
  int error = nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries, count);
  if (error == 0) error = nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindowBytes);
  if (error != 0) return absl::InternalError(fmt::format("HTTP/2 settings: {}", nghttp2_strerror(error)));
  ScheduleFlush();
  return absl::OkStatus();
}

void Connection::OnEvents(uint32_t events) {
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) ReadSocket();
  if (!closed_ && (events & EPOLLOUT) != 0) Flush();
}

void Connection::ReadSocket() {
  bool more = true;
  std::chrono::nanoseconds spent{0};
  // What is left epoll reports again.
  for (int reads = 0; more && !closed_ && reads < kReadsPerRoundMax && spent < kReadTimeMax; ++reads) {
    if (!ReadOnce(more, spent)) return;
  }
  ScheduleFlush();
}

// False when the connection has ended.
bool Connection::ReadOnce(bool& more, std::chrono::nanoseconds& spent) {
  ReceiveBuffer& buffer = worker_.receive_buffer();
  const size_t room = std::min(buffer.room(), read_bytes_max_);
  const ssize_t received = recv(socket_, buffer.data(), room, MSG_DONTWAIT);
  if (received < 0) {
    more = errno == EINTR;
    if (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK) return true;
    Close(absl::UnavailableError(fmt::format("the connection failed: {}", std::strerror(errno))));
    return false;
  }
  if (received == 0) {
    Close(absl::UnavailableError("the connection was closed by the other side"));
    return false;
  }
  more = static_cast<size_t>(received) == room;
  last_received_ms_ = worker_.now_ms();
  const bool is_large = static_cast<size_t>(received) >= kReadBytesMin;
  const Time began = is_large ? worker_.ReadClock() : Time();
  in_session_ = true;
  const ssize_t read = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(buffer.data()), received);
  in_session_ = false;
  buffer.Used(static_cast<size_t>(received));
  if (is_large) {
    const std::chrono::nanoseconds took = worker_.ReadClock() - began;
    spent += took;
    if (took > kReadTimeMax) {
      read_bytes_max_ = std::max(kReadBytesMin, static_cast<size_t>(received) / 2);
    } else if (read_bytes_max_ < kLargeBlockBytes) {
      read_bytes_max_ *= 2;
    }
  }
  if (close_pending_) {
    FinishClosing(pending_close_);
    return false;
  }
  if (read == received) return true;
  if (read == NGHTTP2_ERR_BAD_CLIENT_MAGIC) OnBadMagic();
  Flush();  // the GOAWAY that says why
  Close(absl::UnavailableError(
      fmt::format("the other side broke the HTTP/2 protocol: {}", nghttp2_strerror(static_cast<int>(read)))));
  return false;
}

void Connection::ScheduleFlush() {
  if (!closed_) worker_.MarkDirty(*this);
}

void Connection::Flush() {
  if (closed_ || session_ == nullptr) return;
  for (;;) {
    FillBatch();
    if (close_pending_) return FinishClosing(pending_close_);
    if (batch_.empty()) break;
    const size_t waiting_bytes = batch_.bytes();
    const SendBatch::Result result = batch_.Send(socket_);
    if (batch_.bytes() < waiting_bytes) send_blocked_since_ms_ = 0;
    switch (result) {
      case SendBatch::Result::kAllSent:
        send_blocked_since_ms_ = 0;
        continue;
      case SendBatch::Result::kSocketFull:
        if (send_blocked_since_ms_ == 0) send_blocked_since_ms_ = worker_.now_ms();
        return WatchForWriting(true);
      case SendBatch::Result::kFailed:
        return Close(absl::UnavailableError(fmt::format("the connection failed: {}", std::strerror(errno))));
    }
  }
  WatchForWriting(false);
  if (MayEnd() && nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) {
    Close(absl::UnavailableError("the connection was ended"));
  }
}

void Connection::FillBatch() {
  // What the socket did not take yet comes first, and bounds what can pile up.
  while (batch_.HasRoom()) {
    const uint8_t* bytes = nullptr;
    in_session_ = true;
    const ssize_t count = nghttp2_session_mem_send(session_, &bytes);
    in_session_ = false;
    if (count < 0) {
      close_pending_ = true;
      pending_close_ = absl::InternalError(fmt::format("HTTP/2: {}", nghttp2_strerror(static_cast<int>(count))));
    }
    if (count <= 0) return;
    batch_.AppendCopy({reinterpret_cast<const char*>(bytes), static_cast<size_t>(count)});
  }
}

std::string_view Connection::View(nghttp2_rcbuf* text) {
  const nghttp2_vec bytes = nghttp2_rcbuf_get_buf(text);
  return {reinterpret_cast<const char*>(bytes.base), bytes.len};
}

bool Connection::CountHeader(nghttp2_rcbuf* name, nghttp2_rcbuf* value) {
  // As HTTP/2 counts them (RFC 9113, 6.5.2): many small ones are work as well.
  constexpr size_t kHeaderOverheadBytes = 32;
  unpacked_header_bytes_ += View(name).size() + View(value).size() + kHeaderOverheadBytes;
  if (unpacked_header_bytes_ <= kUnpackedHeaderBytesMax) return true;
  Close(absl::UnavailableError(
      fmt::format("the headers of one message are more than {} bytes", kUnpackedHeaderBytesMax)));
  return false;
}

int Connection::SendData(const uint8_t* frame_header, BodyQueue& from, size_t bytes) {
  constexpr size_t kFrameHeaderBytes = 9;
  if (!batch_.HasRoom()) return NGHTTP2_ERR_WOULDBLOCK;
  // Never: what was announced stays in its queue (Request::LetGo). If it did not, only the stream may
  // suffer.
  if (from.bytes() < bytes) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  batch_.AppendCopy({reinterpret_cast<const char*>(frame_header), kFrameHeaderBytes});
  while (bytes > 0) {
    Piece piece = from.TakeFront(bytes);
    bytes -= piece.size;
    batch_.Append(std::move(piece));
  }
  return 0;
}

void Connection::WatchForWriting(bool wanted) {
  if (wanted == watches_writing_) return;
  watches_writing_ = wanted;
  worker_.ChangeWatch(*this, socket_, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void Connection::Close(absl::Status why) {
  if (closed_ || close_pending_) return;
  if (in_session_) {
    close_pending_ = true;
    pending_close_ = std::move(why);
    return;
  }
  FinishClosing(why);
}

void Connection::FinishClosing(const absl::Status& why) {
  closed_ = true;
  close(std::exchange(socket_, -1));  // leaves epoll by itself
  OnClosed(why);
  worker_.Bury(*this);
}

void Connection::OnReceived(size_t bytes) {
  queued_bytes_ += bytes;
  if (queued_bytes_ <= kConnectionQueuedBytesMax && worker_.memory().queued_bytes <= kWorkerQueuedBytesMax) {
    nghttp2_session_consume_connection(session_, bytes);
  } else {
    held_bytes_ += bytes;
  }
}

void Connection::Release(int32_t stream_id, size_t bytes) {
  if (closed_ || bytes == 0) return;
  queued_bytes_ -= bytes;
  const size_t given_back = std::min(held_bytes_, bytes);
  held_bytes_ -= given_back;
  nghttp2_session_consume_connection(session_, given_back);
  nghttp2_session_consume_stream(session_, stream_id, bytes);  // nothing happens when the stream has ended
  ScheduleFlush();
}

}  // namespace signalbox::proxy
