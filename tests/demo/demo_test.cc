// What a newcomer sees, from `signalbox demo` to Ctrl-C, with the real binary.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "base/test_folder.h"
#include "tests/support/real_processes.h"

namespace signalbox {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class DemoTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(std::filesystem::exists(SIGNALBOX_SOURCE_DIR "/node_modules/vega-datasets/data/movies.json"))
        << "the data is not there: run scripts/setup, which installs the npm packages";
  }
  void TearDown() override {
    for (pid_t pid : ProcessesWith(dir_)) kill(pid, SIGKILL);
  }

  // `exec`, so that the shell's process becomes the demo and gets its signals.
  ChildProcess StartDemo(const std::string& flags = "") {
    return StartShell(fmt::format("exec {} demo --dir {} {}", SignalboxProgram(), dir_, flags), log_);
  }

  std::string Log() const {
    auto text = ReadFile(log_, 16 << 20);
    return text.ok() ? *text : "";
  }

  // Until it has printed what to try; traffic runs from then on.
  bool WaitForHints(ChildProcess& demo) {
    return WaitUntil([&] { return !demo.Running() || Log().find("Ctrl-C ends the demo") != std::string::npos; }) &&
           demo.Running();
  }

  bool AllGone() const {
    return WaitUntil([&] { return ProcessesWith(dir_).empty(); });
  }

  TestFolder folder_;
  const std::string dir_ = folder_.File("demo");
  const std::string log_ = folder_.File("log");
};

// The lines that are indented by four spaces, as Hints prints them.
std::vector<std::string> PrintedCommands(const std::string& log) {
  std::vector<std::string> commands;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("    ") && line[4] != ' ') commands.push_back(line.substr(4));
  }
  return commands;
}

TEST_F(DemoTest, AnswersEveryRequestAndLeavesNothingBehind) {
  ChildProcess demo = StartDemo("--duration 6 --rate 100");
  ASSERT_TRUE(demo.WaitForEnd(kPatience)) << demo.Report();
  EXPECT_EQ(demo.exit_code(), 0) << Log();
  for (const char* text : {"5 versions trained on 3200 films", "TitleRanking", "HomePageRanking", "ArrivalDelay",
                           "title-ranker@1", "title-ranker@2", "title-ranker@3", "arrival-delay@1", " 0 failed"}) {
    EXPECT_THAT(Log(), HasSubstr(text));
  }
  EXPECT_THAT(Log(), Not(HasSubstr("\033["))) << "control sequences are for terminals";
  EXPECT_THAT(ProcessesWith(dir_), IsEmpty());

  // The second time: what was trained is there, and a decision log that has grown large is put aside.
  const std::string decisions = dir_ + "/decisions.jsonl";
  std::filesystem::resize_file(decisions, 65U << 20);
  ChildProcess again = StartDemo("--duration 3 --rate 100");
  ASSERT_TRUE(again.WaitForEnd(kPatience)) << again.Report();
  EXPECT_EQ(again.exit_code(), 0) << Log();
  EXPECT_THAT(Log(), HasSubstr("trained before"));
  EXPECT_EQ(std::filesystem::file_size(decisions + ".1") >> 20, 65U);
  EXPECT_GT(std::filesystem::file_size(decisions), 0U);
  EXPECT_LT(std::filesystem::file_size(decisions), 1U << 20);
}

TEST_F(DemoTest, ThePrintedCommandsWorkAndCtrlCStopsEverything) {
  ChildProcess demo = StartDemo("--rate 100");
  ASSERT_TRUE(WaitForHints(demo)) << Log();
  const std::vector<std::string> commands = PrintedCommands(Log());
  ASSERT_GE(commands.size(), 5U) << Log();
  for (const std::string& command : commands) {
    const CommandResult result = RunShell(command);
    EXPECT_EQ(result.exit_code, 0) << command << "\n" << result.output;
    EXPECT_THAT(result.output, Not(IsEmpty())) << command;
  }

  const CommandResult second = RunShell(fmt::format("{} demo --dir {}", SignalboxProgram(), dir_));
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_THAT(second.output, HasSubstr("already: stop that one, or give this one another folder with --dir"));

  demo.Signal(SIGINT);
  ASSERT_TRUE(demo.WaitForEnd(kPatience)) << demo.Report();
  EXPECT_EQ(demo.exit_code(), 0) << Log();
  EXPECT_THAT(Log(), HasSubstr(" 0 failed"));
  EXPECT_THAT(ProcessesWith(dir_), IsEmpty());
}

TEST_F(DemoTest, AProcessThatDiesIsReportedWithTheEndOfItsLog) {
  ChildProcess demo = StartDemo("--rate 50");
  ASSERT_TRUE(WaitForHints(demo)) << Log();
  const std::vector<pid_t> proxy = ProcessesWith(dir_, " proxy ");
  ASSERT_EQ(proxy.size(), 1U);
  kill(proxy[0], SIGKILL);
  ASSERT_TRUE(demo.WaitForEnd(kPatience)) << demo.Report();
  EXPECT_EQ(demo.exit_code(), 2);
  EXPECT_THAT(Log(), HasSubstr("proxy was ended by signal 9 (Killed); the end of its log"));
  EXPECT_THAT(ProcessesWith(dir_), IsEmpty());
}

TEST_F(DemoTest, NothingOutlivesADemoThatIsKilled) {
  ChildProcess demo = StartDemo("--rate 50");
  ASSERT_TRUE(WaitForHints(demo)) << Log();
  EXPECT_GE(ProcessesWith(dir_).size(), 6U) << "the demo, three hosts, control plane and proxy";
  demo.Signal(SIGKILL);
  EXPECT_TRUE(AllGone()) << ProcessesWith(dir_).size() << " processes are left";
}

TEST_F(DemoTest, CtrlCWhileItStartsIsNoError) {
  ChildProcess demo = StartDemo();
  ASSERT_TRUE(WaitUntil([&] { return Log().find("signalbox demo: three model hosts") != std::string::npos; })) << Log();
  demo.Signal(SIGINT);
  ASSERT_TRUE(demo.WaitForEnd(kPatience)) << demo.Report();
  EXPECT_EQ(demo.exit_code(), 0) << Log();
  EXPECT_THAT(ProcessesWith(dir_), IsEmpty());
}

TEST_F(DemoTest, WhatIsMissingIsSaid) {
  CommandResult result = RunShell(fmt::format("{} demo --dir {} --data /nowhere", SignalboxProgram(), dir_));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.output, HasSubstr("npm ci"));
  result = RunShell(fmt::format("{} demo --dir {} --rules /nowhere", SignalboxProgram(), dir_));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.output, HasSubstr("list /nowhere: No such file or directory"));
  EXPECT_THAT(ProcessesWith(dir_), IsEmpty());
}

}  // namespace
}  // namespace signalbox
