#include "cli/snapshot_from_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"
#include "base/test_folder.h"
#include "cli/commands.h"

namespace signalbox::cli {
namespace {

using ::testing::HasSubstr;

class SnapshotFromFilesTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    std::string path = folder_.File(name);
    EXPECT_TRUE(WriteFileAtomically(path, text).ok()) << path;
    return path;
  }

  TestFolder folder_;
};

TEST_F(SnapshotFromFilesTest, TellsWhatIsWrongWithRulesAndPlacementAtOnce) {
  const std::string placement = Write("placement.json", R"({"shards": {"s1": []}, "models": {"m": ["s2"]}})");
  const auto snapshot = SnapshotFromFiles({folder_.File("a.js"), folder_.File("b.js")}, placement, "default");
  ASSERT_FALSE(snapshot.ok());
  EXPECT_THAT(Message(snapshot.status()), HasSubstr("a.js"));
  EXPECT_THAT(Message(snapshot.status()), HasSubstr("b.js"));
  EXPECT_THAT(Message(snapshot.status()), HasSubstr("s1"));
  EXPECT_THAT(Message(snapshot.status()), HasSubstr("s2"));
}

TEST_F(SnapshotFromFilesTest, AFileThatCannotBeReadIsTheEnvironmentsFaultWhateverElseIsWrong) {
  const std::string broken = Write("placement.json", "{");
  const std::string rules = Write("rules.js", "export default 1;");
  const auto missing_rules = SnapshotFromFiles({folder_.File("none.js")}, broken, "default");
  const auto missing_placement = SnapshotFromFiles({rules}, folder_.File("none.json"), "default");
  const auto broken_both = SnapshotFromFiles({rules}, broken, "default");
  EXPECT_EQ(ExitCodeOf(missing_rules.status()), 2) << missing_rules.status();
  EXPECT_EQ(ExitCodeOf(missing_placement.status()), 2) << missing_placement.status();
  EXPECT_EQ(ExitCodeOf(broken_both.status()), 1) << broken_both.status();
}

}  // namespace
}  // namespace signalbox::cli
