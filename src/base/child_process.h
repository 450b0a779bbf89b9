// Child processes that cannot outlive their parent, and what they said when they failed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace signalbox {

struct ChildOptions {
  std::string name;                  // for messages: "proxy"
  std::vector<std::string> command;  // the program's path, then its arguments; no shell
  std::string log_file;              // its standard output and error; replaced
};

// One child. Not thread-safe.
//
// The kernel kills it when the thread that started it ends, for whatever reason (PR_SET_PDEATHSIG): start children from
// a thread that lives as long as they should, such as the main one. It is in a process group of its own, so that a
// Ctrl-C at the terminal reaches the parent alone, which then decides the order in which things stop.
class ChildProcess {
 public:
  // NOT_FOUND and the like when the log file cannot be written or the program cannot be run.
  static absl::StatusOr<ChildProcess> Start(ChildOptions options);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();  // kills it, if it runs, and waits for its end

  const std::string& name() const { return options_.name; }
  pid_t pid() const { return pid_; }

  // Whether it runs now.
  bool Running();
  // True when it has ended by itself or by a signal within `timeout`.
  bool WaitForEnd(std::chrono::milliseconds timeout);

  // Waits for the child to write a port number to `port_file`, which must not exist when it starts. UNAVAILABLE, with
  // the end of its log, when it ends before that; DEADLINE_EXCEEDED when it takes longer than `timeout`.
  absl::StatusOr<int> WaitForPort(const std::string& port_file, std::chrono::milliseconds timeout);

  // SIGTERM, the first time it is called: to many programs, ours among them, a second one means "at once".
  void AskToEnd();
  // AskToEnd, then SIGKILL after `grace`. True when it ended by itself with exit code 0.
  bool Stop(std::chrono::milliseconds grace);
  // Any signal, as in a test that pulls the plug. Nothing when it has ended.
  void Signal(int signal);

  // The exit code; nothing while it runs and when a signal ended it.
  std::optional<int> exit_code() const;
  // "proxy ended with exit code 2; the end of its log, .demo/proxy.log:\n  ..."
  std::string Report() const;

 private:
  ChildProcess(ChildOptions options, pid_t pid, int pid_fd)
      : options_(std::move(options)), pid_(pid), pid_fd_(pid_fd) {}

  ChildOptions options_;
  pid_t pid_ = -1;
  int pid_fd_ = -1;
  bool was_asked_to_end_ = false;
  std::optional<int> wait_status_;  // of waitpid, once it has ended
};

}  // namespace signalbox
