// `signalbox rules publish`, `history`, `show`, `rollback` and `watch`, as a user meets them.
#include <gmock/gmock.h>
#include <sqlite3.h>

#include "tests/rules_commands/rules_folder.h"

namespace signalbox {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(RulesCommands, ThePublishedRulesAreListedShownAndRolledBack) {
  RulesFolder folder;
  for (const char* mark : {"one", "two", "three"}) {
    const CommandResult published =
        folder.Run(fmt::format("publish {} --author ada --message 'step {}'", folder.WriteRules(mark), mark));
    ASSERT_EQ(published.exit_code, 0) << published.output;
    EXPECT_THAT(published.output, StartsWith("default: published version "));
  }
  const CommandResult history = folder.Run("history");
  EXPECT_EQ(history.exit_code, 0);
  EXPECT_THAT(history.output, AllOf(HasSubstr("*       3  20"), HasSubstr("ada     step two")));

  const CommandResult back = folder.Run("rollback --to 1 --author grace --message 'two and three are bad'");
  EXPECT_EQ(back.exit_code, 0) << back.output;
  EXPECT_THAT(back.output, HasSubstr("rolled back to version 1, published as version 4"));
  EXPECT_THAT(folder.Run("history").output, HasSubstr("rollback to version 1: two and three are bad"));
  EXPECT_THAT(folder.Run("show").output, AllOf(HasSubstr("default version 4"), HasSubstr("mark=one")));
  EXPECT_THAT(folder.Run("show --version 2").output, HasSubstr("mark=two"));
}

TEST(RulesCommands, ForProgramsEverythingIsJson) {
  RulesFolder folder;
  nlohmann::json published = folder.RunJson("publish " + folder.WriteRules("one") + " --author ada");
  EXPECT_EQ(published["ok"], true);
  EXPECT_EQ(published["version"], 1);
  EXPECT_EQ(published["namespace"], "default");
  EXPECT_EQ(published["changes"][0], "+ Objective Ranking: default ranker@1");
  EXPECT_EQ(folder.RunJson("publish " + folder.WriteRules("one"))["unchanged"], true);
  EXPECT_EQ(folder.RunJson("publish " + folder.WriteRules("two"))["version"], 2);
  EXPECT_EQ(folder.RunJson("rollback")["rollback_of"], 1);
  EXPECT_EQ(folder.RunJson("history")["versions"].size(), 3u);
  EXPECT_EQ(folder.RunJson("history --limit 1")["versions"][0]["version"], 3);
  EXPECT_EQ(folder.RunJson("show --version 2")["rule_set"]["objectives"][0]["parameters"]["mark"], "two");
  nlohmann::json missing = folder.RunJson("show --version 9");
  EXPECT_EQ(missing["ok"], false);
  EXPECT_EQ(missing["code"], "NOT_FOUND");
}

TEST(RulesCommands, CheckSaysHowManyRulesThereAreInGoodEnglish) {
  const CommandResult checked = RunShell(SignalboxProgram() + " rules check examples/rules/home.js");
  EXPECT_EQ(checked.output, "default: 2 Objectives, 1 experiment, 1 traffic shift\n");
}

TEST(RulesCommands, TheSameFilesAreTheSameRulesHoweverTheirPathsAreWritten) {
  RulesFolder folder;
  const std::string file = folder.WriteRules("one");
  ASSERT_EQ(folder.Run("publish " + file).exit_code, 0);
  auto run_in = [&](const std::string& directory, const std::string& path) {
    return RunShell(fmt::format("cd '{}' && {}", directory, folder.Command("publish " + path)));
  };
  const std::string name = std::filesystem::path(folder.path()).filename();
  for (const CommandResult& again : {run_in(folder.path(), "rules.js"), run_in(folder.path(), "./rules.js"),
                                     run_in("/", file), run_in(folder.path() + "/..", name + "/rules.js")}) {
    EXPECT_EQ(again.exit_code, 0) << again.output;
    EXPECT_THAT(again.output, HasSubstr("nothing to publish, version 1 is the same"));
  }
  EXPECT_THAT(folder.Run("show").output, testing::Not(HasSubstr(folder.path())));
}

TEST(RulesCommands, WhatAFileImportsIsPartOfWhatIsCheckedPublishedAndResolved) {
  RulesFolder folder;
  ASSERT_TRUE(
      WriteFileAtomically(folder.File("common.js"), "export const ranker = {name: 'ranker', version: 7};").ok());
  ASSERT_TRUE(WriteFileAtomically(folder.File("rules.js"),
                                  "import {ranker} from './common.js';\n"
                                  "export default [{objective: Objectives.Ranking, defaultModel: ranker}];\n")
                  .ok());
  ASSERT_TRUE(WriteFileAtomically(folder.File("rules.test.js"), "test('x', () => {});").ok());
  const std::string file = folder.File("rules.js");
  EXPECT_THAT(RunShell(SignalboxProgram() + " rules check " + file).output, HasSubstr("1 Objective"));
  EXPECT_EQ(folder.Run("publish " + file).exit_code, 0);
  EXPECT_THAT(folder.Run("show").output, AllOf(HasSubstr("ranker@7"), testing::Not(HasSubstr(folder.path()))));
  // The same files, all named.
  EXPECT_THAT(folder.Run("publish " + folder.path() + "/*.js").output, HasSubstr("nothing to publish"));
  EXPECT_THAT(RunShell(SignalboxProgram() + " resolve --objective Ranking --rules " + file).output,
              HasSubstr("ranker@7"));
}

TEST(RulesCommands, NoMessageAndNoAuthorCanForgeALineOfTheHistory) {
  RulesFolder folder;
  const std::string file = folder.WriteRules("one");
  for (const std::string words :
       {"--message \"ok\n*      99  2026-01-01 00:00:00Z  evil\"", "--author \"ada\nevil\""}) {
    const CommandResult refused = folder.Run("publish " + file + " " + words);
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_THAT(refused.output, AllOf(HasSubstr("expected one line without control characters"), HasSubstr("\\n")));
  }
  // As an older release let it in.
  ASSERT_EQ(folder.Run("publish " + file + " --author ada").exit_code, 0);
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(folder.StorePath().c_str(), &connection), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(connection,
                         "DROP TRIGGER versions_are_never_changed; UPDATE versions SET message = 'ok' || char(10) || "
                         "'evil', author = 'ada' || char(10) || 'evil'",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(connection);
  for (const char* command : {"history", "show", "rollback --to 1 --expect-version 7"}) {
    EXPECT_THAT(folder.Run(command).output, AllOf(HasSubstr("ada\\nevil"), testing::Not(HasSubstr("\nevil"))))
        << command;
  }
}

TEST(RulesCommands, RulesWithErrorsAreRefusedWithTheirPlaceAndLeaveNoStore) {
  RulesFolder folder;
  const std::string file = folder.File("bad.js");
  ASSERT_TRUE(WriteFileAtomically(file, "export default [{objective: Objectives.Ranking}];\n").ok());
  const CommandResult refused = folder.Run("publish " + file);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.output, AllOf(StartsWith(file + ":1:"), HasSubstr("nothing was written")));
  EXPECT_FALSE(std::filesystem::exists(folder.StorePath()));
}

TEST(RulesCommands, AnObjectiveOfAnotherNamespaceCannotBePublished) {
  RulesFolder folder;
  ASSERT_EQ(folder.Run("publish " + folder.WriteRules("one") + " --namespace home").exit_code, 0);
  const CommandResult refused = folder.Run("publish " + folder.WriteRules("one") + " --namespace risk");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.output, HasSubstr("Objective Ranking is declared already"));
  EXPECT_EQ(folder.Run("publish " + folder.WriteRules("one", "Fraud") + " --namespace risk").exit_code, 0);
}

TEST(RulesCommands, WhoExpectsAnotherVersionIsToldWhoWasFaster) {
  RulesFolder folder;
  ASSERT_EQ(folder.Run("publish " + folder.WriteRules("one") + " --expect-version 0 --author ada").exit_code, 0);
  const CommandResult refused = folder.Run("publish " + folder.WriteRules("two") + " --expect-version 0");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.output, HasSubstr("expected version 0, but version 1 is there, by ada"));
}

TEST(RulesCommands, WhatDoesNotExistIsSaidWithWhatThereIs) {
  RulesFolder folder;
  for (const char* command : {"history", "show", "rollback", "watch"}) {
    const CommandResult no_store = folder.Run(command);
    EXPECT_EQ(no_store.exit_code, 2) << command;
    EXPECT_THAT(no_store.output, HasSubstr(folder.StorePath() + ": does not exist")) << command;
  }
  ASSERT_EQ(folder.Run("publish " + folder.WriteRules("one")).exit_code, 0);
  for (const char* command : {"show --version 7", "rollback", "rollback --to 7", "history --namespace nobody"}) {
    const CommandResult missing = folder.Run(command);
    EXPECT_EQ(missing.exit_code, 1) << command;
    EXPECT_THAT(missing.output, AllOf(StartsWith("signalbox rules "), testing::ContainsRegex("there is no|nothing")));
  }
  EXPECT_EQ(folder.Run("show --namespace Not-One").exit_code, 1);
}

TEST(RulesCommands, OptionsThatMakeNoSenseAreAnInputThatIsRefused) {
  RulesFolder folder;
  for (const char* command :
       {"publish", "show --version three", "history --limit 0", "nonsense", "publish a.js --nope"}) {
    EXPECT_EQ(folder.Run(command).exit_code, 1) << command;
  }
  EXPECT_EQ(folder.Run("--help").exit_code, 0);
}

TEST(RulesCommands, AnAnswerThatCannotBePrintedIsAnErrorAndNoCrash) {
  RulesFolder folder;
  ASSERT_EQ(folder.Run("publish " + folder.WriteRules(std::string(3900, 'x'))).exit_code, 0);
  for (const char* command : {"show --json", "history"}) {
    EXPECT_EQ(RunShell(folder.Command(command) + " > /dev/full").exit_code, 2) << command;
  }
}

TEST(RulesCommands, AWatchPrintsWhatAnotherProcessPublishes) {
  RulesFolder folder;
  ASSERT_EQ(folder.Run("publish " + folder.WriteRules("zero")).exit_code, 0);
  const std::string log = folder.File("watch.log");
  ChildProcess watch = StartShell(folder.Command("watch --count 2"), log);
  ASSERT_TRUE(WaitUntil([&] { return ReadFile(log, 1 << 20)->find("watching") != std::string::npos; }));
  ASSERT_EQ(folder.Run("publish " + folder.WriteRules("other", "Fraud") + " --namespace risk").exit_code, 0);
  ASSERT_EQ(folder.Run("publish " + folder.WriteRules("one") + " --author ada --message why").exit_code, 0);
  ASSERT_EQ(folder.Run("rollback --author grace").exit_code, 0);
  ASSERT_TRUE(watch.WaitForEnd(kPatience)) << watch.Report();
  EXPECT_EQ(watch.exit_code(), 0);
  EXPECT_THAT(*ReadFile(log, 1 << 20), AllOf(HasSubstr("rules/default version 2 by ada: why\n"),
                                             HasSubstr("rules/default version 3 (rollback to version 1) by grace\n")));
}

TEST(RulesCommands, AWatchEndsCleanlyWhenItIsStopped) {
  RulesFolder folder;
  ASSERT_EQ(folder.Run("publish " + folder.WriteRules("zero")).exit_code, 0);
  const std::string log = folder.File("watch.log");
  auto watch = ChildProcess::Start(
      {.name = "watch", .command = {SignalboxProgram(), "rules", "watch", "--store", folder.Spec()}, .log_file = log});
  ASSERT_TRUE(watch.ok()) << watch.status();
  ASSERT_TRUE(WaitUntil([&] { return ReadFile(log, 1 << 20)->find("watching") != std::string::npos; }));
  EXPECT_TRUE(watch->Stop(std::chrono::seconds(10))) << watch->Report();
}

}  // namespace
}  // namespace signalbox
