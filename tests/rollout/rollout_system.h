// A managed fleet on three members of etcd under live traffic: two control planes, four hosts in two shards, two
// proxies, each a process, for tests that kill some of them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/child_process.h"
#include "base/test_folder.h"
#include "cli/send/traffic_sender.h"
#include "signalbox/v1/rollout.pb.h"
#include "store/store.h"
#include "store/test_etcd.h"
#include "tests/support/real_processes.h"
#include "tests/support/separate_machines.h"

namespace signalbox {

struct RolloutSystemOptions {
  // What the fleet says of models: those of films on the shard films, those of flights on flights.
  nlohmann::ordered_json models = {{"title-ranker", {{"shards", {"films"}}}},
                                   {"arrival-delay", {{"shards", {"flights"}}}}};
  // Shards beside films and flights.
  nlohmann::ordered_json more_shards = nlohmann::ordered_json::object();
  // Not empty: a model that rules name as well, in the version that they name of title-ranker; nobody asks for it.
  std::string companion = {};
  std::vector<std::string> control_arguments = {};
  // Where processes run, by their names and "etcd-0" to "etcd-2"; must outlive the system. Left out: all here.
  SeparateMachines* machines = nullptr;
};

class RolloutSystem {
 public:
  static constexpr char kTitles[] = "TitleRanking";
  static constexpr char kDelays[] = "ArrivalDelay";

  explicit RolloutSystem(RolloutSystemOptions options = {});
  // Stops traffic. Says how many requests there were and which failed.
  ~RolloutSystem();
  RolloutSystem(const RolloutSystem&) = delete;
  RolloutSystem& operator=(const RolloutSystem&) = delete;

  // Afterwards everything runs, rules with version 1 of all models are in effect at both proxies, and traffic flows
  // through both.
  void StartAll();
  // The same, from whatever a test has left: what was killed is started. The versions that data planes run never went
  // back until here, or the test has failed.
  void Restore();
  // What the processes logged, where the test has failed or SIGNALBOX_TEST_LOGS is set.
  void PrintLogsOfAFailure() const;

  // Processes, by name: "control-a", "control-b"; "films-1", "films-2", "flights-1", "flights-2"; "proxy-1" and
  // "proxy-2", which is of the scope region=eu. A restarted one has the port that it had.
  void Start(const std::string& name);
  void Kill(const std::string& name);
  // HOST:PORT; of a proxy's admin port "proxy-1-admin".
  std::string Address(const std::string& name) const;

  // `signalbox COMMAND --store ...`; with " --namespace demo" where the command is of a namespace.
  CommandResult Run(const std::string& command);
  CommandResult RunOnRules(const std::string& command);

  // Rules by which `titles` ranks films for both Objectives of films; flights stay with version 1 of their model.
  std::string WriteRules(const std::string& titles);
  // The files' version.
  int64_t Publish(const std::string& titles);
  // Exit code 0, or the test has failed.
  void ExpectRolledOut();
  // How far the newest rollout is.
  v1::Rollout Rollout() const;

  // The name of the control plane that leads, "" while none does.
  std::string Leader() const;
  static std::string OtherThan(const std::string& control) {
    return control == "control-a" ? "control-b" : "control-a";
  }
  // The newest sequence of the store, 0 when it does not answer.
  int64_t Sequence() const;
  // Who wrote what runs, or where models are, in versions after `sequence`.
  std::set<std::string> LeadersThatWroteAfter(int64_t sequence) const;
  // How often rules of that version came into effect everywhere.
  int ActivationsOf(int64_t rules_version) const;
  // Waits until a control plane other than `but` leads.
  void WaitForLeader(const std::string& but);
  // Addresses by which the placement lists hosts of a shard.
  std::set<std::string> Listed(const std::string& shard) const;
  void WaitUntilListed(const std::string& host, bool listed);

  struct Running {
    int64_t version = 0;
    std::string hash = {};
  };
  // What a proxy says that it runs.
  Running RunningAt(const std::string& proxy) const;
  void WaitUntilBothRun(int64_t version);
  // Waits until answers to requests that were sent from now on come from `model` alone.
  void WaitForTitles(const std::string& model);
  bool TitlesFrom(const std::string& proxy, const std::string& model);
  // Whether the newest answer that a proxy brings to a request for films is of `model`.
  bool RunsTitles(const std::string& proxy, const std::string& model);
  // The models that a host has and how it says they are: "title-ranker@1 READY".
  std::set<std::string> ModelStatesAt(const std::string& address) const;
  // Of every host.
  std::map<std::string, std::set<std::string>> ModelStates() const;
  // The shard that the placement gives a model; "" for none, or several.
  std::string ShardOf(const std::string& model) const;
  void StartTraffic(const std::string& proxy);
  void EndTraffic(const std::string& proxy);

  // Since the last call, or the start, of both proxies together: fails when more than `allowed` failed. Returns how
  // many did.
  uint64_t ExpectNoFailures(const std::string& what, uint64_t allowed = 0);
  // At least so many answers to requests that were sent after now, at each proxy.
  void AwaitAnswers(uint64_t answers, const std::vector<std::string>& proxies = {"proxy-1", "proxy-2"});

  const std::string& store_spec() const { return store_spec_; }
  const std::string& folder() const { return folder_.path(); }
  store::Store& store() { return *store_; }
  store::TestEtcd& etcd() { return *etcd_; }
  ChildProcess& process(const std::string& name) { return processes_.at(name); }

 private:
  // Looks at what proxies run all the time, on a thread of its own.
  class VersionGuard;

  std::string MachineOf(const std::string& name) const;
  std::vector<std::string> Arguments(const std::string& name) const;
  void WaitUntilAllListed();

  const RolloutSystemOptions options_;
  TestFolder folder_;
  std::unique_ptr<store::TestEtcd> etcd_;
  std::string store_spec_;
  std::unique_ptr<store::Store> store_;
  std::map<std::string, ChildProcess> processes_;
  std::map<std::string, std::unique_ptr<cli::TrafficSender>> senders_;
  std::map<std::string, int> ports_;  // by name, and "proxy-1-admin"
  std::map<std::string, cli::TrafficReport> checked_;
  std::string titles_;  // of the rules that were written last
  std::unique_ptr<VersionGuard> guard_;
};

}  // namespace signalbox
