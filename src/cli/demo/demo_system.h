// A whole signalbox on one machine: hosts, control plane and proxy, each a process of this binary.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/child_process.h"

namespace signalbox::cli {

inline constexpr char kDemoNamespace[] = "demo";

struct SystemOptions {
  std::string program;  // path of the signalbox binary
  std::string folder;   // holds everything: models, store, fleet, logs. Must exist
  std::string listen;   // of the proxy, "HOST:PORT"; port 0 takes a free one
  std::string admin;    // of the proxy's pages for operators
  std::vector<std::string> rule_files;
};

// The folder's contents.
struct SystemPaths {
  explicit SystemPaths(const std::string& folder)
      : models(folder + "/models"),
        store(folder + "/store.db"),
        fleet(folder + "/fleet.json"),
        decision_log(folder + "/decisions.jsonl"),
        proxy_state(folder + "/proxy"),
        logs(folder + "/logs"),
        ports(folder + "/ports") {}
  std::string models, store, fleet, decision_log, proxy_state, logs, ports;
};

// For one thread, which must live as long as the system: its children end with it. The destructor kills what runs.
class DemoSystem {
 public:
  // `interrupted` is asked while a child starts; the start is CANCELLED when it says so.
  DemoSystem(SystemOptions options, std::function<bool()> interrupted)
      : options_(std::move(options)), paths_(options_.folder), interrupted_(std::move(interrupted)) {}

  // The steps of a start, in the order in which they must be taken. Each returns what a user wants to know of it, or
  // UNAVAILABLE, with the end of its log, when a child fails.
  absl::Status MakeFolders();
  absl::StatusOr<std::string> StartControlPlane();
  absl::StatusOr<std::string> StartHosts();    // three of them, without models; they join two shards
  absl::StatusOr<std::string> PublishRules();  // returns when their models are loaded and tried, and they are in effect
  absl::StatusOr<std::string> StartProxy();    // returns when it is ready: it has the rules and answers

  const SystemPaths& paths() const { return paths_; }
  const std::string& control_address() const { return control_address_; }
  const std::string& proxy_address() const { return proxy_address_; }
  const std::string& admin_address() const { return admin_address_; }

  // OK while all run; otherwise how the first that does not has ended, with the end of its log.
  absl::Status Check();
  // Puts the decision log aside when it has grown large, so that a demo that runs for days fills no disk. What was put
  // aside before is gone then.
  absl::Status RotateDecisionLog();
  // In the order in which no request is lost: proxy, hosts, control plane. Each is asked, waited for, then killed.
  // Says which had to be killed.
  absl::Status Stop();

 private:
  absl::StatusOr<ChildProcess*> StartChild(const std::string& name, std::vector<std::string> arguments);
  absl::StatusOr<int> WaitForPort(ChildProcess& child, const std::string& port_file);
  absl::StatusOr<std::string> StartHost(const std::string& name, const std::string& shard);
  // A command that ends by itself; UNAVAILABLE with its output when it does not end well.
  absl::Status RunToEnd(const std::string& name, std::vector<std::string> arguments);
  absl::Status WaitUntilPlaced();
  absl::Status WaitUntilReady();
  std::string PortFile(const std::string& name) const { return paths_.ports + "/" + name; }

  const SystemOptions options_;
  const SystemPaths paths_;
  const std::function<bool()> interrupted_;
  std::vector<ChildProcess> children_;
  std::set<std::string> host_addresses_;
  std::string control_address_;
  std::string proxy_address_;
  std::string admin_address_;
};

}  // namespace signalbox::cli
