// `top`: a live view of what proxies do. Not in commands.h, which all commands are compiled with, so that who works on
// this one waits for this one.
#pragma once

#include "cli/commands.h"

namespace signalbox::cli {

void AddTop(CLI::App& app, Outcome& outcome);

}  // namespace signalbox::cli
