#include "base/child_process.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/file.h"
#include "base/status.h"
#include "base/test_folder.h"

namespace signalbox {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

class ChildProcessTest : public testing::Test {
 protected:
  ChildProcess Shell(const std::string& script) {
    auto child =
        ChildProcess::Start({.name = "shell", .command = {"/bin/sh", "-c", script}, .log_file = folder_.File("log")});
    EXPECT_TRUE(child.ok()) << child.status();
    return *std::move(child);
  }

  TestFolder folder_;
};

TEST_F(ChildProcessTest, WaitsForThePort) {
  const std::string file = folder_.File("port");
  ChildProcess child = Shell(fmt::format("echo 4711 > {}.new; mv {}.new {}; exec sleep 60", file, file, file));
  auto port = child.WaitForPort(file, seconds(20));
  ASSERT_TRUE(port.ok()) << port.status();
  EXPECT_EQ(*port, 4711);
  EXPECT_TRUE(child.Running());
}

TEST_F(ChildProcessTest, AnEarlyEndIsToldWithTheLogAndNotWaitedFor) {
  ChildProcess child = Shell("for i in $(seq 100); do echo line $i; done; echo no such placement >&2; exit 3");
  auto port = child.WaitForPort(folder_.File("port"), seconds(60));
  EXPECT_TRUE(absl::IsUnavailable(port.status()));
  EXPECT_THAT(std::string(Message(port.status())), HasSubstr("shell ended with exit code 3; the end of its log"));
  EXPECT_THAT(std::string(Message(port.status())), HasSubstr("  line 100\n  no such placement\n"));
  EXPECT_THAT(std::string(Message(port.status())), testing::Not(HasSubstr("line 80\n")));
}

TEST_F(ChildProcessTest, AChildThatNeverSaysItsPortIsReported) {
  ChildProcess child = Shell("echo still thinking; exec sleep 60");
  auto port = child.WaitForPort(folder_.File("port"), milliseconds(100));
  EXPECT_TRUE(absl::IsDeadlineExceeded(port.status())) << port.status();
}

TEST_F(ChildProcessTest, StopAsksFirst) {
  const std::string ready = folder_.File("ready");
  ChildProcess child =
      Shell(fmt::format("trap 'echo bye; exit 0' TERM; echo 1 > {}; while :; do sleep 0.01; done", ready));
  ASSERT_TRUE(child.WaitForPort(ready, seconds(20)).ok());
  EXPECT_TRUE(child.Stop(seconds(20)));
  EXPECT_EQ(child.exit_code(), 0);
  EXPECT_THAT(child.Report(), HasSubstr("bye"));
}

TEST_F(ChildProcessTest, WhoWasAskedToEndIsNotHurried) {
  const std::string ready = folder_.File("ready");
  const std::string asked = folder_.File("asked");
  const std::string gate = folder_.File("gate");
  ASSERT_EQ(mkfifo(gate.c_str(), 0600), 0);
  ChildProcess child =
      Shell(fmt::format("trap 'trap \"exit 9\" TERM; echo 1 > {}; read line < {}; exit 0' TERM; "
                        "echo 1 > {}; while :; do sleep 0.01; done",
                        asked, gate, ready));
  ASSERT_TRUE(child.WaitForPort(ready, seconds(20)).ok());
  child.AskToEnd();
  ASSERT_TRUE(child.WaitForPort(asked, seconds(20)).ok());
  child.AskToEnd();
  std::ofstream(gate) << "go\n";
  EXPECT_TRUE(child.Stop(seconds(20))) << child.Report();
}

TEST_F(ChildProcessTest, StopKillsWhoDoesNotListen) {
  const std::string ready = folder_.File("ready");
  ChildProcess child = Shell(fmt::format("trap '' TERM; echo 1 > {}; while :; do sleep 0.01; done", ready));
  ASSERT_TRUE(child.WaitForPort(ready, seconds(20)).ok());
  EXPECT_FALSE(child.Stop(milliseconds(50)));
  EXPECT_FALSE(child.Running());
  EXPECT_THAT(child.Report(), HasSubstr("ended by signal 9 (Killed)"));
}

TEST_F(ChildProcessTest, AProgramThatIsNotThereIsAnError) {
  auto child = ChildProcess::Start({.name = "x", .command = {folder_.File("absent")}, .log_file = folder_.File("log")});
  EXPECT_TRUE(absl::IsNotFound(child.status()));
  child = ChildProcess::Start({.name = "x", .command = {"/bin/true"}, .log_file = folder_.File("no/folder/log")});
  EXPECT_TRUE(absl::IsNotFound(child.status()));
}

TEST_F(ChildProcessTest, NoChildOutlivesAParentThatIsKilled) {
  const std::string file = folder_.File("pid");
  const pid_t parent = fork();
  if (parent == 0) {
    auto child = ChildProcess::Start({.name = "orphan",
                                      .command = {"/bin/sh", "-c", fmt::format("echo $$ > {}; exec sleep 60", file)},
                                      .log_file = folder_.File("log")});
    pause();
    _exit(0);
  }
  int orphan = 0;
  for (int i = 0; i < 4000 && orphan == 0; ++i) {
    if (auto text = ReadFile(file, 64); text.ok()) orphan = atoi(text->c_str());
    usleep(5000);
  }
  ASSERT_GT(orphan, 0);
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  // Init reaps it in its own time: a zombie is as good as gone.
  bool gone = false;
  for (int i = 0; i < 4000 && !gone; ++i) {
    auto stat = ReadFile(fmt::format("/proc/{}/stat", orphan), 4096);
    gone = !stat.ok() || stat->find(") Z") != std::string::npos || stat->empty();
    if (!gone) usleep(5000);
  }
  EXPECT_TRUE(gone) << "process " << orphan << " is still there";
}

}  // namespace
}  // namespace signalbox
