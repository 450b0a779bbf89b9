#include <csignal>

#include "cli/commands.h"

int main(int argc, char** argv) {
  // A limit on file sizes (ulimit -f) is an error to report, not a reason to die.
  signal(SIGXFSZ, SIG_IGN);
  CLI::App app{"signalbox: one routing API for model serving"};
  app.require_subcommand(1);
  app.set_version_flag("--version", SIGNALBOX_VERSION);
  signalbox::cli::Outcome outcome;
  signalbox::cli::AddControl(app, outcome);
  signalbox::cli::AddDemo(app, outcome);
  signalbox::cli::AddHost(app, outcome);
  signalbox::cli::AddProxy(app, outcome);
  signalbox::cli::AddResolve(app, outcome);
  signalbox::cli::AddRules(app, outcome);
  signalbox::cli::AddTraffic(app, outcome);
  signalbox::cli::AddTrain(app, outcome);

  CLI11_PARSE(app, argc, argv);
  return outcome.exit_code;
}
