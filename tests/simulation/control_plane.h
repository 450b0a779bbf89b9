// A control plane of a run: the real rollout::Controller and the real composition, with simulated calls to the store
// and to hosts. What is here stands for the threads and connections of `signalbox control`.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/composition.h"
#include "control/data_plane_book.h"
#include "control/store_view.h"
#include "rollout/controller.h"
#include "tests/simulation/data_plane.h"
#include "tests/simulation/simulated_host.h"
#include "tests/simulation/stream.h"

namespace signalbox::simulation {

class ControlPlane {
 public:
  ControlPlane(World& world, std::string name);

  void Start();
  void Crash();
  // Stands still, as a process does on a machine that is out of memory or being moved.
  void Pause(int64_t ms);
  // Its wall clock is so much ahead of the steady one.
  void JumpClock(int64_t ms) { wall_ahead_ms_ += ms; }
  int64_t wall_ms() const;

  void Subscribe(const std::shared_ptr<Stream>& stream, const v1::SubscriberStatus& first);
  void OnReport(const std::shared_ptr<Stream>& stream, const v1::SubscriberStatus& report);
  void OnBroken(const Stream& stream);
  bool Has(const Stream& stream) const { return subscribers_.contains(stream.id); }
  // A hint: it may come late, twice or never.
  void OnStoreChanged();

  const std::string& name() const { return name_; }
  bool up() const { return up_; }
  bool leads() const;

 private:
  struct Subscriber {
    std::shared_ptr<Stream> stream;
    v1::SubscriberStatus status;
    int64_t sent_version = 0;
    std::string sent_hash;
    std::string withheld;
  };
  struct ProbedHost {
    rollout::ObservedHost host;
    bool resolved = false;  // a probe has come to an end
    bool under_way = false;
    int failures = 0;
    int64_t next_ms = 0;
  };

  void After(int64_t ms, std::function<void()> event);
  void Run(int life, std::function<void()> event);
  // A call to the store: `at_store` runs there, `done` here with whether it was answered.
  void CallStore(std::function<void()> at_store, std::function<void(bool answered)> done);
  void Tick();
  void Read();
  void OnRead(std::shared_ptr<const rollout::ObservedStore> observed, const std::vector<store::Record>& records,
              int64_t began_ms);
  void TakeLead();
  void RenewLead();
  void ProbeHosts();
  void Probe(const std::string& id, SimulatedHost& host);
  void OnProbe(const std::string& id, const SimulatedHost& host, bool answered,
               const SimulatedHost::ProbeAnswer& answer);
  void WantStep();
  void Step();
  rollout::Observation Observe();
  void Send(const rollout::HostCommand& command);
  void Write(store::Batch batch, int64_t observed_placement);
  void SendSnapshots();
  void SendSnapshot(Subscriber& subscriber);
  void HearDataPlanes();
  void WriteDataPlanes();
  // Whether it has not read the store for so long that it serves nobody.
  bool is_stale() const;
  void SendAllAway();

  World& world_;
  const std::string name_;
  bool up_ = false;
  int life_ = 0;
  int64_t wall_ahead_ms_ = 0;
  int64_t paused_until_ms_ = 0;
  std::deque<std::pair<int, std::function<void()>>> backlog_;

  std::unique_ptr<rollout::Controller> controller_;  // while this one leads
  int64_t controller_token_ = 0;                     // of the leadership that it was made for
  std::unique_ptr<control::Composition> composition_;
  std::unique_ptr<control::StoreView> view_;
  std::unique_ptr<control::DataPlaneBook> book_;
  int64_t composed_ms_ = -1;  // when the store was read for it last
  std::shared_ptr<const rollout::ObservedStore> observed_;
  int64_t read_began_ms_ = -1;  // of what `observed_` is from
  bool reading_ = false;
  bool read_again_ = false;

  std::optional<store::Fence> fence_;
  int64_t leads_until_ms_ = 0;
  int64_t renew_at_ms_ = 0;
  bool taking_lead_ = false;
  std::map<std::string, ProbedHost> hosts_;  // by id
  std::vector<rollout::CommandResult> results_;
  bool step_wanted_ = false;
  uint64_t step_timer_ = 0;
  std::optional<absl::Status> batch_status_;
  int64_t read_needed_from_ms_ = 0;  // what was read before is from before the last batch

  std::map<uint64_t, Subscriber> subscribers_;  // by stream
  bool writing_data_planes_ = false;
};

}  // namespace signalbox::simulation
