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
#include "store/store.h"
#include "store/test_etcd.h"
#include "tests/support/real_processes.h"

namespace signalbox {

class RolloutSystem : public testing::Test {
 protected:
  static constexpr char kTitles[] = "TitleRanking";
  static constexpr char kDelays[] = "ArrivalDelay";

  // What the fleet says of models: those of films on the shard films, those of flights on flights.
  virtual nlohmann::ordered_json Models() const;
  // Everything runs, rules with version 1 of all models are in effect at both proxies, and traffic flows through both.
  void SetUp() override;
  // Says at the end of every test how many requests there were and which failed; where the test has failed, or
  // SIGNALBOX_TEST_LOGS is set, also what the processes logged.
  void TearDown() override;

  // Processes, by name: "control-a", "control-b"; "films-1", "films-2", "flights-1", "flights-2"; "proxy-1" and
  // "proxy-2", which is of the scope region=eu. A restarted one has the port that it had.
  void Start(const std::string& name);
  void Kill(const std::string& name);
  int Port(const std::string& name) const { return ports_.at(name); }

  // `signalbox COMMAND --store ...`; with " --namespace demo" where the command is of a namespace.
  CommandResult Run(const std::string& command);
  CommandResult RunOnRules(const std::string& command);

  // Rules by which `titles` ranks films for both Objectives of films; flights stay with version 1 of their model.
  std::string WriteRules(const std::string& titles);
  // The files' version.
  int64_t Publish(const std::string& titles);
  // Exit code 0, or the test has failed.
  void ExpectRolledOut();

  // The name of the control plane that leads, "" while none does.
  std::string Leader() const;
  // Waits until a control plane other than `but` leads.
  void WaitForLeader(const std::string& but);
  // Addresses by which the placement lists hosts of a shard.
  std::set<std::string> Listed(const std::string& shard) const;
  void WaitUntilListed(const std::string& host, bool listed);

  struct Running {
    int64_t version = 0;
    std::string hash;
  };
  // What a proxy says that it runs.
  Running RunningAt(const std::string& proxy) const;
  void WaitUntilBothRun(int64_t version);
  // Waits until answers to requests that were sent from now on come from `model` alone.
  void WaitForTitles(const std::string& model);
  bool TitlesFrom(const std::string& proxy, const std::string& model);
  // Whether the newest answer that a proxy brings to a request for films is of `model`.
  bool RunsTitles(const std::string& proxy, const std::string& model);
  // Of every host, the models that it has and how it says they are.
  std::map<std::string, std::string> ModelStates() const;
  // The shard that the placement gives a model; "" for none, or several.
  std::string ShardOf(const std::string& model) const;
  void StartTraffic(const std::string& proxy);
  void EndTraffic(const std::string& proxy);

  // Since the last call, or the start, of both proxies together: fails when more than `allowed` failed. Returns how
  // many did.
  uint64_t ExpectNoFailures(const std::string& what, uint64_t allowed = 0);
  // At least so many answers to requests that were sent after now, at each proxy.
  void AwaitAnswers(uint64_t answers, const std::vector<std::string>& proxies = {"proxy-1", "proxy-2"});

  TestFolder folder_;
  std::unique_ptr<store::TestEtcd> etcd_;
  std::string store_spec_;
  std::unique_ptr<store::Store> store_;
  std::map<std::string, ChildProcess> processes_;
  std::map<std::string, std::unique_ptr<cli::TrafficSender>> senders_;

 private:
  std::vector<std::string> Arguments(const std::string& name) const;

  std::map<std::string, int> ports_;  // by name, and "proxy-1-admin"
  std::map<std::string, cli::TrafficReport> checked_;
};

}  // namespace signalbox
