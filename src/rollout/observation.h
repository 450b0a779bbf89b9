// What the controller is told of the world, and what it answers: the boundary between what decides about rollouts and
// everything that can fail. Plain data.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "signalbox/v1/fleet.pb.h"
#include "signalbox/v1/rollout.pb.h"
#include "signalbox/v1/rules.pb.h"
#include "signalbox/v1/snapshot.pb.h"
#include "store/store.h"

namespace signalbox::rollout {

// The newest version of a topic that can be read. Content that cannot is held back at an older one, and is not here.
template <typename Message>
struct Topic {
  int64_t version = 0;  // 0: there is none
  int64_t sequence = 0;
  std::string author;
  std::shared_ptr<const Message> content;
  int64_t rollback_of = 0;  // the version whose content this one restored; 0 when it is no rollback
};

struct ObservedNamespace {
  Topic<v1::RuleSet> rules;  // what should run
  // The version that `release` pins, where it pins one other than `rules`. Version 0: it cannot be read.
  Topic<v1::RuleSet> pinned;
  Topic<v1::ReleasePlan> release;
  std::map<std::string, Topic<v1::ActiveRules>> active;  // by scope; "" is everywhere
  std::optional<store::Record> rollout;                  // v1::Rollouts, serialised
};

// What is in the store, all of one moment.
struct ObservedStore {
  int64_t sequence = 0;
  Topic<v1::Fleet> fleet;
  Topic<v1::Drains> drains;
  Topic<v1::Placement> placement;
  std::map<std::string, ObservedNamespace> namespaces;
};

enum class ModelState { kAbsent, kLoading, kReady, kUnavailable };

struct ObservedModel {
  ModelState state = ModelState::kAbsent;
  std::string reason;
};

// One host as its last probe saw it. Every host that is known is told from the first observation on: one that was not
// probed yet is not alive, without a trouble; the placement stays as it is for it until more is known. One that is not
// told is gone.
struct ObservedHost {
  std::string id;
  std::string address;
  std::string shard;
  uint64_t memory_bytes = 0;  // 0: as the shard says
  double cores = 0;
  // Changes when the process does. Two lives of a host never have the same.
  std::string instance;
  // It answers, and says that it is ready. What follows is of the last probe that succeeded.
  bool alive = false;
  std::string trouble;                         // why it is not
  std::map<std::string, ObservedModel> index;  // by model id; what is not there is absent
  double saturation = -1;                      // 0 to 1 and above, from load reports; below 0: not known
};

enum class CommandKind { kLoad, kDryRun, kUnload };

// To one host, about one model. At most one of a (host, model) is under way at a time.
struct HostCommand {
  CommandKind kind = CommandKind::kLoad;
  std::string host;
  std::string instance;  // as observed: a command to an earlier life is void
  std::string address;
  std::string model;  // id
  v1::FleetModel declared;
  std::chrono::milliseconds timeout{0};
};

struct CommandResult {
  CommandKind kind = CommandKind::kLoad;
  std::string host;
  std::string instance;
  std::string model;
  absl::Status status;
  // Of a dry run that was answered: how long the model took.
  double seconds = 0;
  std::string note;  // what is worth telling although it is OK: no sample request
  // False: the host was never asked, because the leadership was not sure any more. No attempt: it is chosen again.
  bool begun = true;
};

struct Observation {
  int64_t now_unix_ms = 0;  // for what is written down and for schedules; may jump
  int64_t steady_ms = 0;    // for timeouts; never goes back
  std::string node_id;      // of this control plane
  // Of its leadership. nullopt: another one leads, and nothing is to be done.
  std::optional<store::Fence> leadership;
  std::shared_ptr<const ObservedStore> store;
  std::vector<ObservedHost> hosts;  // each id once, sorted
  // Two hosts with one id, and the like. `hosts` has the one that was there first: otherwise anybody could take a host
  // out of use by its name.
  std::vector<std::string> host_troubles;
  // Of all control planes, each node once, as it was last heard of. Not `connected` where the control plane that said
  // so is gone.
  std::vector<v1::DataPlane> data_planes;
  std::vector<CommandResult> results;  // since the last step
  // What came of the batch of the last step that had one. nullopt: not known yet, and no other batch is wanted.
  std::optional<absl::Status> batch_status;
};

struct Step {
  // To be begun only while the leadership is surely held still: hosts know no fence. Whatever becomes of the batch:
  // each is under way until there is a result of it.
  std::vector<HostCommand> commands;
  // To be written with the leader's fence. The next step's observation has been read after it, or says that it failed.
  std::optional<store::Batch> batch;
  // What operators should read now: one sentence each, said once.
  std::vector<std::string> log;
  // When to step again though nothing changes.
  std::chrono::milliseconds wake_after{1000};
};

}  // namespace signalbox::rollout
