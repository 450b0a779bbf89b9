// What loads, dry runs and unloads have in common. Inner part of command_run.h.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "fleet/command_run.h"

namespace signalbox::fleet {

// Each step ends with a call of the next, or with Done, after which the run does not exist any more.
class CommandSteps : public CommandRun {
 public:
  CommandSteps(CommandHost& host, rollout::HostCommand command, std::chrono::milliseconds timeout_default);

 protected:
  void Done(absl::Status status, double seconds = 0, std::string note = "");
  // Why it is not done, with the host, the command and the reason.
  void Fail(absl::StatusCode code, std::string_view reason);
  // What a call ended with that was expected to work. `call`: "RepositoryIndex".
  void FailOfCall(std::string_view call, const grpc::Status& status);

  // Ends the run when the command is for another life of the host than the one that answers, or when its time is over.
  // True: go on.
  bool MayGoOn();
  // The host is another process, or its connection was lost, since the run began.
  bool LostHost() const;

  void AskForIndex(std::function<void(const HostIndex&)> next);
  // Whether the host loads and unloads single versions (host_extensions.h); others do so by name and policy.
  void AskForExtensions(std::function<void(bool single_versions)> next);

  std::chrono::milliseconds time_left() const;
  // Of a call that should be quick.
  std::chrono::milliseconds short_timeout() const;

  CommandHost& host_;
  const rollout::HostCommand command_;
  const std::string name_;     // of the model
  const std::string version_;  // empty: the host's choice
  const std::chrono::milliseconds timeout_;

 private:
  const std::chrono::steady_clock::time_point deadline_;
  const uint64_t losses_at_start_;
};

std::unique_ptr<CommandRun> MakeLoadRun(CommandHost& host, rollout::HostCommand command);
std::unique_ptr<CommandRun> MakeDryRun(CommandHost& host, rollout::HostCommand command);
std::unique_ptr<CommandRun> MakeUnloadRun(CommandHost& host, rollout::HostCommand command);

}  // namespace signalbox::fleet
