// Every role tells what was refused (1) from what its surroundings could not give (2).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>
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
    EXPECT_TRUE(WriteFileAtomically(folder_.File("log.jsonl"), "{}\n").ok());
    EXPECT_TRUE(WriteFileAtomically(folder_.File("extra.test.js"), "test('a', () => {});").ok());
    EXPECT_EQ(mkfifo(folder_.File("fifo").c_str(), 0600), 0);
    std::filesystem::create_directory(folder_.File("empty"));
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
    "rules test FILE extra.test.js",
    "rules diff good.js FILE",
    "rules simulate FILE --traffic log.jsonl",
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
      for (const auto& [file, code] : {std::pair("broken", 1), {"big", 1}, {"none", 2}, {"fifo", 2}}) {
        const CommandResult result = Run(With(command, file));
        EXPECT_EQ(result.exit_code, code) << With(command, file) << "\n" << result.output;
        EXPECT_THAT(result.output, HasSubstr(file));
      }
    }
  }
}

TEST_F(ExitCodes, AFolderWithoutRulesIsRefusedAndOneGivenForAnotherFileIsTrouble) {
  for (const std::string command : kReadRules) {
    const CommandResult result = Run(With(command, "empty"));
    EXPECT_EQ(result.exit_code, 1) << With(command, "empty") << "\n" << result.output;
    EXPECT_THAT(result.output, HasSubstr("empty: there are no rule files (.js)"));
  }
  for (const std::string command : kReadPlacement) EXPECT_EQ(Run(With(command, "empty")).exit_code, 2) << command;
}

TEST_F(ExitCodes, AFolderOrAPipeWithoutWriterIsNoFileOfLines) {
  for (const std::string command : {"rules simulate good.js --traffic FILE", "resolve --rules good.js --batch FILE"}) {
    for (const std::string file : {"empty", "fifo"}) {
      const CommandResult result = Run(With(command, file));
      EXPECT_EQ(result.exit_code, 2) << With(command, file) << "\n" << result.output;
      EXPECT_THAT(result.output, HasSubstr(file + ": is a "));
    }
    const std::string written = With(command, "fifo") + " & echo > '" + folder_.File("fifo") + "'; wait $!";
    EXPECT_EQ(Run(written).exit_code, 1) << "an empty line is no record";
  }
}

TEST_F(ExitCodes, AStoreThatIsNotThereIsTroubleInEveryCommand) {
  for (const char* command :
       {"rules publish good.js", "rules history", "rules show", "rules rollback", "rules watch", "rules diff v1 v2",
        "rules simulate newest --traffic log.jsonl", "rules check good.js --against newest", "traffic show",
        "traffic set a 1", "traffic pause a", "traffic resume a"}) {
    const CommandResult result = Run(fmt::format("{} --store sqlite:none/store.db", command));
    EXPECT_EQ(result.exit_code, 2) << command << "\n" << result.output;
  }
}

TEST_F(ExitCodes, WhoAsksForJsonGetsJsonWhateverIsWrong) {
  const std::pair<const char*, int> table[] = {
      {"rules check none", 2},
      {"rules check empty", 1},
      {"rules check good.js --at soon", 1},
      {"rules check good.js --nonsense", 1},
      {"rules check", 1},
      {"rules test none", 2},
      {"rules test good.js", 1},
      {"rules diff good.js none", 2},
      {"rules diff good.js good.js --at soon", 1},
      {"rules simulate good.js --traffic none", 2},
      {"rules simulate good.js --traffic log.jsonl", 1},
      {"rules publish none --store sqlite:store.db", 2},
      {"rules history --store sqlite:none.db", 2},
      {"resolve --rules none --objective Ranking", 2},
      {"resolve --rules good.js --objective Ranking --at soon", 1},
      {"resolve --rules good.js --objective Nothing", 1},
      {"traffic show --store sqlite:none.db", 2},
      {"traffic set a much --store sqlite:none.db", 1},
      {"traffic set a --store sqlite:none.db", 1},
  };
  for (const auto& [arguments, code] : table) {
    const CommandResult result = Run(fmt::format("{} --json 2>stderr", arguments));
    EXPECT_EQ(result.exit_code, code) << arguments << "\n" << result.output;
    const auto json = nlohmann::json::parse(result.output, nullptr, /*allow_exceptions=*/false);
    ASSERT_TRUE(json.is_object()) << arguments << "\n" << result.output;
    EXPECT_EQ(json.value("ok", true), false) << arguments;
    EXPECT_FALSE(json.value("errors", nlohmann::json::array()).empty()) << arguments << "\n" << result.output;
  }
}

TEST_F(ExitCodes, AFolderIsTheRuleFilesInItForEveryCommand) {
  std::filesystem::create_directory(folder_.File("rules"));
  ASSERT_TRUE(WriteFileAtomically(folder_.File("rules/a.js"), kRules).ok());
  ASSERT_TRUE(WriteFileAtomically(folder_.File("rules/a.test.js"),
                                  "test('a', () => { expect({objective: 'Ranking'}).model('ranker'); });")
                  .ok());
  ASSERT_TRUE(WriteFileAtomically(folder_.File("rules/.#a.js"), "no rules").ok());
  for (const char* command :
       {"rules check rules", "rules test rules", "rules diff rules rules/",
        "rules publish rules --store sqlite:store.db", "rules check rules --against newest --store sqlite:store.db",
        "resolve --rules rules --objective Ranking"}) {
    const CommandResult result = Run(command);
    EXPECT_EQ(result.exit_code, 0) << command << "\n" << result.output;
  }
  EXPECT_THAT(Run("rules show --store sqlite:store.db").output, HasSubstr("a.js:1"));
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
