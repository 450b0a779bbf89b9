// Loads, dry runs and unloads: what the calls of each are, and what its result is.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "fleet/host_connection.h"
#include "fleet/host_index.h"
#include "rollout/observation.h"

namespace signalbox::fleet {

// What a command needs of its host. On the loop's thread.
class CommandHost {
 public:
  virtual ~CommandHost() = default;

  virtual HostConnection& connection() = 0;
  virtual CallLoop& loop() = 0;
  // Of the process that answers now, as far as is known.
  virtual std::string instance() const = 0;
  // Numbers of calls for the index: what was asked for later is newer.
  virtual uint64_t NextIndexNumber() = 0;
  // An answer to a call of that number, which all who look at the host see from now on, unless they know a newer one.
  virtual absl::StatusOr<HostIndex> TakeIndex(uint64_t number,
                                              const HostAnswer<inference::RepositoryIndexResponse>& answer) = 0;
  // Of the load report of an answer, if it had one.
  virtual void NoteSaturation(const std::optional<double>& saturation) = 0;
  // The model is without a version: it is to be in the index from now on.
  virtual void WantBareName(const std::string& name) = 0;
  // Ends and destroys the run.
  virtual void Finish(rollout::CommandResult result) = 0;
};

// One command from its first call to its result. On the loop's thread; destroyed at any time, it does nothing more.
class CommandRun {
 public:
  virtual ~CommandRun() = default;
  // CommandHost::Finish may be called before it returns.
  virtual void Start() = 0;
};

std::unique_ptr<CommandRun> MakeCommandRun(CommandHost& host, rollout::HostCommand command);

// Of a command that was not begun, or not finished.
rollout::CommandResult ResultOf(const rollout::HostCommand& command, absl::Status status);

// "host films-1 (10.0.0.7:8001): load of ranker@3".
std::string CommandText(const rollout::HostCommand& command);

}  // namespace signalbox::fleet
