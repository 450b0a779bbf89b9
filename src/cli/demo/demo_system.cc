#include "cli/demo/demo_system.h"

#include <fmt/format.h>
#include <httplib.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/file.h"
#include "base/status.h"

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

absl::StatusOr<std::string> DemoSystem::StartHost(const std::string& name, const std::string& model) {
  ASSIGN_OR_RETURN(ChildProcess * child, StartChild(name, {"host", "--repository", paths_.models, "--load", model,
                                                           "--listen", kAnyLocalPort, "--port-file", PortFile(name)}));
  (void)child;
  return name;
}

absl::StatusOr<std::string> DemoSystem::StartHosts() {
  const struct {
    std::string name, shard, model;
  } hosts[] = {
      {"host-1", "films", "title-ranker"}, {"host-2", "films", "title-ranker"}, {"host-3", "flights", "arrival-delay"}};
  const size_t first = children_.size();
  for (const auto& host : hosts) RETURN_IF_ERROR(StartHost(host.name, host.model).status());

  nlohmann::ordered_json placement;
  std::string summary;
  for (size_t i = 0; i < std::size(hosts); ++i) {
    ASSIGN_OR_RETURN(int port, WaitForPort(children_[first + i], PortFile(hosts[i].name)));
    placement["shards"][hosts[i].shard].push_back(fmt::format("127.0.0.1:{}", port));
    placement["models"][hosts[i].model] = {hosts[i].shard};
    summary += fmt::format("{}{} 127.0.0.1:{}", i == 0 ? "" : ", ", hosts[i].shard, port);
  }
  RETURN_IF_ERROR(WriteFileAtomically(paths_.placement, placement.dump(2) + "\n"));
  return summary;
}

absl::StatusOr<std::string> DemoSystem::StartControlPlane() {
  ASSIGN_OR_RETURN(ChildProcess * child, StartChild("control", {"control", "--store", "sqlite:" + paths_.store,
                                                                "--placement", paths_.placement, "--listen",
                                                                kAnyLocalPort, "--port-file", PortFile("control")}));
  ASSIGN_OR_RETURN(int port, WaitForPort(*child, PortFile("control")));
  control_address_ = fmt::format("127.0.0.1:{}", port);
  return fmt::format("{}, store {}", control_address_, paths_.store);
}

absl::StatusOr<std::string> DemoSystem::PublishRules() {
  std::vector<std::string> command = {options_.program, "rules", "publish"};
  command.insert(command.end(), options_.rule_files.begin(), options_.rule_files.end());
  for (const char* argument : {"--namespace", kDemoNamespace, "--message", "start of the demo", "--store"})
    command.emplace_back(argument);
  command.push_back("sqlite:" + paths_.store);
  ASSIGN_OR_RETURN(ChildProcess publish, ChildProcess::Start({.name = "rules publish",
                                                              .command = std::move(command),
                                                              .log_file = paths_.logs + "/rules-publish.log"}));
  const auto give_up = Clock::now() + kStartMax;
  while (!publish.WaitForEnd(kInterruptInterval)) {
    if (interrupted_()) return Interrupted();
    if (Clock::now() >= give_up) return absl::DeadlineExceededError(publish.Report());
  }
  if (publish.exit_code() != 0) return absl::UnavailableError(publish.Report());
  return fmt::format("{} files published in the namespace {}", options_.rule_files.size(), kDemoNamespace);
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
