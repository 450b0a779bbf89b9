// One host: its probes, what they have shown, and the commands under way. Inner part of fleet.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "fleet/command_run.h"
#include "fleet/fleet.h"

namespace signalbox::fleet {

// On the loop's thread. After its destruction it calls nobody.
class WatchedHost : private CommandHost {
 public:
  struct Listener {
    // observed() is another one. Its saturation alone is no news.
    std::function<void(const WatchedHost&, bool is_news)> seen;
    std::function<void(rollout::CommandResult)> done;
  };

  WatchedHost(CallLoop& loop, KnownHost known, const FleetOptions& options, std::string unstated_instance,
              std::mt19937_64& random, Listener listener);

  const KnownHost& known() const { return known_; }
  const rollout::ObservedHost& observed() const { return observed_; }

  // The same host, at the same address.
  void Update(KnownHost known);
  void Execute(rollout::HostCommand command);
  // Ends everything, with results for the commands under way. All that may follow is its destruction.
  void Retire();

 private:
  struct Probe {
    uint64_t number = 0;
    uint64_t losses = 0;
    int answers_missing = 0;
    HostAnswer<inference::ServerReadyResponse> ready;
    HostAnswer<inference::RepositoryIndexResponse> index;
  };

  void Describe(KnownHost known);
  void BeginProbe();
  void EndProbe();
  void JudgeProbe();
  void Succeed();
  // `is_certain`: no second look is needed.
  void Fail(std::string trouble, bool is_certain);
  void FailOfCall(const char* call, const grpc::Status& status);
  void ScheduleProbe();
  void OnLost();
  // Tells the listener when it is true.
  void Publish(bool changed);
  std::string InstanceOf(const std::string& stated) const;

  // CommandHost
  HostConnection& connection() override { return *connection_; }
  CallLoop& loop() override { return loop_; }
  std::string instance() const override { return InstanceOf(stated_instance_); }
  uint64_t NextIndexNumber() override { return ++index_numbers_; }
  absl::StatusOr<HostIndex> TakeIndex(uint64_t number,
                                      const HostAnswer<inference::RepositoryIndexResponse>& answer) override;
  void NoteSaturation(const std::optional<double>& saturation) override;
  void WantBareName(const std::string& name) override { bare_names_.insert(name); }
  void Finish(rollout::CommandResult result) override;

  CallLoop& loop_;
  KnownHost known_;
  const FleetOptions& options_;
  const std::string unstated_instance_;
  std::mt19937_64& random_;
  const Listener listener_;
  rollout::ObservedHost observed_;

  Probe probe_;
  bool probing_ = false;
  int failures_ = 0;   // in a row
  int successes_ = 0;  // in a row
  bool was_away_ = false;
  std::string stated_instance_;
  uint64_t index_numbers_ = 0;
  uint64_t index_number_ = 0;  // of the newest answer that was taken
  std::set<std::string> bare_names_;
  std::chrono::steady_clock::time_point reported_at_;  // the last load report

  std::unique_ptr<HostConnection> connection_;
  Timer next_probe_;
  std::map<std::string, std::unique_ptr<CommandRun>> runs_;  // by model
  std::map<std::string, rollout::HostCommand> commands_;     // those of runs_
};

}  // namespace signalbox::fleet
