#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "base/file.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/stop_signal.h"
#include "host/host.h"

namespace signalbox::cli {
namespace {

// Requests take milliseconds; what is left after this is a client that does not read.
constexpr std::chrono::seconds kStopGrace{10};
constexpr std::chrono::milliseconds kStopCheckInterval{50};

struct HostCommand {
  host::HostOptions host;
  std::string port_file;
};

absl::Status Run(const HostCommand& command) {
  StopSignal stop;  // before the first thread starts: threads inherit what is blocked
  ASSIGN_OR_RETURN(std::unique_ptr<host::Host> host, host::Host::Start(command.host));
  std::optional<host::LoadResult> loaded;
  while (!(loaded = host->WaitUntilLoaded(kStopCheckInterval))) {
    if (!stop.WaitFor(std::chrono::nanoseconds(0))) continue;
    fmt::print("stopping: not all models were loaded\n");
    host->Stop(kStopGrace);
    return absl::OkStatus();
  }
  for (const std::string& failure : loaded->failures) fmt::print(stderr, "signalbox host: not loaded: {}\n", failure);
  if (!loaded->ready) {
    return absl::FailedPreconditionError(
        fmt::format("{}: no model could be loaded; `--load none` starts a host without any", command.host.repository));
  }
  if (!command.port_file.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(command.port_file, fmt::format("{}\n", host->port())));
  }
  fmt::print("listening on {}\n", host->address());
  std::fflush(stdout);

  stop.Wait();
  fmt::print("stopping: no new requests, waiting for those in flight\n");
  std::fflush(stdout);
  host->Stop(kStopGrace);
  return absl::OkStatus();
}

}  // namespace

void AddHost(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<HostCommand>();
  CLI::App* command = app.add_subcommand("host", "Serve models from a repository over the Open Inference Protocol");
  command->add_option("--repository", options->host.repository, "Model repository, as `signalbox train` writes it")
      ->required();
  command->add_option("--listen", options->host.listen, "HOST:PORT; port 0 takes a free one")->required();
  command->add_option("--port-file", options->port_file, "Write the bound port here once the models are loaded");
  command->add_option("--load", options->host.load, "What to load at the start: all, none, or name[@version],...")
      ->delimiter(',')
      ->default_str("all");
  command->callback([options, &outcome] {
    if (absl::Status status = Run(*options); !status.ok()) {
      fmt::print(stderr, "signalbox host: {}\n", Message(status));
      outcome.exit_code = ExitCodeOf(status);
    }
  });
}

}  // namespace signalbox::cli
