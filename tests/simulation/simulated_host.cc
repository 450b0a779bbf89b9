#include "tests/simulation/simulated_host.h"

#include <fmt/format.h>

#include <utility>

#include "tests/simulation/world.h"

namespace signalbox::simulation {

using rollout::CommandKind;
using rollout::HostCommand;
using rollout::ModelState;
using Trouble = ModelNature::Trouble;

SimulatedHost::SimulatedHost(World& world, std::string id, std::string address, std::string shard,
                             uint64_t memory_bytes)
    : world_(world),
      id_(std::move(id)),
      address_(std::move(address)),
      shard_(std::move(shard)),
      memory_bytes_(memory_bytes) {}

void SimulatedHost::Start() {
  if (up_) return;
  up_ = true;
  ++life_;
  instance_ = fmt::format("{}#{}", address_, life_);
  world_.trace.Say(address_, "starts as {}", instance_);
}

void SimulatedHost::Crash() {
  if (!up_) return;
  world_.trace.Say(address_, "crashes");
  up_ = false;
  ++life_;
  for (const auto& [model, held] : models_) Lose(model, false, true);
  models_.clear();
  lying_ = false;
}

void SimulatedHost::Heal() {
  lying_ = false;
  slowness_ = 1;
  // What it lied about it admits now.
  for (auto& [model, held] : models_) {
    if (!held.loaded && held.claimed) held.claimed = false;
  }
}

void SimulatedHost::Lose(const std::string& model, bool by_command, bool detectable) {
  Truth& truth = truths_[model];
  if (truth.validated) {
    truth.lost_ms = world_.schedule.now_ms();
    truth.lost_by_command = by_command;
    truth.detectable = detectable;
  }
  truth.loaded = truth.validated = false;
}

void SimulatedHost::LoseModel(const std::string& model, bool lies) {
  const auto held = models_.find(model);
  if (held == models_.end() || !held->second.loaded) return;
  world_.trace.Say(address_, "loses {}{}", model, lies ? " and does not say so" : "");
  Lose(model, false, !lies);
  held->second.loaded = false;
  held->second.claimed = lies;
}

SimulatedHost::ProbeAnswer SimulatedHost::AnswerProbe() const {
  ProbeAnswer answer{instance_, {}};
  for (const auto& [model, held] : models_) {
    if (held.claimed) {
      answer.index[model] = {ModelState::kReady, ""};
    } else if (held.loading) {
      answer.index[model] = {ModelState::kLoading, ""};
    } else {
      answer.index[model] = {ModelState::kUnavailable, "it was lost"};
    }
  }
  return answer;
}

void SimulatedHost::Execute(const HostCommand& command, const Done& done) {
  switch (command.kind) {
    case CommandKind::kLoad:
      return Load(command, done);
    case CommandKind::kDryRun:
      return DryRun(command, done);
    case CommandKind::kUnload:
      return Unload(command, done);
  }
}

// An event of this life of the host.
void SimulatedHost::After(int64_t ms, std::function<void()> event) {
  world_.schedule.After(ms, [this, life = life_, event = std::move(event)] {
    if (life == life_) event();
  });
}

uint64_t SimulatedHost::FreeBytes() const {
  uint64_t used = 0;
  for (const auto& [model, held] : models_) {
    if (held.loaded || held.loading) used += world_.catalog[model].memory_bytes;
  }
  return used >= memory_bytes_ ? 0 : memory_bytes_ - used;
}

void SimulatedHost::Load(const HostCommand& command, const Done& done) {
  const ModelNature& nature = world_.catalog[command.model];
  Held& held = models_[command.model];
  if (held.loading) {
    held.waiting.push_back(done);
    return;
  }
  if (held.loaded) return done(absl::OkStatus(), 0);
  if (lying_) {
    held.claimed = true;
    return done(absl::OkStatus(), 0);
  }
  if (nature.memory_bytes > FreeBytes()) {
    models_.erase(command.model);
    return done(absl::ResourceExhaustedError("out of memory"), 0);
  }
  for (const std::string& needed : nature.depends_on) {
    if (!TruthOf(needed).loaded) {
      models_.erase(command.model);
      return done(absl::FailedPreconditionError(fmt::format("needs {}, which is not loaded", needed)), 0);
    }
  }
  held.loading = true;
  held.claimed = false;
  held.load = ++loads_;
  held.waiting.push_back(done);
  const int64_t load_ms = nature.load_ms * slowness_ * (nature.trouble == Trouble::kSlowLoad ? 1000 : 1);
  After(load_ms, [this, model = command.model, load = held.load, fails = nature.trouble == Trouble::kLoadFails] {
    FinishLoad(model, load, fails ? absl::InternalError("the model's file is damaged") : absl::OkStatus());
  });
}

void SimulatedHost::FinishLoad(const std::string& model, uint64_t load, const absl::Status& status) {
  const auto found = models_.find(model);
  if (found == models_.end() || !found->second.loading || found->second.load != load) return;
  Held& held = found->second;
  const std::vector<Done> waiting = std::exchange(held.waiting, {});
  held.loading = false;
  held.loaded = held.claimed = status.ok();
  truths_[model].loaded = status.ok();
  truths_[model].loaded_ms = world_.schedule.now_ms();
  world_.trace.Say(address_, "load of {}: {}", model, status.ok() ? "READY" : "failed");
  if (!status.ok()) models_.erase(model);
  for (const Done& done : waiting) done(status, 0);
}

void SimulatedHost::DryRun(const HostCommand& command, const Done& done) {
  const ModelNature& nature = world_.catalog[command.model];
  const Truth truth = TruthOf(command.model);
  if (!truth.loaded) return done(absl::NotFoundError("the model is not loaded"), 0);
  if (nature.trouble == Trouble::kCrashesOnSample) {
    Crash();
    return After(world_.random.Between(500, 3000), [this] { Start(); });
  }
  if (nature.trouble == Trouble::kWrongAnswer) {
    return done(absl::FailedPreconditionError("output 'scores' is missing in the answer"), 0);
  }
  if (command.declared.sample_request() == kWrongSample) {
    world_.trace.Say(address_, "refuses the sample of {}", command.model);
    return done(absl::InvalidArgumentError("an input has a wrong datatype"), 0);
  }
  truths_[command.model].validated = truths_[command.model].ever_validated = true;
  world_.trace.Say(address_, "answers the sample of {}", command.model);
  done(absl::OkStatus(), 0.002);
}

void SimulatedHost::Unload(const HostCommand& command, const Done& done) {
  const auto held = models_.find(command.model);
  if (held == models_.end()) return done(absl::OkStatus(), 0);
  world_.trace.Say(address_, "unloads {}", command.model);
  if (TruthOf(command.model).validated) world_.truth.BeforeUnload(*this, command.model);
  Lose(command.model, true, true);
  const std::vector<Done> waiting = std::exchange(held->second.waiting, {});
  models_.erase(held);
  for (const Done& broken_off : waiting) broken_off(absl::CancelledError("unloaded meanwhile"), 0);
  done(absl::OkStatus(), 0);
}

SimulatedHost::Truth SimulatedHost::TruthOf(const std::string& model) const {
  const auto truth = truths_.find(model);
  return truth == truths_.end() ? Truth{} : truth->second;
}

std::vector<std::string> SimulatedHost::LoadedModels() const {
  std::vector<std::string> loaded;
  for (const auto& [model, held] : models_) {
    if (held.loaded) loaded.push_back(model);
  }
  return loaded;
}

}  // namespace signalbox::simulation
