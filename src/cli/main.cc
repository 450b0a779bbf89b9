#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string_view>

#include "cli/commands.h"
#include "cli/published_rules.h"
#include "cli/top_command.h"

namespace {

// Options that cannot be understood are no reason for a program to get something else than what it asked for.
bool WantsJson(int argc, char** argv) {
  return std::any_of(argv, argv + argc, [](const char* argument) { return std::string_view(argument) == "--json"; });
}

}  // namespace

int main(int argc, char** argv) {
  // A limit on file sizes (ulimit -f) is an error to report, not a reason to die.
  signal(SIGXFSZ, SIG_IGN);
  CLI::App app{"signalbox: one routing API for model serving"};
  app.require_subcommand(1);
  app.set_version_flag("--version", SIGNALBOX_VERSION);
  signalbox::cli::Outcome outcome;
  signalbox::cli::AddAudit(app, outcome);
  signalbox::cli::AddControl(app, outcome);
  signalbox::cli::AddDemo(app, outcome);
  signalbox::cli::AddHost(app, outcome);
  signalbox::cli::AddPlacement(app, outcome);
  signalbox::cli::AddJoin(app, outcome);
  signalbox::cli::AddProxy(app, outcome);
  signalbox::cli::AddResolve(app, outcome);
  signalbox::cli::AddRollout(app, outcome);
  signalbox::cli::AddRules(app, outcome);
  signalbox::cli::AddSend(app, outcome);
  signalbox::cli::AddStore(app, outcome);
  signalbox::cli::AddTop(app, outcome);
  signalbox::cli::AddTraffic(app, outcome);
  signalbox::cli::AddTrain(app, outcome);

  try {
    app.parse(argc, argv);
    return std::fflush(stdout) == 0 ? outcome.exit_code : 2;
  } catch (const CLI::ParseError& error) {
    if (WantsJson(argc, argv) && error.get_exit_code() != 0) {
      std::printf("%s\n",
                  signalbox::cli::Dump(signalbox::cli::ErrorJson(absl::InvalidArgumentError(error.what()))).c_str());
      return 1;
    }
    // CLI11 has a number above 100 for each kind of mistake; ours are in commands.h.
    return app.exit(error) == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    // What is thrown by libraries, for example by fmt when standard output is a full disk.
    std::fprintf(stderr, "signalbox: %s\n", error.what());
    return 2;
  }
}
