// Every role of signalbox is a subcommand of one binary. Each function below adds one to `app`; when it is the one that
// was asked for, its callback runs it and stores the exit code.
#pragma once

#include "CLI/CLI.hpp"
#include "absl/status/status.h"

namespace signalbox::cli {

// 0 success; 1 the input was refused (rules with errors, an unknown version, ...); 2 the environment failed (a file
// that is not there or is none, a port, a store).
struct Outcome {
  int exit_code = 0;
};

// The one of an error, in every role. ABORTED: an expectation of the caller's does not hold.
inline int ExitCodeOf(const absl::Status& error) {
  return absl::IsInvalidArgument(error) || absl::IsAborted(error) ? 1 : 2;
}

// `audit`: who changed what and when.
void AddAudit(CLI::App& app, Outcome& outcome);  // audit_command.cc

// `control`: the control plane.
void AddControl(CLI::App& app, Outcome& outcome);  // control_command.cc

// `demo`: what `make run` starts.
void AddDemo(CLI::App& app, Outcome& outcome);  // demo_command.cc

// `host`: the reference model host.
void AddHost(CLI::App& app, Outcome& outcome);  // host_command.cc

// `placement show|explain|drain-shard|drain-host`: where models are.
void AddPlacement(CLI::App& app, Outcome& outcome);  // placement_command.cc
// `join`: somebody else's model host, registered with a control plane.
void AddJoin(CLI::App& app, Outcome& outcome);  // join_command.cc

// `proxy`: the in-path data plane.
void AddProxy(CLI::App& app, Outcome& outcome);  // proxy_command.cc

// `resolve`: decisions from rule files, explained or in bulk.
void AddResolve(CLI::App& app, Outcome& outcome);  // resolve_command.cc

// `rollout list|status|steps|cancel|promote|retry|pause|resume`: what becomes of published rules.
void AddRollout(CLI::App& app, Outcome& outcome);  // rollout_command.cc

// `rules` and `rules check`. Commands on published rule sets add themselves to the `rules` command there.
void AddRules(CLI::App& app, Outcome& outcome);  // rules_command.cc

// `send`: real requests through a proxy.
void AddSend(CLI::App& app, Outcome& outcome);  // send_command.cc

// `store copy`.
void AddStore(CLI::App& app, Outcome& outcome);  // store_command.cc

// `traffic show|set|pause|resume`: traffic shifts, moved beside the rules.
void AddTraffic(CLI::App& app, Outcome& outcome);  // traffic_command.cc

// `train`: the example models, from real data.
void AddTrain(CLI::App& app, Outcome& outcome);  // train_command.cc

}  // namespace signalbox::cli
