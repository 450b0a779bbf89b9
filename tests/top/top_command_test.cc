// `signalbox top` beside proxies under load: as a script runs it, and in a terminal. Real processes, real clients.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "base/file.h"
#include "base/test_folder.h"
#include "tests/support/echo_host.h"
#include "tests/support/raw_http2.h"
#include "tests/support/real_processes.h"

namespace signalbox {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A proxy with a host of its own, and a client that never stops asking.
class LoadedProxy {
 public:
  explicit LoadedProxy(TestFolder& folder, const std::string& name) {
    const std::string rules = folder.File(name + ".js");
    const std::string placement = folder.File(name + ".json");
    EXPECT_TRUE(WriteFileAtomically(rules,
                                    "export default [{objective: Objectives.Ranking, defaultModel: {name: "
                                    "'ranker', version: 1}}];\n")
                    .ok());
    EXPECT_TRUE(
        WriteFileAtomically(
            placement, fmt::format(R"({{"shards": {{"s": ["{}"]}}, "models": {{"ranker": ["s"]}}}})", host_.address()))
            .ok());
    auto process = ChildProcess::Start(
        {.name = name,
         .command = {SignalboxProgram(), "proxy", "--workers", "1", "--listen", "127.0.0.1:0", "--port-file",
                     folder.File(name + ".port"), "--admin", "127.0.0.1:0", "--admin-port-file",
                     folder.File(name + ".admin"), "--rules", rules, "--placement", placement},
         .log_file = folder.File(name + ".log")});
    EXPECT_TRUE(process.ok()) << process.status();
    process_.emplace(*std::move(process));
    admin_ = fmt::format("127.0.0.1:{}", process_->WaitForPort(folder.File(name + ".admin"), kPatience).value_or(1));
    const int port = process_->WaitForPort(folder.File(name + ".port"), kPatience).value_or(1);
    client_ = std::thread([this, port] {
      testing::EchoClient client(port);
      const testing::CallOptions options{.headers = {{"sb-objective", "Ranking"}}};
      // The first failure is the end of the proxy.
      while (!is_over_ && client.Unary("/acme.Ranker/Rank", "x", options).status.ok()) {
      }
    });
  }
  ~LoadedProxy() {
    is_over_ = true;
    client_.join();
  }

  const std::string& admin() const { return admin_; }
  void Kill() { process_->Signal(SIGKILL); }

 private:
  testing::EchoHost host_;
  std::optional<ChildProcess> process_;
  std::string admin_;
  std::atomic<bool> is_over_{false};
  std::thread client_;
};

// The program in a terminal of its own.
class TopInTerminal {
 public:
  explicit TopInTerminal(const std::vector<std::string>& arguments,
                         const std::vector<std::string>& more_environment = {}) {
    std::vector<std::string> words = {SignalboxProgram(), "top"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<std::string> environment = {"TERM=xterm", "PATH=/usr/bin:/bin"};
    environment.insert(environment.end(), more_environment.begin(), more_environment.end());
    const auto pointers = [](std::vector<std::string>& texts) {
      std::vector<char*> all;
      for (std::string& text : texts) all.push_back(text.data());
      all.push_back(nullptr);
      return all;
    };
    const std::vector<char*> argv = pointers(words);
    const std::vector<char*> envp = pointers(environment);
    winsize size{.ws_row = 30, .ws_col = 150, .ws_xpixel = 0, .ws_ypixel = 0};
    // Opened here, so that what it was before can be told; the program's end stays open for the same at the end.
    EXPECT_EQ(openpty(&terminal_, &far_end_, nullptr, nullptr, &size), 0);
    fcntl(terminal_, F_SETFD, FD_CLOEXEC);
    tcgetattr(far_end_, &before_);
    process_ = fork();
    if (process_ == 0) {
      login_tty(far_end_);
      execve(argv[0], argv.data(), envp.data());
      _exit(127);
    }
    fcntl(terminal_, F_SETFL, O_NONBLOCK);
  }
  ~TopInTerminal() {
    if (!exit_code_) {
      kill(process_, SIGKILL);
      waitpid(process_, nullptr, 0);
    }
    close(terminal_);
    close(far_end_);
  }

  // What is drawn from now on has `text`.
  bool Shows(const std::string& text) {
    Drain();
    output_.clear();
    return WaitUntil([&] {
      Drain();
      return output_.find(text) != std::string::npos;
    });
  }
  void Type(std::string_view keys) {
    EXPECT_EQ(write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  void Resize(unsigned short columns, unsigned short rows) {
    const winsize size{.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    ioctl(terminal_, TIOCSWINSZ, &size);
  }
  void Signal(int signal) { kill(process_, signal); }
  bool Echoes() const {
    termios now{};
    tcgetattr(far_end_, &now);
    return (now.c_lflag & ECHO) != 0;
  }
  bool IsAsBefore() const {
    termios now{};
    tcgetattr(far_end_, &now);
    return now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag && now.c_oflag == before_.c_oflag;
  }
  bool IsStopped() {
    int status = 0;
    return waitpid(process_, &status, WNOHANG | WUNTRACED) == process_ && WIFSTOPPED(status);
  }
  // -1 when it does not end, or a signal ended it.
  int ExitCode() {
    WaitUntil([&] {
      Drain();  // it may wait for room to write
      int status = 0;
      if (waitpid(process_, &status, WNOHANG) != process_) return false;
      exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
      return true;
    });
    Drain();
    return exit_code_.value_or(-1);
  }
  const std::string& output() const { return output_; }

 private:
  void Drain() {
    char bytes[4096];
    for (ssize_t count; (count = read(terminal_, bytes, sizeof(bytes))) > 0;)
      output_.append(bytes, static_cast<size_t>(count));
  }

  int terminal_ = -1;
  int far_end_ = -1;
  pid_t process_ = -1;
  termios before_ = {};
  std::string output_;
  std::optional<int> exit_code_;
};

class TopCommand : public ::testing::Test {
 protected:
  static CommandResult Run(const std::string& arguments) {
    return RunShell(fmt::format("timeout 60 '{}' top {}", SignalboxProgram(), arguments));
  }

  TestFolder folder_;
};

TEST_F(TopCommand, SumsProxiesUnderLoadAndSaysWhichDoesNotAnswer) {
  LoadedProxy one(folder_, "one");
  LoadedProxy two(folder_, "two");
  const std::string both = fmt::format("{},{}", one.admin(), two.admin());
  const CommandResult samples = Run(fmt::format("--admin {} --count 2 --interval 1 --json", both));
  ASSERT_EQ(samples.exit_code, 0) << samples.output;
  EXPECT_EQ(std::count(samples.output.begin(), samples.output.end(), '\n'), 2) << samples.output;
  const auto json = nlohmann::json::parse(samples.output.substr(0, samples.output.find('\n')), nullptr, false);
  ASSERT_TRUE(json.is_object()) << samples.output;
  EXPECT_TRUE(json["proxies"][0]["ok"] && json["proxies"][1]["ok"]);
  ASSERT_EQ(json["objectives"].size(), 1U) << samples.output;
  const auto& objective = json["objectives"][0];
  EXPECT_EQ(objective["objective"], "Ranking");
  EXPECT_GT(objective["requests_per_second"], 0);
  EXPECT_EQ(objective["share"], 1);
  EXPECT_GT(objective["p99_seconds"], 0);
  EXPECT_EQ(objective["errors_per_second"], 0);
  ASSERT_EQ(objective["models"].size(), 1U);
  EXPECT_EQ(objective["models"][0]["model"], "ranker@1");
  EXPECT_EQ(objective["models"][0]["requests_per_second"], objective["requests_per_second"]);

  two.Kill();
  const CommandResult table = Run(fmt::format("--admin {} --once --interval 0.2", both));
  EXPECT_EQ(table.exit_code, 0) << table.output;
  EXPECT_THAT(
      table.output,
      AllOf(HasSubstr("1 of 2 proxies"), HasSubstr("OBJECTIVE"), HasSubstr("\nRanking"), HasSubstr("\n  ranker@1"),
            HasSubstr(fmt::format("proxy {} does not answer", two.admin())), Not(HasSubstr("\x1b"))));
}

TEST_F(TopCommand, SaysWhatIsWrongWithAPageOrAnAddress) {
  const auto answering = [](std::string head, std::string again) {
    return [head, again](int socket) {
      char request[4096];
      if (recv(socket, request, sizeof(request), 0) <= 0) return;
      send(socket, head.data(), head.size(), MSG_NOSIGNAL);
      while (!again.empty() && send(socket, again.data(), again.size(), MSG_NOSIGNAL) > 0) {
      }
    };
  };
  const std::string ok = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
  const struct {
    std::string head;
    std::string again;
    std::string said;
  } table[] = {
      {ok + "<html>\x1b[2J\n", "", "line 1:1: expected the name of a metric, there is '<html>\\x1b[2J'"},
      {ok + "signalbox_requests_total{objective=\"A\"} 1\nsignalbox_requests_total{objective=\"A} 2\n", "", "line 2:"},
      {ok, std::string(4096, 'a'), "line 1: has more than 64 KiB"},
      {ok + "up 1\n", "", "has no signalbox_requests_total"},
      {"HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\nnothing here\n", "", "HTTP status 404"},
      {"\x1b]0;title\r\n\r\n", "", "does not answer"},
  };
  for (const auto& server : table) {
    testing::RawListener listener(answering(server.head, server.again));
    const CommandResult result = Run(fmt::format("--admin {} --once --interval 0.1", listener.address()));
    EXPECT_EQ(result.exit_code, 2) << result.output;
    EXPECT_THAT(result.output, AllOf(HasSubstr(server.said), Not(HasSubstr("\x1b"))));
  }
  testing::RawListener silent([](int socket) { testing::ReadToEnd(socket); });
  EXPECT_THAT(Run(fmt::format("--admin {} --once --interval 0.1", silent.address())).output, HasSubstr("within 2 s"));

  const std::pair<std::string, int> options[] = {
      {fmt::format("--once --admin 127.0.0.1:{}", testing::UnusedPort()), 2},
      {fmt::format("--once --json --admin 127.0.0.1:{}", testing::UnusedPort()), 2},
      {"--once --admin nonsense", 1},
      {"--once --admin 127.0.0.1:1,127.0.0.1:1", 1},
      {"--once --count 2", 1},
      {"--once --interval 0", 1},
      {"--once --sort nonsense", 1},
  };
  for (const auto& [arguments, code] : options) EXPECT_EQ(Run(arguments).exit_code, code) << arguments;
}

TEST_F(TopCommand, InATerminalItFollowsKeysAndTheWindowAndLeavesAllAsItWas) {
  LoadedProxy proxy(folder_, "one");
  TopInTerminal top({"--admin", proxy.admin(), "--interval", "0.2"});
  ASSERT_TRUE(top.Shows("ranker@1")) << top.output();
  EXPECT_FALSE(top.Echoes());
  EXPECT_THAT(top.output(), HasSubstr("\x1b[1m")) << "colours";
  EXPECT_TRUE(top.Shows("disagree"));
  top.Type("s");
  EXPECT_TRUE(top.Shows("s sort: p99"));
  top.Type("o");
  EXPECT_TRUE(top.Shows("o Objective: Ranking"));
  top.Type("\x1b[B\x1b[A");
  top.Resize(40, 10);
  ASSERT_TRUE(top.Shows("p99\x1b[0m\r")) << "what does not fit is left out";
  ASSERT_TRUE(top.Shows("p99\x1b[0m\r"));
  EXPECT_THAT(top.output(), Not(HasSubstr("disagree")));

  top.Signal(SIGTSTP);
  EXPECT_TRUE(WaitUntil([&] { return top.IsStopped(); }));
  EXPECT_TRUE(top.IsAsBefore()) << "while it is stopped";
  top.Signal(SIGCONT);
  EXPECT_TRUE(top.Shows("ranker@1"));
  EXPECT_FALSE(top.Echoes());

  top.Type("q");
  EXPECT_EQ(top.ExitCode(), 0);
  EXPECT_TRUE(top.IsAsBefore());
  EXPECT_TRUE(top.output().ends_with("\x1b[?25h\x1b[?1049l")) << "the cursor and the other screen";
}

TEST_F(TopCommand, InATerminalItGoesOnWithoutAProxyAndCtrlCEndsIt) {
  LoadedProxy proxy(folder_, "one");
  TopInTerminal top({"--admin", proxy.admin(), "--interval", "0.2"}, {"NO_COLOR=1"});
  ASSERT_TRUE(top.Shows("ranker@1")) << top.output();
  EXPECT_THAT(top.output(), AllOf(Not(HasSubstr("\x1b[1m")), Not(HasSubstr("\x1b[7m"))));
  proxy.Kill();
  EXPECT_TRUE(top.Shows("does not answer since"));
  EXPECT_TRUE(top.Shows("does not answer since")) << "it goes on";
  top.Type("\x03");
  EXPECT_EQ(top.ExitCode(), 0);
  EXPECT_TRUE(top.IsAsBefore());
}

}  // namespace
}  // namespace signalbox
