// What to try while the demo runs, as commands for a shell in the folder in which the demo was started.
#pragma once

#include <string>

#include "cli/demo/demo_system.h"

namespace signalbox::cli {

struct HintOptions {
  std::string program;       // as a shell finds it: build/release/signalbox
  std::string rules_folder;  // examples/rules/demo
  // Rule files beside it, one each for a percentage: examples/rules/demo-canary/10-percent.js
  std::string canary_folder;
};

// A heading, then each suggestion on a line of its own, and its command, indented by four spaces, on the next.
std::string Hints(const HintOptions& options, const DemoSystem& system);

}  // namespace signalbox::cli
