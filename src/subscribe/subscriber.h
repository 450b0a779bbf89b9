// Keeps a process supplied with the newest snapshot of a control plane, and with its last good one when there is none.
//
// Used by every data plane: proxy, resolver and clients (docs/decisions/0002-subscribe-folder.md). Nothing here is on
// the way of a request: a data plane answers from the snapshot that it was handed last, for ever if need be.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decide/snapshot.h"

namespace signalbox::subscribe {

struct SubscriberOptions {
  // "HOST:PORT", or several separated by commas: tried in turn until one answers.
  std::string control;
  // Folder for the last good snapshot (`snapshot.pb`); made when missing. Empty: nothing is kept, and a start without a
  // control plane waits for one. Two subscribers must not share a folder.
  std::string state_dir;
  // Names this data plane to the control plane; should be the same after a restart. Empty: "<host name>:<process id>".
  std::string node_id;

  // Labels "KEY=VALUE" of this data plane: it takes part in releases to these scopes. At most 16.
  std::vector<std::string> scopes;
  // The version of the oldest snapshot that a request in flight was decided by; asked from a thread of the subscriber's
  // own, often while it is not the newest. Empty: the control plane is not told, and keeps models for longer.
  std::function<int64_t()> oldest_version_in_use;

  // Wait before the next attempt to reach a control plane: starts at the first, doubles up to the second, and each wait
  // is a random part (half to whole) of that, so that a thousand data planes do not return in the same instant. The
  // maximum is what a change may be late by after a restart of the control plane.
  std::chrono::milliseconds reconnect_first{50};
  std::chrono::milliseconds reconnect_max{1000};
  // HTTP/2 PING when nothing has come for this long; a control plane that does not answer it in the same time again is
  // taken for dead. Must not be less than 1 s: the control plane closes connections that ping more often.
  std::chrono::milliseconds keepalive{2000};
};

// A snapshot, or a control plane, that was refused or failed.
struct Refusal {
  int64_t version = 0;  // 0 when it was not known
  std::string hash;
  std::string reason;
  int64_t unix_ms = 0;
};

struct SubscriberStatus {
  std::string node_id;     // as the control plane knows it
  bool connected = false;  // a stream is open and the control plane has answered on it
  std::string control;     // the address that is connected or was tried last
  // What runs: 0 and empty until there is a snapshot.
  int64_t version = 0;
  std::string hash;
  int64_t created_unix_ms = 0;   // when the control plane made it
  int64_t received_unix_ms = 0;  // when it was handed out here
  bool from_disk = false;        // it came from `state_dir` and no control plane has confirmed or replaced it yet
  // Why the snapshot that was offered last, by the control plane or from disk, does not run. Empty reason: it does.
  Refusal last_refusal;
  // Why there is no connection, or why the last good snapshot could not be kept on disk. Empty when all is well.
  std::string connection_error;
  std::string state_error;
};

// Thread-safe.
class Subscriber {
 public:
  // Puts a snapshot into use. Called on the subscriber's own thread, one call at a time, newest last. An error refuses
  // the snapshot: the control plane is told why, and what ran before goes on running. Must not call into the
  // Subscriber, except status().
  using OnSnapshot = std::function<absl::Status(std::shared_ptr<const decide::Snapshot>)>;

  // Returns at once; the last good snapshot from disk, if there is one, is the first to be handed to `on_snapshot`.
  // INVALID_ARGUMENT when an option makes no sense; PERMISSION_DENIED and the like when `state_dir` cannot be made. A
  // last good snapshot that is damaged is not an error: it is reported in status().last_refusal and replaced by the
  // next good one.
  static absl::StatusOr<std::unique_ptr<Subscriber>> Start(SubscriberOptions options, OnSnapshot on_snapshot);

  // Stops as Stop() does.
  virtual ~Subscriber() = default;

  virtual SubscriberStatus status() const = 0;

  // Whether a snapshot was handed out by now, waiting up to `timeout` for the first. For a start that wants to be ready
  // before it listens.
  virtual bool WaitForSnapshot(std::chrono::milliseconds timeout) const = 0;

  // After it returns `on_snapshot` is not called any more. Takes milliseconds, plus a call of `on_snapshot` that is
  // under way. May be called again.
  virtual void Stop() = 0;
};

}  // namespace signalbox::subscribe
