// The operator's window into a process: /metrics, /healthz, /readyz and /snapshot over HTTP/1.1.
//
// For a trusted network: it has limits, but no authentication.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "prometheus/collectable.h"

namespace signalbox::telemetry {

// Which configuration the process runs: what to compare when two of them answer differently.
struct SnapshotStatus {
  std::string hash;  // empty while there is none
  int64_t version = 0;
  int64_t created_unix_ms = 0;
  std::string source;        // where it came from: "control HOST:PORT", "files", "last good on disk"
  std::string node_id;       // this process, as the control plane knows it
  std::string last_refusal;  // why the newest snapshot that was offered is not the one that runs; empty when it is
};

// What the owner answers. Called from the server's threads, at the same time as each other; must be quick, and not
// throw. A page whose function is not set does not exist.
struct AdminPages {
  // OK: the process works (200). Else 503 with the message: it should be restarted.
  std::function<absl::Status()> healthz;
  // OK: send traffic (200). Else 503 with the message, for example "no snapshot yet".
  std::function<absl::Status()> readyz;
  // 200 with the fields as JSON, and `age_seconds` since it was created; 503 with the same fields while there is none.
  std::function<SnapshotStatus()> snapshot;
  // 200 with this, which is JSON: what became of shadow copies, with examples.
  std::function<std::string()> shadows = {};
};

// Serves from the moment it is made until it is destroyed, which takes a second at most (an idle connection is closed,
// an answer under way is finished). Thread-safe.
class AdminServer {
 public:
  // Listens on `address`, "HOST:PORT", "[IPv6]:PORT" or with port 0 for any free one. `collectables` appear in /metrics
  // in their order and outlive the server. INVALID_ARGUMENT for an address that is none, UNAVAILABLE when it cannot be
  // listened on.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(const std::string& address,
                                                            std::vector<const prometheus::Collectable*> collectables,
                                                            AdminPages pages);
  virtual ~AdminServer() = default;

  virtual int port() const = 0;
};

}  // namespace signalbox::telemetry
