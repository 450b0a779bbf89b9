#include "cli/demo/demo_system.h"

#include <fmt/format.h>
#include <httplib.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/canonical_json.h"
#include "base/file.h"
#include "base/status.h"
#include "signalbox/v1/snapshot.pb.h"
#include "store/store.h"

namespace signalbox::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

// Loading models takes a tenth of a second; a machine that builds something else at the same time is slow, not broken.
constexpr seconds kStartMax{60};
constexpr milliseconds kInterruptInterval{50};
// Longer than the roles' own grace for requests in flight.
constexpr seconds kStopMax{12};
// The demo's own requests have ended by then; this is for a user's.
constexpr char kProxyDrainSeconds[] = "5";
constexpr size_t kChildrenMax = 8;
// Some ten minutes at the usual rate.
constexpr uintmax_t kDecisionLogBytesMax = 64U << 20;

constexpr char kAnyLocalPort[] = "127.0.0.1:0";

std::string HostOf(const std::string& address) { return address.substr(0, address.rfind(':')); }

absl::Status Interrupted() { return absl::CancelledError("interrupted"); }

}  // namespace

absl::Status DemoSystem::MakeFolders() {
  std::error_code error;
  // Port files of an earlier run would be taken for those of this one, and its last snapshot names hosts that are gone.
  for (const std::string& folder : {paths_.ports, paths_.proxy_state}) std::filesystem::remove_all(folder, error);
  for (const std::string& folder : {paths_.models, paths_.proxy_state, paths_.logs, paths_.ports}) {
    std::filesystem::create_directories(folder, error);
    if (error) return absl::UnavailableError(fmt::format("create {}: {}", folder, error.message()));
  }
  // Pointers to children are handed out while they start.
  children_.reserve(kChildrenMax);
  return absl::OkStatus();
}

absl::StatusOr<ChildProcess*> DemoSystem::StartChild(const std::string& name, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), options_.program);
  ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::Start({.name = name,
                                                            .command = std::move(arguments),
                                                            .log_file = fmt::format("{}/{}.log", paths_.logs, name)}));
  children_.push_back(std::move(child));
  return &children_.back();
}

absl::StatusOr<int> DemoSystem::WaitForPort(ChildProcess& child, const std::string& port_file) {
  const auto give_up = Clock::now() + kStartMax;
  while (true) {
    absl::StatusOr<int> port = child.WaitForPort(port_file, kInterruptInterval);
    if (!absl::IsDeadlineExceeded(port.status()) || Clock::now() >= give_up) return port;
    if (interrupted_()) return Interrupted();
  }
}

absl::StatusOr<std::string> DemoSystem::StartControlPlane() {
  // The hosts say themselves where they are and to which shard they belong.
  const nlohmann::ordered_json fleet = {
      {"shards", {{"films", nlohmann::ordered_json::object()}, {"flights", nlohmann::ordered_json::object()}}},
      {"models", {{"title-ranker", {{"shards", {"films"}}}}, {"arrival-delay", {{"shards", {"flights"}}}}}}};
  RETURN_IF_ERROR(WriteFileAtomically(paths_.fleet, fleet.dump(2) + "\n"));
  ASSIGN_OR_RETURN(
      ChildProcess * child,
      StartChild("control", {"control", "--store", "sqlite:" + paths_.store, "--fleet", paths_.fleet, "--node-id",
                             "demo-control", "--listen", kAnyLocalPort, "--port-file", PortFile("control")}));
  ASSIGN_OR_RETURN(int port, WaitForPort(*child, PortFile("control")));
  control_address_ = fmt::format("127.0.0.1:{}", port);
  return fmt::format("{}, store {}", control_address_, paths_.store);
}

absl::StatusOr<std::string> DemoSystem::StartHost(const std::string& name, const std::string& shard) {
  ASSIGN_OR_RETURN(ChildProcess * child,
                   StartChild(name, {"host", "--repository", paths_.models, "--load", "none", "--listen", kAnyLocalPort,
                                     "--port-file", PortFile(name), "--join", control_address_, "--shard", shard,
                                     "--host-id", name}));
  (void)child;
  return name;
}

absl::StatusOr<std::string> DemoSystem::StartHosts() {
  const struct { std::string name, shard; } hosts[] = {{"host-1", "films"}, {"host-2", "films"}, {"host-3", "flights"}};
  const size_t first = children_.size();
  for (const auto& host : hosts) RETURN_IF_ERROR(StartHost(host.name, host.shard).status());
  std::string summary;
  for (size_t i = 0; i < std::size(hosts); ++i) {
    ASSIGN_OR_RETURN(int port, WaitForPort(children_[first + i], PortFile(hosts[i].name)));
    summary += fmt::format("{}{} 127.0.0.1:{}", i == 0 ? "" : ", ", hosts[i].shard, port);
    host_addresses_.insert(fmt::format("127.0.0.1:{}", port));
  }
  return summary;
}

absl::Status DemoSystem::RunToEnd(const std::string& name, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), options_.program);
  std::string log = name;
  std::replace(log.begin(), log.end(), ' ', '-');
  ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::Start({.name = name,
                                                            .command = std::move(arguments),
                                                            .log_file = fmt::format("{}/{}.log", paths_.logs, log)}));
  const auto give_up = Clock::now() + kStartMax;
  while (!child.WaitForEnd(kInterruptInterval)) {
    if (interrupted_()) return Interrupted();
    if (Clock::now() >= give_up) return absl::DeadlineExceededError(child.Report());
  }
  return child.exit_code() == 0 ? absl::OkStatus() : absl::UnavailableError(child.Report());
}

absl::StatusOr<std::string> DemoSystem::PublishRules() {
  const std::vector<std::string> where = {"--namespace", kDemoNamespace, "--store", "sqlite:" + paths_.store};
  std::vector<std::string> publish = {"rules", "publish"};
  publish.insert(publish.end(), options_.rule_files.begin(), options_.rule_files.end());
  publish.insert(publish.end(), where.begin(), where.end());
  publish.insert(publish.end(), {"--message", "start of the demo"});
  RETURN_IF_ERROR(RunToEnd("rules publish", std::move(publish)));
  std::vector<std::string> watch = {"rollout", "status", "--watch"};
  watch.insert(watch.end(), where.begin(), where.end());
  RETURN_IF_ERROR(RunToEnd("rollout status", std::move(watch)));
  RETURN_IF_ERROR(WaitUntilPlaced());
  return fmt::format("{} files published in the namespace {}, their models loaded and tried, in effect",
                     options_.rule_files.size(), kDemoNamespace);
}

// Rules that an earlier demo published are in effect at once; that their models are on the hosts of this one is not.
absl::Status DemoSystem::WaitUntilPlaced() {
  const auto give_up = Clock::now() + kStartMax;
  ASSIGN_OR_RETURN(auto store, store::OpenStore("sqlite:" + paths_.store, store::OpenMode::kExisting));
  while (true) {
    ASSIGN_OR_RETURN(const store::Version stored, store->Get(store::kPlacementTopic, std::nullopt));
    v1::Placement placement;
    RETURN_IF_ERROR(ParseJson(stored.content, placement));
    std::set<std::string> placed;
    for (const auto& [name, shard] : placement.shards()) placed.insert(shard.hosts().begin(), shard.hosts().end());
    if (placed == host_addresses_) return absl::OkStatus();
    RETURN_IF_ERROR(Check());
    if (interrupted_()) return Interrupted();
    if (Clock::now() >= give_up) {
      return absl::DeadlineExceededError(fmt::format(
          "the models are not on their hosts after {} s: {}/control.log says why", kStartMax.count(), paths_.logs));
    }
    children_.back().WaitForEnd(kInterruptInterval);
  }
}

absl::StatusOr<std::string> DemoSystem::StartProxy() {
  ASSIGN_OR_RETURN(
      ChildProcess * child,
      StartChild("proxy", {"proxy", "--control", control_address_, "--state-dir", paths_.proxy_state, "--node-id",
                           "demo-proxy", "--listen", options_.listen, "--port-file", PortFile("proxy"), "--admin",
                           options_.admin, "--admin-port-file", PortFile("admin"), "--decision-log",
                           paths_.decision_log, "--drain-timeout", kProxyDrainSeconds}));
  ASSIGN_OR_RETURN(int port, WaitForPort(*child, PortFile("proxy")));
  ASSIGN_OR_RETURN(int admin_port, WaitForPort(*child, PortFile("admin")));
  proxy_address_ = fmt::format("{}:{}", HostOf(options_.listen), port);
  admin_address_ = fmt::format("{}:{}", HostOf(options_.admin), admin_port);
  RETURN_IF_ERROR(WaitUntilReady());
  return fmt::format("{}, for operators http://{}/", proxy_address_, admin_address_);
}

absl::Status DemoSystem::WaitUntilReady() {
  httplib::Client client("http://" + admin_address_);
  client.set_connection_timeout(kStartMax);
  const auto give_up = Clock::now() + kStartMax;
  while (true) {
    RETURN_IF_ERROR(Check());
    const httplib::Result ready = client.Get("/readyz");
    if (ready && ready->status == 200) return absl::OkStatus();
    if (interrupted_()) return Interrupted();
    if (Clock::now() >= give_up) {
      return absl::DeadlineExceededError(fmt::format("the proxy is not ready after {} s: http://{}/readyz says {}",
                                                     kStartMax.count(), admin_address_,
                                                     ready ? ready->body : httplib::to_string(ready.error())));
    }
    children_.back().WaitForEnd(kInterruptInterval);
  }
}

absl::Status DemoSystem::Check() {
  for (ChildProcess& child : children_) {
    if (!child.Running()) return absl::UnavailableError(child.Report());
  }
  return absl::OkStatus();
}

absl::Status DemoSystem::RotateDecisionLog() {
  std::error_code error;
  const uintmax_t bytes = std::filesystem::file_size(paths_.decision_log, error);
  if (error || bytes < kDecisionLogBytesMax) return absl::OkStatus();
  std::filesystem::rename(paths_.decision_log, paths_.decision_log + ".1", error);
  if (error) return absl::UnavailableError(fmt::format("rename {}: {}", paths_.decision_log, error.message()));
  for (ChildProcess& child : children_) {
    if (child.name() == "proxy") child.Signal(SIGHUP);
  }
  return absl::OkStatus();
}

absl::Status DemoSystem::Stop() {
  std::string unclean;
  auto stop = [&](const std::string& role) {
    // Those of one role together, so that three hosts take the time of one.
    for (ChildProcess& child : children_) {
      if (child.name().starts_with(role)) child.AskToEnd();
    }
    for (ChildProcess& child : children_) {
      if (child.name().starts_with(role) && !child.Stop(kStopMax)) unclean += child.Report();
    }
  };
  for (const char* role : {"proxy", "host", "control"}) stop(role);
  children_.clear();
  return unclean.empty() ? absl::OkStatus() : absl::UnavailableError(unclean);
}

}  // namespace signalbox::cli
