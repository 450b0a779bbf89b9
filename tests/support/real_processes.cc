#include "tests/support/real_processes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/file.h"
#include "base/test_folder.h"

namespace signalbox {
namespace {

constexpr std::chrono::milliseconds kPollInterval{5};
constexpr size_t kOutputBytesMax = 64U << 20;

// With spaces between arguments; empty when the process is gone or a zombie. Files in /proc have no size to check.
std::string CommandLine(const std::filesystem::path& process) {
  std::ifstream file(process / "cmdline", std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

}  // namespace

std::string SignalboxProgram() { return SIGNALBOX_PROGRAM; }

ChildProcess StartShell(const std::string& command, const std::string& log_file) {
  auto child =
      ChildProcess::Start({.name = "shell",
                           .command = {"/bin/sh", "-c", fmt::format("cd '{}' && {}", SIGNALBOX_SOURCE_DIR, command)},
                           .log_file = log_file});
  if (!child.ok()) ADD_FAILURE() << child.status();
  return *std::move(child);
}

CommandResult RunShell(const std::string& command) {
  TestFolder folder;
  ChildProcess child = StartShell(command, folder.File("output"));
  if (!child.WaitForEnd(kPatience)) ADD_FAILURE() << command << "\n" << child.Report();
  auto output = ReadFile(folder.File("output"), kOutputBytesMax);
  return {.exit_code = child.exit_code().value_or(-1), .output = output.ok() ? *output : output.status().ToString()};
}

bool WaitUntil(const std::function<bool()>& condition) {
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= give_up) return false;
    std::this_thread::sleep_for(kPollInterval);
  }
  return true;
}

std::vector<pid_t> ProcessesWith(const std::string& text) { return ProcessesWith(text, ""); }

std::vector<pid_t> ProcessesWith(const std::string& text, const std::string& other) {
  std::vector<pid_t> found;
  std::error_code error;
  for (std::filesystem::directory_iterator process("/proc", error), end; !error && process != end;
       process.increment(error)) {
    const std::string name = process->path().filename().string();
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc() || pid == getpid()) continue;
    const std::string command = CommandLine(process->path());
    if (command.find(text) != std::string::npos && command.find(other) != std::string::npos) found.push_back(pid);
  }
  return found;
}

}  // namespace signalbox
