// What every request leaves behind: counters, latency histograms and a decision log record, without slowing the request
// down.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "prometheus/collectable.h"

namespace signalbox::telemetry {

// A member of a list of the log: an attribute and its value, an experiment and its cell.
struct NamedText {
  std::string_view name;
  std::string_view value;
};

// What was wrong with a request as far as the decision is concerned, in the order of the bits of decide::Note.
inline constexpr std::array<std::string_view, 4> kNoteNames = {"missing_unit", "wrong_type", "override_refused",
                                                               "remote_fallback"};

// What was done for a request beyond asking one host, in the order of RequestRecord::try_events: hosts that were asked
// because another had failed, or because another took long; of the latter those that answered first; tries that the
// retry budget did not allow; hosts that did not answer in the time of one try; bodies that were too long to be kept
// for a further try.
inline constexpr std::array<std::string_view, 6> kTryEventNames = {"retry",       "hedge",   "hedge_win",
                                                                   "over_budget", "timeout", "body_too_long"};
// What a request was refused for, and the priority classes.
inline constexpr std::array<std::string_view, 5> kRefusalNames = {"rate", "concurrency", "payload", "overload",
                                                                  "bulkhead"};
inline constexpr std::array<std::string_view, 4> kPriorityNames = {"high", "normal", "low", "lowest"};

// One finished request. Views are read before Record returns.
struct RequestRecord {
  uint64_t decision_id = 0;
  int64_t start_unix_us = 0;
  std::string_view snapshot_hash;
  std::string_view
      objective;  // empty when it was not known: what a client made up is counted as "unknown" and must not come here
  std::string_view model;  // model id; empty when none was chosen, or `static_answer`
  std::string_view experiment;
  std::string_view cell;
  std::string_view reason;  // of the decision: "default", ...
  std::string_view user;
  std::string_view tenant;
  std::string_view traffic_type;  // "live", "synthetic", "replay" or "shadow"
  std::string_view host;          // upstream "HOST:PORT"; empty when none was reached
  int grpc_status = 0;            // what the client was given; 0 is OK
  uint64_t latency_us = 0;        // request headers in to last byte out
  uint64_t own_us = 0;            // the part of it that the proxy itself took
  uint64_t request_bytes = 0;     // payload, without frame headers
  uint64_t response_bytes = 0;
  uint32_t attempts = 0;  // hosts that were given the request
  std::array<uint32_t, kTryEventNames.size()> try_events = {};
  uint32_t fallbacks = 0;      // models tried before the one that answered
  bool static_answer = false;  // no model answered, the rules' own answer did

  // What else the decision was made from. With `decision_id`, which is its randomness, and `start_unix_us`, whose
  // milliseconds are its time, the decision can be made again.
  std::string_view country;
  std::string_view locale;
  std::string_view device;
  std::string_view surface;
  std::string_view app_version;
  std::string_view segments;  // separated by spaces
  std::span<const NamedText> attributes;
  // What the caller asked for, and the rule that let it.
  std::string_view override_model;
  std::span<const NamedText> override_cells;
  std::string_view override_rule;
  std::span<const NamedText> remote_cells;

  // What else came of it.
  std::span<const NamedText> cells;  // every experiment that the request takes part in, and its cell
  uint32_t notes = 0;                // of kNoteNames: 1 << index
  uint32_t shadows_not_sent = 0;
  uint32_t refusal = 0;   // 1 + index of kRefusalNames; 0: it was not refused
  uint32_t priority = 0;  // index of kPriorityNames, where it was refused
};

struct Options {
  // JSON Lines; empty: no decision log.
  std::string decision_log_path = {};
  // Share of requests that are logged, in parts per million, by hash of the decision id.
  uint32_t decision_log_sample_ppm = 1'000'000;
  // What may wait for the disk, per worker; a usual record takes half a KiB. A full ring loses the newest record and
  // counts it.
  size_t decision_log_ring_bytes = 8 << 20;
  // Label values come from clients: beyond this many distinct tenants, further ones are counted as "other".
  size_t tenants_max = 256;
  // Label combinations, per worker, about 1 KiB each and 12 KiB more for each distinct cell. Requests beyond them are
  // counted together, with "other" in every label, and in signalbox_telemetry_series_dropped_total.
  size_t series_max = 2048;
};

// The hot side. One for each worker thread, used by that thread alone.
class WorkerTelemetry {
 public:
  virtual ~WorkerTelemetry() = default;
  // Never blocks. No allocation once a combination of labels has been seen. About 100 ns, and as much again when the
  // request is logged.
  virtual void Record(const RequestRecord& record) = 0;
};

// The cold side: owns the workers' parts, the log writer thread, and answers scrapes. Thread-safe. Workers must have
// stopped before it is destroyed, which writes what waits in the rings.
//
// Collect() gives these families; durations are in seconds. Labels of the first seven: objective, model, experiment,
// cell, tenant, traffic_type.
//   signalbox_requests_total                    with `code`, the name of the gRPC status
//   signalbox_request_duration_seconds          histogram, request headers in to last byte out
//   signalbox_proxy_duration_seconds            histogram, the part of it that signalbox itself took
//   signalbox_fallbacks_total                   models that were tried in vain
//   signalbox_static_answers_total              requests that got the rules' own answer, as no model could be reached
//   signalbox_overrides_total                   requests of which an override chose the model or a cell
//   signalbox_request_bytes_total, signalbox_response_bytes_total
//   signalbox_request_duration_recent_seconds, signalbox_proxy_duration_recent_seconds
//       summaries without the tenant: quantiles 0.5, 0.9, 0.99, 0.999 within 1.6 % over the last one to two minutes
//       (longer when nobody scraped)
//   signalbox_try_events_total                  with `objective` and `event`, of kTryEventNames
//   signalbox_decision_notes_total              with `objective` and `note`, of kNoteNames
//   signalbox_shadows_not_sent_total            with `objective`: copies that were drawn for questions about a model
//   signalbox_refusals_total                    with `objective`, `tenant`, `limit` (of kRefusalNames) and `priority`
//   signalbox_decision_log_written_total
//   signalbox_decision_log_lost_total           with `cause`: "ring_full" or "write_error"
//   signalbox_telemetry_series_dropped_total    requests counted under "other" because of series_max
class Telemetry : public prometheus::Collectable {
 public:
  // INVALID_ARGUMENT names an option that is out of range; otherwise what opening the decision log says.
  static absl::StatusOr<std::unique_ptr<Telemetry>> Create(Options options);
  ~Telemetry() override = default;

  // Lives as long as the Telemetry.
  virtual WorkerTelemetry& AddWorker() = 0;
  // Writes what waits in the rings and syncs the log. For shutdown and tests.
  virtual void Flush() = 0;
  // Opens the decision log anew, for after it was renamed (SIGHUP; not to be called from a signal handler). When that
  // fails, says why, and goes on with the old file.
  virtual absl::Status ReopenDecisionLog() = 0;
};

}  // namespace signalbox::telemetry
