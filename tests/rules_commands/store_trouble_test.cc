// The commands on a store whose file, folder or disk is not as it should be: a clear message, exit code 2, nothing
// lost.
#include <gmock/gmock.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/rules_commands/rules_folder.h"

namespace signalbox {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class StoreTroubleTest : public testing::Test {
 protected:
  // `command` by the same user, but without what root may do beyond the permissions of files.
  static std::string WithoutPrivileges(const std::string& command) {
    return getuid() == 0 ? "setpriv --bounding-set=-all --inh-caps=-all " + command : command;
  }
  void PublishFirst() {
    const CommandResult first = folder_.Run("publish " + folder_.WriteRules("first"));
    ASSERT_EQ(first.exit_code, 0) << first.output;
  }
  void ExpectFirstIsThere() {
    const CommandResult shown = folder_.Run("show");
    EXPECT_EQ(shown.exit_code, 0) << shown.output;
    EXPECT_THAT(shown.output, HasSubstr("mark=first"));
  }

  RulesFolder folder_;
};

TEST_F(StoreTroubleTest, AFileThatIsNoStoreIsRefusedByEveryCommandAndLeftAsItIs) {
  const std::string diary = "Dear diary, " + std::string(5000, '.');
  ASSERT_TRUE(WriteFileAtomically(folder_.StorePath(), diary).ok());
  for (const std::string& command :
       {"publish " + folder_.WriteRules("x"), std::string("history"), std::string("show"), std::string("rollback")}) {
    const CommandResult result = folder_.Run(command);
    EXPECT_EQ(result.exit_code, 2) << command;
    EXPECT_THAT(result.output, AllOf(HasSubstr(folder_.StorePath()), HasSubstr("not a store"))) << command;
  }
  EXPECT_EQ(*ReadFile(folder_.StorePath(), 1 << 20), diary);
}

TEST_F(StoreTroubleTest, ADamagedVersionIsNamedAndRollingBackPastItWorks) {
  PublishFirst();
  ASSERT_EQ(folder_.Run("publish " + folder_.WriteRules("second")).exit_code, 0);
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(folder_.StorePath().c_str(), &connection), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(connection,
                   "DROP TRIGGER versions_are_never_changed; UPDATE versions SET content = x'7b' WHERE version = 2",
                   nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_close(connection);
  const CommandResult shown = folder_.Run("show");
  EXPECT_EQ(shown.exit_code, 2);
  EXPECT_THAT(shown.output, AllOf(HasSubstr("rules/default version 2 is damaged"), HasSubstr("backup")));
  const CommandResult back = folder_.Run("rollback --to 1");
  EXPECT_EQ(back.exit_code, 0) << back.output;
  ExpectFirstIsThere();
}

TEST_F(StoreTroubleTest, AFileWithDamagedPagesIsDataLossWithTheRemedy) {
  PublishFirst();
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(folder_.Run("publish " + folder_.WriteRules(std::string(3000, static_cast<char>('a' + i)))).exit_code, 0);
  }
  std::string bytes = *ReadFile(folder_.StorePath(), 16 << 20);
  for (size_t page = 1; page * 4096 + 4096 <= bytes.size(); ++page) {
    bytes.replace(page * 4096, 4096, std::string(4096, '\x5a'));
  }
  ASSERT_TRUE(WriteFileAtomically(folder_.StorePath(), bytes).ok());
  for (const std::string& command : {"publish " + folder_.WriteRules("x"), std::string("history")}) {
    const CommandResult result = folder_.Run(command);
    EXPECT_EQ(result.exit_code, 2) << command;
    EXPECT_THAT(result.output, HasSubstr("damaged; restore it from a backup")) << command;
  }
}

TEST_F(StoreTroubleTest, AReadOnlyStoreIsReadAndSaysWhatAPublishNeeds) {
  PublishFirst();
  ASSERT_EQ(chmod(folder_.StorePath().c_str(), 0444), 0);
  const CommandResult refused = RunShell(WithoutPrivileges(folder_.Command("publish " + folder_.WriteRules("second"))));
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.output, HasSubstr("may not be written; the user needs write permission"));
  EXPECT_EQ(RunShell(WithoutPrivileges(folder_.Command("history"))).exit_code, 0);
  ExpectFirstIsThere();
}

TEST_F(StoreTroubleTest, AFolderThatMayNotBeWrittenSaysSo) {
  const std::string rules = folder_.WriteRules("first");
  ASSERT_EQ(chmod(folder_.path().c_str(), 0555), 0);
  const CommandResult refused = RunShell(WithoutPrivileges(folder_.Command("publish " + rules)));
  ASSERT_EQ(chmod(folder_.path().c_str(), 0755), 0);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.output, HasSubstr("write permission for the file and for its folder"));
}

TEST_F(StoreTroubleTest, AFullDiskIsSaidAndKeepsWhatWasPublished) {
  PublishFirst();
  // No file may grow beyond 64 units of 512 bytes: as on a disk without room, a write fails halfway.
  std::string text = "const text = '" + std::string(200'000, 'x') + "';\n" +
                     "export default [{objective: Objectives.Ranking, defaultModel: {name: 'ranker', version: 1},\n"
                     "  parameters: {a: text.slice(0, 3000)}}";
  for (int i = 0; i < 40; ++i) {
    text += fmt::format(
        ", {{objective: Objectives.Other{}, defaultModel: {{name: 'ranker', version: 1}}, parameters: "
        "{{a: text.slice(0, 3000)}}}}",
        i);
  }
  ASSERT_TRUE(WriteFileAtomically(folder_.File("large.js"), text + "];\n").ok());
  const CommandResult full = RunShell("ulimit -f 64; " + folder_.Command("publish " + folder_.File("large.js")));
  EXPECT_EQ(full.exit_code, 2) << full.output;
  EXPECT_THAT(full.output, HasSubstr("used up; nothing was written; make room and try again"));
  ExpectFirstIsThere();
  EXPECT_EQ(folder_.Run("publish " + folder_.File("large.js")).exit_code, 0);
}

TEST_F(StoreTroubleTest, AStoreThatAnotherProcessHasLockedIsSaidAfterAWhile) {
  PublishFirst();
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(folder_.StorePath().c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  const CommandResult locked = folder_.Run("publish " + folder_.WriteRules("second"));
  sqlite3_close(other);
  EXPECT_EQ(locked.exit_code, 2);
  EXPECT_THAT(locked.output, HasSubstr("locked by another process"));
  ExpectFirstIsThere();
}

}  // namespace
}  // namespace signalbox
