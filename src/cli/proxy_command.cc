#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "allocate/allocator.h"
#include "allocate/platform_options.h"
#include "base/background_thread.h"
#include "base/file.h"
#include "base/status.h"
#include "base/unix_time.h"
#include "cli/commands.h"
#include "cli/file_watch.h"
#include "cli/hangup_signal.h"
#include "cli/snapshot_from_files.h"
#include "cli/stop_signal.h"
#include "cli/subscription_report.h"
#include "proxy/proxy.h"
#include "subscribe/subscriber.h"
#include "telemetry/admin_server.h"
#include "telemetry/telemetry.h"

namespace signalbox::cli {
namespace {

using Clock = std::chrono::steady_clock;

// How soon a changed file is seen.
constexpr std::chrono::milliseconds kFileCheckInterval{200};
constexpr std::chrono::seconds kUnreadableRetryInterval{2};
// What a start waits for the first snapshot before it goes on without one.
constexpr std::chrono::seconds kFirstSnapshotTimeout{10};
constexpr std::chrono::milliseconds kStopCheckInterval{50};
// Of a worker, before /healthz says so. A hundred times what is usual; a machine that is merely busy stays below.
constexpr std::chrono::seconds kStalledMax{5};
constexpr double kPpm = 1'000'000;

struct ProxyOptions {
  proxy::Options proxy;
  uint32_t proxies = 1;
  telemetry::Options telemetry;
  std::vector<std::string> platforms;
  std::vector<std::string> platform_tokens;
  std::vector<std::string> platform_attributes;
  double decision_log_sample = 1;
  telemetry::ShadowRecordsOptions shadow_records;
  uint32_t shadow_memory_mib = 64;
  uint32_t shadow_objective_memory_mib = 16;
  uint32_t shadow_timeout_ms = 10'000;
  std::vector<std::string> rule_files;
  std::string placement_file;
  std::string namespace_name = "default";
  subscribe::SubscriberOptions subscriber;
  std::string admin;
  std::string port_file;
  std::string admin_port_file;
  uint32_t drain_seconds = 30;
};

void Report(std::string_view line) { fmt::print(stderr, "signalbox proxy: {}\n", line); }

// Puts snapshots into use and remembers which, for /snapshot. Thread-safe.
class SnapshotInUse {
 public:
  explicit SnapshotInUse(proxy::Proxy& proxy) : proxy_(proxy) {}

  void Take(const std::shared_ptr<const decide::Snapshot>& snapshot, const std::string& source,
            const std::string& node_id) {
    for (const std::string& failure : proxy_.SetSnapshot(snapshot)) Report(failure);
    const int64_t created = snapshot->created_unix_ms();
    Report(fmt::format("runs snapshot {} version {}", snapshot->hash().substr(0, 16), snapshot->version()));
    std::lock_guard lock(mutex_);
    status_ = {.hash = snapshot->hash(),
               .version = snapshot->version(),
               .created_unix_ms = created != 0 ? created : NowUnixMs(),
               .source = source,
               .node_id = node_id,
               .last_refusal = ""};
  }

  void Refuse(std::string_view why) {
    Report(fmt::format("refused, what ran goes on: {}", why));
    std::lock_guard lock(mutex_);
    status_.last_refusal = why;
  }

  // What was offered last is what runs already.
  void ClearRefusal() {
    std::lock_guard lock(mutex_);
    status_.last_refusal.clear();
  }

  telemetry::SnapshotStatus status() const {
    std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  proxy::Proxy& proxy_;
  mutable std::mutex mutex_;
  telemetry::SnapshotStatus status_;
};

// Rule files, with what they import, and a placement file, which are read again when they change.
class FileSource {
 public:
  FileSource(const ProxyOptions& options, SnapshotInUse& in_use)
      : options_(options), in_use_(in_use), rule_files_(options.rule_files), watch_(Paths(options, rule_files_)) {}

  // For the start. Takes the files, or says what is wrong with them.
  absl::Status Load() {
    ASSIGN_OR_RETURN(auto snapshot, ReadFiles());
    if (snapshot->hash() == in_use_.status().hash) {
      in_use_.ClearRefusal();
    } else {
      in_use_.Take(snapshot, "files", options_.subscriber.node_id);
    }
    return absl::OkStatus();
  }

  // From then on, often.
  void LoadIfChanged() {
    if (!watch_.Changed() && Clock::now() < retry_) return;
    const absl::Status status = Load();
    // What could not be read (for want of file descriptors, say) may become readable without a change of the files.
    const bool unreadable = !status.ok() && ExitCodeOf(status) == 2;
    retry_ = unreadable ? Clock::now() + kUnreadableRetryInterval : Clock::time_point::max();
    if (!status.ok() && status != last_) in_use_.Refuse(Message(status));
    if (status.ok() && !last_.ok()) Report("the files are good again");
    last_ = status;
  }

 private:
  absl::StatusOr<std::shared_ptr<const decide::Snapshot>> ReadFiles() {
    while (true) {
      auto snapshot =
          SnapshotFromFiles(options_.rule_files, options_.placement_file, options_.namespace_name, &rule_files_);
      // A file that was not watched before may have changed between being read and being watched. Ends, because a rule
      // set has a limited number of files, and somebody would have to write new imports all the time.
      if (!watch_.Watch(Paths(options_, rule_files_))) return snapshot;
    }
  }

  // `rule_files`: with what they import.
  static std::vector<std::string> Paths(const ProxyOptions& options, std::vector<std::string> rule_files) {
    std::vector<std::string> paths = std::move(rule_files);
    if (!options.placement_file.empty()) paths.push_back(options.placement_file);
    return paths;
  }

  const ProxyOptions& options_;
  SnapshotInUse& in_use_;
  std::vector<std::string> rule_files_;
  FileWatch watch_;
  absl::Status last_;
  Clock::time_point retry_ = Clock::time_point::max();
};

absl::StatusOr<std::unique_ptr<subscribe::Subscriber>> Subscribe(const ProxyOptions& options, const proxy::Proxy& proxy,
                                                                 SnapshotInUse& in_use) {
  subscribe::SubscriberOptions subscription = options.subscriber;
  subscription.oldest_version_in_use = [&proxy] { return proxy.oldest_version_in_use(); };
  return subscribe::Subscriber::Start(
      std::move(subscription), [&](const std::shared_ptr<const decide::Snapshot>& snapshot) {
        in_use.Take(snapshot, fmt::format("control {}", options.subscriber.control), options.subscriber.node_id);
        return absl::OkStatus();
      });
}

// Goes on without a snapshot after a while. True when a signal came first.
bool StoppedBeforeFirstSnapshot(const subscribe::Subscriber& subscriber, StopSignal& stop) {
  const auto give_up = Clock::now() + kFirstSnapshotTimeout;
  while (!subscriber.WaitForSnapshot(kStopCheckInterval)) {
    if (stop.WaitFor(std::chrono::nanoseconds(0))) return true;
    if (Clock::now() < give_up) continue;
    Report(fmt::format("no snapshot after {}: {}; requests are refused until there is one", kFirstSnapshotTimeout,
                       subscriber.status().connection_error));
    break;
  }
  return false;
}

// Of a subscriber, which knows more than what was handed out.
telemetry::SnapshotStatus StatusOf(const SnapshotInUse& in_use, const subscribe::Subscriber* subscriber) {
  telemetry::SnapshotStatus status = in_use.status();
  if (subscriber == nullptr) return status;
  const subscribe::SubscriberStatus subscription = subscriber->status();
  if (subscription.from_disk) status.source = "last good on disk";
  status.node_id = subscription.node_id;
  status.last_refusal = subscription.last_refusal.reason;
  return status;
}

absl::StatusOr<std::unique_ptr<telemetry::AdminServer>> StartAdmin(
    const ProxyOptions& options, const proxy::Proxy& proxy, std::vector<const prometheus::Collectable*> metrics,
    const SnapshotInUse& in_use, const std::unique_ptr<subscribe::Subscriber>& subscriber,
    const std::atomic<bool>& draining) {
  if (options.admin.empty()) return nullptr;
  telemetry::AdminPages pages;
  pages.healthz = [&proxy]() -> absl::Status {
    const std::chrono::milliseconds stalled = proxy.stalled_for();
    if (stalled < kStalledMax) return absl::OkStatus();
    return absl::InternalError(fmt::format("a worker has been stuck for {}", stalled));
  };
  pages.readyz = [&]() -> absl::Status {
    if (draining) return absl::UnavailableError("stopping");
    if (!in_use.status().hash.empty()) return absl::OkStatus();
    const std::string why = subscriber == nullptr ? "" : subscriber->status().connection_error;
    return absl::UnavailableError(fmt::format("no snapshot yet{}{}", why.empty() ? "" : ": ", why));
  };
  pages.snapshot = [&] { return StatusOf(in_use, subscriber.get()); };
  pages.shadows = [&options] { return options.proxy.shadow_records->ExamplesJson(); };
  ASSIGN_OR_RETURN(auto server, telemetry::AdminServer::Start(options.admin, std::move(metrics), std::move(pages)));
  if (!options.admin_port_file.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(options.admin_port_file, fmt::format("{}\n", server->port())));
  }
  return server;
}

absl::Status CheckOptions(const ProxyOptions& options) {
  const bool files = !options.rule_files.empty();
  const bool control = !options.subscriber.control.empty();
  if (files == control) {
    return absl::InvalidArgumentError(
        "give either --rules FILE.js... with --placement FILE.json, or --control HOST:PORT");
  }
  if (files && options.placement_file.empty()) {
    return absl::InvalidArgumentError("--rules needs --placement FILE.json, which says where the models are");
  }
  if (!files && !options.placement_file.empty()) {
    return absl::InvalidArgumentError(
        "--placement goes with --rules; with --control the control plane has the placement");
  }
  return absl::OkStatus();
}

// nullptr where the operator knows no platform.
absl::StatusOr<std::unique_ptr<allocate::Allocator>> StartAllocator(const ProxyOptions& options) {
  ASSIGN_OR_RETURN(auto platforms,
                   allocate::ParsePlatforms(options.platforms, options.platform_tokens, options.platform_attributes));
  if (platforms.empty()) return nullptr;
  for (const std::string& warning : allocate::PlainTokenWarnings(platforms)) Report(warning);
  return allocate::Allocator::Start(std::move(platforms), Report);
}

absl::Status Announce(const ProxyOptions& options, const proxy::Proxy& proxy, const telemetry::AdminServer* admin) {
  if (!options.port_file.empty())
    RETURN_IF_ERROR(WriteFileAtomically(options.port_file, fmt::format("{}\n", proxy.port())));
  fmt::print("listening on port {}{}\n", proxy.port(),
             admin == nullptr ? "" : fmt::format(", admin on port {}", admin->port()));
  std::fflush(stdout);
  return absl::OkStatus();
}

void WatchUntilStopped(FileSource& files, const subscribe::Subscriber* subscriber, telemetry::Telemetry& telemetry,
                       telemetry::ShadowRecords& shadow_records, allocate::Allocator* allocator, StopSignal& stop,
                       HangupSignal& hangup) {
  SubscriptionReport subscription(Report);
  // The workers run by now. What this thread still does, compiling changed files above all, they go before.
  MakeThisABackgroundThread();
  while (!stop.WaitFor(kFileCheckInterval)) {
    files.LoadIfChanged();
    if (subscriber != nullptr) subscription.Look(subscriber->status());
    if (!hangup.Came()) continue;
    if (allocator != nullptr) allocator->RereadTokens();
    absl::Status status = telemetry.ReopenDecisionLog();
    if (status.ok()) status = shadow_records.ReopenLog();
    Report(status.ok() ? "opened the decision log anew" : Message(status));
  }
}

absl::Status Run(ProxyOptions options) {
  RETURN_IF_ERROR(CheckOptions(options));
  StopSignal stop;  // before the first thread starts: threads inherit what is blocked
  HangupSignal hangup;
  options.telemetry.decision_log_sample_ppm = static_cast<uint32_t>(std::lround(options.decision_log_sample * kPpm));
  ASSIGN_OR_RETURN(auto telemetry, telemetry::Telemetry::Create(options.telemetry));
  ASSIGN_OR_RETURN(auto shadow_records, telemetry::ShadowRecords::Create(options.shadow_records));
  std::vector<const prometheus::Collectable*> metrics = {telemetry.get(), shadow_records.get()};
  options.proxy.shadow_records = shadow_records.get();
  options.proxy.shadow_limits.bytes_max = uint64_t{options.shadow_memory_mib} << 20;
  options.proxy.shadow_limits.objective_bytes_max = uint64_t{options.shadow_objective_memory_mib} << 20;
  options.proxy.shadow_limits.timeout = std::chrono::milliseconds(options.shadow_timeout_ms);
  ASSIGN_OR_RETURN(const std::unique_ptr<allocate::Allocator> allocator, StartAllocator(options));
  if (allocator != nullptr) metrics.push_back(allocator.get());
  options.proxy.allocator = allocator.get();
  ASSIGN_OR_RETURN(auto proxy, proxy::Proxy::Start(options.proxy, *telemetry));
  proxy->SetProxies(options.proxies);
  metrics.push_back(proxy.get());
  metrics.push_back(&proxy->host_metrics());
  SnapshotInUse in_use(*proxy);
  FileSource files(options, in_use);
  std::unique_ptr<subscribe::Subscriber> subscriber;  // before the pages, which refer to it
  if (options.rule_files.empty()) {
    ASSIGN_OR_RETURN(subscriber, Subscribe(options, *proxy, in_use));
  }
  std::atomic<bool> draining{false};
  // Before the first snapshot: it can be a while until there is one, and then the pages say why.
  ASSIGN_OR_RETURN(auto admin, StartAdmin(options, *proxy, metrics, in_use, subscriber, draining));
  if (subscriber == nullptr) RETURN_IF_ERROR(files.Load());
  if (subscriber == nullptr || !StoppedBeforeFirstSnapshot(*subscriber, stop)) {
    RETURN_IF_ERROR(Announce(options, *proxy, admin.get()));
    WatchUntilStopped(files, subscriber.get(), *telemetry, *shadow_records, allocator.get(), stop, hangup);
  }
  draining = true;
  fmt::print("stopping: no new requests, waiting for {} in flight\n", proxy->requests_open());
  std::fflush(stdout);
  if (!proxy->Drain(std::chrono::seconds(options.drain_seconds))) {
    Report(fmt::format("{} requests had not ended after {} s", proxy->requests_open(), options.drain_seconds));
  }
  if (subscriber != nullptr) subscriber->Stop();
  return absl::OkStatus();
}

}  // namespace

void AddProxy(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<ProxyOptions>();
  CLI::App* command = app.add_subcommand("proxy", "Carry requests to models: the in-path data plane");
  command->add_option("--listen", options->proxy.listen, "HOST:PORT for gRPC; port 0 takes a free one")->required();
  command->add_option("--workers", options->proxy.workers, "Threads; 0: one for each core")->capture_default_str();
  command->add_option("--rules", options->rule_files,
                      "Rule files (.js), or folders of them, read again when they change");
  command->add_option("--placement", options->placement_file, "Placement file (.json), read again when it changes");
  command->add_option("--namespace", options->namespace_name, "Namespace of the rule files")->capture_default_str();
  command->add_option("--control", options->subscriber.control,
                      "Control plane: HOST:PORT, or several with commas between");
  command->add_option("--state-dir", options->subscriber.state_dir, "Folder for the last good snapshot");
  command->add_option("--node-id", options->subscriber.node_id, "Name of this proxy at the control plane");
  command
      ->add_option("--proxies", options->proxies,
                   "How many proxies share the traffic, this one included: each enforces its part of declared limits")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->add_option("--zone", options->proxy.balance.zone,
                      "Where this proxy stands: hosts of the same zone go first, as long as they are enough");
  command->add_flag("--ask-load-reports", options->proxy.asks_for_load,
                    "Ask hosts for load reports (ORCA) with every request, and choose hosts by them");
  command->add_option("--scope", options->subscriber.scopes,
                      "KEY=VALUE label of this proxy, for releases to some proxies first; may be given several times");
  command->add_option("--admin", options->admin, "HOST:PORT for /metrics, /healthz, /readyz, /snapshot and /shadows");
  command->add_option("--decision-log", options->telemetry.decision_log_path,
                      "Append a JSON line for each request; SIGHUP reopens");
  command->add_option("--decision-log-sample", options->decision_log_sample, "Share of requests in the decision log")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--shadow-log", options->shadow_records.log_path,
                      "Append a JSON line for each shadow that disagrees, fails or cannot be compared; SIGHUP reopens");
  command
      ->add_option("--shadow-copies", options->proxy.shadow_limits.copies_max,
                   "Copies of requests to shadows that may be under way, in each worker; 0: none is sent")
      ->capture_default_str();
  command
      ->add_option("--shadow-copies-per-objective", options->proxy.shadow_limits.objective_copies_max,
                   "The same, for one Objective")
      ->capture_default_str();
  command
      ->add_option("--shadow-memory", options->shadow_memory_mib,
                   "MiB that bodies and answers of these copies may take, in each worker")
      ->capture_default_str();
  command
      ->add_option("--shadow-memory-per-objective", options->shadow_objective_memory_mib, "The same, for one Objective")
      ->capture_default_str();
  command->add_option("--shadow-timeout", options->shadow_timeout_ms, "Milliseconds that a shadow has to answer")
      ->check(CLI::Range(1, 600'000))
      ->capture_default_str();
  command->add_option("--platform", options->platforms,
                      "Experimentation platform that rules may ask: NAME=ofrep:http://HOST:PORT[/BASE] or "
                      "NAME=grpc:HOST:PORT; may be given several times");
  command->add_option("--platform-token", options->platform_tokens,
                      "NAME=FILE with the platform's bearer token; SIGHUP reads it again");
  command->add_option("--platform-attributes", options->platform_attributes,
                      "NAME=KEY,KEY: attributes (and `user`) that may be sent to the platform");
  command->add_option("--port-file", options->port_file, "Write the bound port here once requests can be answered");
  command->add_option("--admin-port-file", options->admin_port_file, "Write the bound port of --admin here, at once");
  command->add_option("--drain-timeout", options->drain_seconds, "Seconds that requests in flight have at a stop")
      ->capture_default_str();
  command->callback([options, &outcome] {
    if (absl::Status status = Run(*options); !status.ok()) {
      Report(Message(status));
      outcome.exit_code = ExitCodeOf(status);
    }
  });
}

}  // namespace signalbox::cli
