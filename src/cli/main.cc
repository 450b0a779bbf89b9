#include <csignal>
#include <cstdio>
#include <exception>

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
  signalbox::cli::AddSend(app, outcome);
  signalbox::cli::AddTraffic(app, outcome);
  signalbox::cli::AddTrain(app, outcome);

  try {
    app.parse(argc, argv);
    return std::fflush(stdout) == 0 ? outcome.exit_code : 2;
  } catch (const CLI::ParseError& error) {
    // CLI11 has a number above 100 for each kind of mistake; ours are in commands.h.
    return app.exit(error) == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    // What is thrown by libraries, for example by fmt when standard output is a full disk.
    std::fprintf(stderr, "signalbox: %s\n", error.what());
    return 2;
  }
}
