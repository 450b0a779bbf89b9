// A model host of a run, with everything that hosts do to those who rely on them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "rollout/observation.h"

namespace signalbox::simulation {

class World;

// How a model behaves on every host.
struct ModelNature {
  enum class Trouble { kNone, kLoadFails, kSlowLoad, kWrongAnswer, kCrashesOnSample, kTooLarge };
  uint64_t memory_bytes = 1;
  int64_t load_ms = 100;
  Trouble trouble = Trouble::kNone;
  std::vector<std::string> depends_on;
  bool can_run() const { return trouble == Trouble::kNone; }
};
using Catalog = std::map<std::string, ModelNature>;  // by model id

// A sample that no model answers as it should: whoever declared it has made a mistake.
inline constexpr char kWrongSample[] = "{\"id\": \"wrong\"}";

class SimulatedHost {
 public:
  SimulatedHost(World& world, std::string id, std::string address, std::string shard, uint64_t memory_bytes);

  struct ProbeAnswer {
    std::string instance;
    std::map<std::string, rollout::ObservedModel> index;
  };
  ProbeAnswer AnswerProbe() const;
  // `done` is called when the host answers, which it does not after a crash.
  using Done = std::function<void(absl::Status, double seconds)>;
  void Execute(const rollout::HostCommand& command, const Done& done);

  void Start();
  void Crash();
  // The model is gone; a host that lies goes on saying READY.
  void LoseModel(const std::string& model, bool lies);
  // Says READY to every load and loads nothing.
  void set_lying(bool lying) { lying_ = lying; }
  void set_slowness(int64_t factor) { slowness_ = factor; }
  void Heal();

  const std::string& id() const { return id_; }
  const std::string& address() const { return address_; }
  const std::string& shard() const { return shard_; }
  uint64_t memory_bytes() const { return memory_bytes_; }
  bool up() const { return up_; }
  const std::string& instance() const { return instance_; }

  // What is true of a model, whoever believes what.
  struct Truth {
    bool loaded = false;
    bool validated = false;  // and a dry run was answered well since it was loaded
    bool ever_validated = false;
    int64_t loaded_ms = 0;
    // Of the last time that a validated one went.
    int64_t lost_ms = -1;
    bool lost_by_command = false;
    bool detectable = true;  // the index shows that it is gone
  };
  Truth TruthOf(const std::string& model) const;
  std::vector<std::string> LoadedModels() const;

 private:
  struct Held {
    bool loading = false;
    bool loaded = false;
    bool claimed = false;  // READY in the index
    uint64_t load = 0;     // which one, so that one that was broken off does not end
    std::vector<Done> waiting;
  };
  void Load(const rollout::HostCommand& command, const Done& done);
  void FinishLoad(const std::string& model, uint64_t load, const absl::Status& status);
  void DryRun(const rollout::HostCommand& command, const Done& done);
  void Unload(const rollout::HostCommand& command, const Done& done);
  void Lose(const std::string& model, bool by_command, bool detectable);
  uint64_t FreeBytes() const;
  void After(int64_t ms, std::function<void()> event);

  World& world_;
  const std::string id_;
  const std::string address_;
  const std::string shard_;
  const uint64_t memory_bytes_;
  bool up_ = false;
  bool lying_ = false;
  int64_t slowness_ = 1;
  int life_ = 0;
  uint64_t loads_ = 0;
  std::string instance_;
  std::map<std::string, Held> models_;
  std::map<std::string, Truth> truths_;
};

}  // namespace signalbox::simulation
