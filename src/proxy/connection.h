// One HTTP/2 connection: socket, nghttp2 session, what is read and what waits to be sent. Clients' and hosts'
// connections add what they do with it.
#pragma once

#include <nghttp2/nghttp2.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "proxy/intrusive_list.h"
#include "proxy/send_batch.h"

namespace signalbox::proxy {

class Worker;

// Windows. A stream may have this much under way or waiting here; at 0.5 ms between the machines that is 500 MB/s.
inline constexpr int32_t kStreamWindowBytes = 256 << 10;
// Of the connection as a whole. It is given back as soon as bytes arrive, so that a stream that stalls does not stall
// the others ...
inline constexpr int32_t kConnectionWindowBytes = 8 << 20;
// ... until so much waits here from one connection, or in one worker; then only as bytes leave. As much as all streams
// of a client may have: what one Objective holds up is bounded by its bulkhead (limit/bulkhead.h), and must not hold up
// others on the same connection.
inline constexpr size_t kConnectionQueuedBytesMax = 64 << 20;
inline constexpr size_t kWorkerQueuedBytesMax = 256 << 20;
// Of the headers of one message when they are unpacked. HPACK makes one byte stand for kilobytes, each of which is
// looked at; above kHeaderBytesMax they are refused, but above this the connection ends before they are at their end.
inline constexpr size_t kUnpackedHeaderBytesMax = 2 << 20;

// For its worker's thread.
class Connection {
 public:
  Connection(Worker& worker, int socket);
  virtual ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // What epoll reports.
  virtual void OnEvents(uint32_t events);

  // Has everything that the session wants to say sent at the end of this round of the worker's loop: one system call
  // for all of it.
  void ScheduleFlush();
  void Flush();

  // Ends the connection; what used it learns why. The object itself goes at the end of the round. During a call into
  // its own session the end waits for the return.
  void Close(absl::Status why);
  bool closed() const { return closed_; }

  // Called every 100 ms: ends what does not live any more.
  virtual void CheckLiveness(int64_t now_ms) = 0;
  // The proxy is going to stop.
  virtual void StartDraining() {}

  // Bytes of a stream left the queue that they waited in: their window can be given back.
  void Release(int32_t stream_id, size_t bytes);

  ListHook<Connection> dirty_hook;
  ListHook<Connection> worker_hook;

 protected:
  // Called once, when the socket is closed already.
  virtual void OnClosed(const absl::Status& why) = 0;
  // To be called where headers begin, and for each of them. False, and the connection ends, when they are too many:
  // then the callback has failed.
  void BeginHeaders() { unpacked_header_bytes_ = 0; }
  bool CountHeader(nghttp2_rcbuf* name, nghttp2_rcbuf* value);
  // Where a session gives payload; the caller forwards it, or drops it and calls Release.
  void OnReceived(size_t bytes);
  // Whether the connection may end now that neither side has anything to say on it.
  virtual bool MayEnd() const { return true; }
  // The peer spoke something that is not HTTP/2.
  virtual void OnBadMagic() {}

  // What the stream is for; nullptr when that has ended.
  void* StreamUser(int32_t stream_id) const { return nghttp2_session_get_stream_user_data(session_, stream_id); }
  static std::string_view View(nghttp2_rcbuf* text);
  // nghttp2's send_data_callback, given what the stream's user has for this direction.
  int SendData(const uint8_t* frame_header, BodyQueue& from, size_t bytes);

  // Settings of either side, the connection window, and what nghttp2 must not do by itself.
  static nghttp2_option* SessionOptions();
  absl::Status SubmitSettings(const nghttp2_settings_entry* entries, size_t count);

  Worker& worker_;
  int socket_;
  nghttp2_session* session_ = nullptr;
  // When something last came, and when something could last be sent while something waited; for liveness checks.
  int64_t last_received_ms_ = 0;
  int64_t send_blocked_since_ms_ = 0;  // 0: not blocked

 private:
  void ReadSocket();
  bool ReadOnce(bool& more, std::chrono::nanoseconds& spent);
  void FillBatch();
  void WatchForWriting(bool wanted);
  void FinishClosing(const absl::Status& why);

  SendBatch batch_;
  bool closed_ = false;
  bool in_session_ = false;
  bool watches_writing_ = false;
  absl::Status pending_close_;
  bool close_pending_ = false;
  size_t unpacked_header_bytes_ = 0;  // of the message whose headers are being read
  size_t queued_bytes_ = 0;
  // Received, and not given back to the connection's window yet. Never more than queued_bytes_.
  size_t held_bytes_ = 0;
  // What one read may bring; less while what comes takes long to handle.
  size_t read_bytes_max_;
};

}  // namespace signalbox::proxy
