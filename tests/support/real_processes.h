// For whole-system tests: the binary itself, run as a user runs it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/child_process.h"

namespace signalbox {

// build/release/signalbox, or that of the preset which is tested.
std::string SignalboxProgram();

// What a start, or anything else that is waited for, may take on a machine that is busy with other tests.
inline constexpr std::chrono::seconds kPatience{120};

// A shell command as pasted in the repository's root folder. The test has failed when it cannot be started or takes
// longer than kPatience.
struct CommandResult {
  int exit_code = -1;
  std::string output;  // standard output and error
};
CommandResult RunShell(const std::string& command);

// The same, in the background.
ChildProcess StartShell(const std::string& command, const std::string& log_file);

// True as soon as `condition` is; false after kPatience.
bool WaitUntil(const std::function<bool()>& condition);

// Processes, other than this one, that have `text` in their command line: with the name of a test's temporary folder,
// those that the test has started.
std::vector<pid_t> ProcessesWith(const std::string& text);
// The same, with both texts.
std::vector<pid_t> ProcessesWith(const std::string& text, const std::string& other);

}  // namespace signalbox
