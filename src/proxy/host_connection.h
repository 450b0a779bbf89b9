// A connection to a model host: where attempts get their streams.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proxy/attempt.h"
#include "proxy/connection.h"
#include "proxy/host_address.h"

namespace signalbox::proxy {

class Host;

// For its worker's thread.
class HostConnection : public Connection {
 public:
  // A socket on its way to the address.
  static absl::StatusOr<int> StartConnecting(const HostAddress& address);

  // `socket` is still connecting. `lane` is the Objective whose own it is; nullptr: all share it.
  HostConnection(Worker& worker, Host& host, int socket, const limit::Bulkhead* lane);
  const limit::Bulkhead* lane() const { return lane_; }

  // From the socket's opening to the host's first SETTINGS, which say how many streams it takes: what it would refuse
  // is not sent.
  bool connecting() const { return !settings_received_ && !draining_ && !closed(); }
  // False once it will take no further streams: the host said GOAWAY, or the stream ids are used up.
  bool Usable() const;
  size_t streams() const { return open_streams_; }
  // Whether the host lets us open one more stream on it.
  bool HasRoom() const;
  // Whether the host takes payload on it now.
  bool HasWindow() const { return nghttp2_session_get_remote_window_size(session_) > 0; }

  // Opens a stream for the attempt.
  absl::Status Open(Attempt& attempt);
  // The attempt ended before its stream did.
  void Cancel(int32_t stream_id);
  // Nothing that the attempt left here concerns it any more.
  void Forget(Attempt& attempt) { attempts_.Remove(attempt); }
  // The attempt has more to send.
  void Resume(int32_t stream_id);
  // Its host does not need it any more.
  void Abandon();

  // Ends it when it took too long to connect, or when it does not answer PINGs.
  void CheckLiveness(int64_t now_ms) override;

  void OnEvents(uint32_t events) override;

 private:
  static nghttp2_session_callbacks* Callbacks();
  void OnClosed(const absl::Status& why) override;
  void FinishConnecting();
  absl::Status StartSession();
  void OnFrame(const nghttp2_frame& frame);
  void OnStreamClosed(int32_t stream_id, uint32_t error_code);
  void OnSettings();
  void OnFrameSent(const nghttp2_frame& frame);
  absl::Status ResetError(uint32_t error_code) const;
  // nullptr when it has ended for us.
  Attempt* AttemptOf(int32_t stream_id) { return static_cast<Attempt*>(StreamUser(stream_id)); }
  // Its window has been used up for a while: whose streams hold it?
  void OnBlocked(int64_t now_ms);
  template <typename Which>
  void EndStreams(const absl::Status& why, Processed processed, const Which& which);
  // What the host was sent on the stream and did not give back.
  int64_t UnreadBytes(const Attempt& attempt) const;
  ssize_t ReadRequestBody(int32_t stream_id, size_t bytes_max, uint32_t* flags);

  Host* host_;
  const limit::Bulkhead* const lane_;
  bool connecting_ = true;  // the socket
  bool settings_received_ = false;
  bool draining_ = false;  // GOAWAY came, or no more streams are wanted on it
  int64_t started_ms_;
  int64_t blocked_since_ms_ = 0;  // 0: the host takes payload
  int64_t ping_sent_ms_ = 0;      // 0: none is under way
  int pings_in_silence_ = 0;
  size_t open_streams_ = 0;
  // Those with an open stream, and those for which bytes from here still wait.
  IntrusiveList<Attempt, &Attempt::host_hook> attempts_;
};

}  // namespace signalbox::proxy
