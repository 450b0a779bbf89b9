#include "base/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/file.h"
#include "base/status.h"

namespace signalbox {
namespace {

using Clock = std::chrono::steady_clock;

// A port file is looked for this often: short against any start, and no work worth naming.
constexpr std::chrono::milliseconds kPortFileInterval{5};
constexpr size_t kPortFileBytesMax = 64;
constexpr size_t kLogBytesMax = 64U << 20;
constexpr size_t kReportLines = 12;
// What a shell gives for a program that cannot be run.
constexpr int kCannotRun = 127;

// Between fork and exec only async-signal-safe calls are allowed: another thread may have held any lock.
[[noreturn]] void BecomeChild(char* const* arguments, int log, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before the line above; then nobody would ever kill this process.
  if (getppid() != parent) _exit(kCannotRun);
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  execv(arguments[0], arguments);
  const char* reason = strerrordesc_np(errno);
  (void)!write(STDERR_FILENO, arguments[0], strlen(arguments[0]));
  (void)!write(STDERR_FILENO, ": ", 2);
  (void)!write(STDERR_FILENO, reason, strlen(reason));
  (void)!write(STDERR_FILENO, "\n", 1);
  _exit(kCannotRun);
}

std::string LastLines(const std::string& path, size_t count) {
  absl::StatusOr<std::string> log = ReadFile(path, kLogBytesMax);
  if (!log.ok()) return fmt::format("  {}\n", Message(log.status()));
  if (log->empty()) return "  (it said nothing)\n";
  if (log->back() != '\n') log->push_back('\n');
  size_t begin = 0;
  size_t newline = log->size() - 1;
  for (size_t lines = 0; lines < count && newline != std::string::npos; ++lines) {
    newline = newline == 0 ? std::string::npos : log->rfind('\n', newline - 1);
    begin = newline == std::string::npos ? 0 : newline + 1;
  }
  std::string result;
  for (size_t at = begin; at < log->size();) {
    const size_t end = log->find('\n', at);
    result += fmt::format("  {}\n", std::string_view(*log).substr(at, end - at));
    at = end + 1;
  }
  return result;
}

}  // namespace

absl::StatusOr<ChildProcess> ChildProcess::Start(ChildOptions options) {
  if (access(options.command.front().c_str(), X_OK) != 0) {
    return absl::NotFoundError(
        fmt::format("{}: cannot run {}: {}", options.name, options.command.front(), strerrordesc_np(errno)));
  }
  const int log = open(options.log_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) {
    return absl::NotFoundError(
        fmt::format("{}: cannot write {}: {}", options.name, options.log_file, strerrordesc_np(errno)));
  }
  std::vector<char*> arguments;
  for (std::string& argument : options.command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);

  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) BecomeChild(arguments.data(), log, parent);
  const int error = errno;
  close(log);
  if (pid < 0)
    return absl::UnavailableError(fmt::format("{}: cannot start a process: {}", options.name, strerrordesc_np(error)));
  const int pid_fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  return ChildProcess(std::move(options), pid, pid_fd);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : options_(std::move(other.options_)),
      pid_(std::exchange(other.pid_, -1)),
      pid_fd_(std::exchange(other.pid_fd_, -1)),
      was_asked_to_end_(other.was_asked_to_end_),
      wait_status_(other.wait_status_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  ChildProcess old(std::move(*this));
  options_ = std::move(other.options_);
  pid_ = std::exchange(other.pid_, -1);
  pid_fd_ = std::exchange(other.pid_fd_, -1);
  was_asked_to_end_ = other.was_asked_to_end_;
  wait_status_ = other.wait_status_;
  return *this;
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  Signal(SIGKILL);
  if (!wait_status_) waitpid(pid_, nullptr, 0);
  if (pid_fd_ >= 0) close(pid_fd_);
}

bool ChildProcess::Running() {
  if (pid_ < 0 || wait_status_) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  wait_status_ = status;
  return false;
}

bool ChildProcess::WaitForEnd(std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  while (Running()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    pollfd end{.fd = pid_fd_, .events = POLLIN, .revents = 0};
    poll(&end, 1, static_cast<int>(left.count()) + 1);
  }
  return true;
}

absl::StatusOr<int> ChildProcess::WaitForPort(const std::string& port_file, std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  while (true) {
    // Before the file: what wrote it and ended at once is not something to connect to.
    if (!Running()) return absl::UnavailableError(Report());
    if (absl::StatusOr<std::string> text = ReadFile(port_file, kPortFileBytesMax); text.ok()) {
      int port = 0;
      std::from_chars(text->data(), text->data() + text->size(), port);
      if (port > 0) return port;
    }
    if (Clock::now() >= deadline) {
      return absl::DeadlineExceededError(fmt::format("{} did not write {} within {} ms; the end of its log, {}:\n{}",
                                                     options_.name, port_file, timeout.count(), options_.log_file,
                                                     LastLines(options_.log_file, kReportLines)));
    }
    WaitForEnd(kPortFileInterval);
  }
}

void ChildProcess::AskToEnd() {
  if (!std::exchange(was_asked_to_end_, true)) Signal(SIGTERM);
}

bool ChildProcess::Stop(std::chrono::milliseconds grace) {
  AskToEnd();
  if (!WaitForEnd(grace)) {
    Signal(SIGKILL);
    // The kernel ends it as soon as it leaves the kernel; longer than this is a disk that hangs.
    WaitForEnd(std::chrono::seconds(10));
  }
  return exit_code() == 0;
}

void ChildProcess::Signal(int signal) {
  if (Running()) kill(pid_, signal);
}

std::optional<int> ChildProcess::exit_code() const {
  if (!wait_status_ || !WIFEXITED(*wait_status_)) return std::nullopt;
  return WEXITSTATUS(*wait_status_);
}

std::string ChildProcess::Report() const {
  std::string how = "is running";
  if (wait_status_ && WIFEXITED(*wait_status_))
    how = fmt::format("ended with exit code {}", WEXITSTATUS(*wait_status_));
  if (wait_status_ && WIFSIGNALED(*wait_status_)) {
    how = fmt::format("was ended by signal {} ({})", WTERMSIG(*wait_status_), sigdescr_np(WTERMSIG(*wait_status_)));
  }
  return fmt::format("{} {}; the end of its log, {}:\n{}", options_.name, how, options_.log_file,
                     LastLines(options_.log_file, kReportLines));
}

}  // namespace signalbox
