// Every role tells what was refused (1) from what its surroundings could not give (2).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/test_folder.h"
#include "tests/support/real_processes.h"

namespace signalbox {
namespace {

using ::testing::HasSubstr;

class ExitCodes : public testing::Test {
 protected:
  ExitCodes() {
    EXPECT_TRUE(WriteFileAtomically(folder_.File("good.js"), kRules).ok());
    EXPECT_TRUE(WriteFileAtomically(folder_.File("good.json"), R"({"shards": {}, "models": {}})").ok());
    EXPECT_TRUE(WriteFileAtomically(folder_.File("broken"), "{").ok());
    EXPECT_TRUE(WriteFileAtomically(folder_.File("big"), "").ok());
    std::filesystem::resize_file(folder_.File("big"), size_t{100} << 20);
  }

  CommandResult Run(const std::string& arguments) {
    // None of these may run on: what should have failed and did not is ended.
    return RunShell(fmt::format("cd '{}' && timeout 20 '{}' {}", folder_.path(), SignalboxProgram(), arguments));
  }

  static constexpr char kRules[] =
      "export default [{objective: Objectives.Ranking, defaultModel: {name: 'ranker'}}];\n";
  TestFolder folder_;
};

// The commands that read a file, with FILE where its name goes.
const char* const kReadRules[] = {
    "rules check FILE",
    "rules publish FILE --store sqlite:store.db",
    "resolve --rules FILE --objective Ranking",
    "proxy --listen 127.0.0.1:0 --rules FILE --placement good.json",
};
const char* const kReadPlacement[] = {
    "resolve --rules good.js --placement FILE --objective Ranking",
    "proxy --listen 127.0.0.1:0 --rules good.js --placement FILE",
    "control --listen 127.0.0.1:0 --store sqlite:other.db --placement FILE",
};

std::string With(std::string command, const std::string& file) {
  return command.replace(command.find("FILE"), 4, file);
}

TEST_F(ExitCodes, WhatAFileSaysIsRefusedAndAFileThatIsNotThereIsTroubleWithTheSurroundings) {
  for (const auto& commands : {std::vector(std::begin(kReadRules), std::end(kReadRules)),
                               std::vector(std::begin(kReadPlacement), std::end(kReadPlacement))}) {
    for (const std::string command : commands) {
      for (const auto& [file, code] : {std::pair("broken", 1), {"big", 1}, {"none", 2}}) {
        const CommandResult result = Run(With(command, file));
        EXPECT_EQ(result.exit_code, code) << With(command, file) << "\n" << result.output;
        EXPECT_THAT(result.output, HasSubstr(file));
      }
    }
  }
}

TEST_F(ExitCodes, AFileThatIsTooLargeIsNotPublishedAndThatIsSaid) {
  EXPECT_THAT(Run("rules publish big --store sqlite:store.db").output,
              testing::AllOf(HasSubstr("104857600 bytes, the limit is"), HasSubstr("refused; nothing was written")));
  EXPECT_FALSE(std::filesystem::exists(folder_.File("store.db")));
}

TEST_F(ExitCodes, OptionsAreRefusedAndAnythingElseThatIsMissingIsTrouble) {
  const std::pair<const char*, int> table[] = {
      {"", 1},
      {"nonsense", 1},
      {"demo --nonsense", 1},
      {"host --listen 127.0.0.1:0", 1},
      {"proxy --listen 127.0.0.1:0", 1},
      {"control --listen 127.0.0.1:0 --store nonsense --placement good.json", 1},
      {"control --listen 127.0.0.1:0 --store sqlite:none/store.db --placement good.json", 2},
      {"host --repository none --listen 127.0.0.1:0", 2},
      {"proxy --listen 127.0.0.1:0 --rules good.js --placement good.json --decision-log none/log", 2},
      {"rules history --store sqlite:none.db", 2},
      {"rules history --store nonsense", 1},
      {"train --data none --out out", 2},
      {"send --target 127.0.0.1:1 --data none --duration 1", 2},
  };
  for (const auto& [arguments, code] : table) {
    const CommandResult result = Run(arguments);
    EXPECT_EQ(result.exit_code, code) << arguments << "\n" << result.output;
  }
}

}  // namespace
}  // namespace signalbox
