// `signalbox store copy`, as an operator meets it.
#include <gmock/gmock.h>

#include "store/store.h"
#include "tests/rules_commands/rules_folder.h"

namespace signalbox {
namespace {

using ::testing::HasSubstr;

class StoreCopyTest : public testing::Test {
 protected:
  StoreCopyTest() {
    for (const char* mark : {"first", "second"}) {
      const CommandResult published = folder_.Run("publish " + folder_.WriteRules(mark) + " --message why");
      EXPECT_EQ(published.exit_code, 0) << published.output;
    }
  }

  std::string Target() const { return "sqlite:" + folder_.File("copy.db"); }
  static CommandResult Copy(const std::string& arguments) {
    return RunShell(fmt::format("'{}' store copy {}", SignalboxProgram(), arguments));
  }

  RulesFolder folder_;
};

TEST_F(StoreCopyTest, TheCopyIsReadAsTheStoreWas) {
  const CommandResult copied = Copy(folder_.Spec() + " " + Target());
  EXPECT_EQ(copied.exit_code, 0) << copied.output;
  EXPECT_EQ(copied.output,
            "copied 2 versions of 1 topic, up to sequence 2; 0 without content, which retention had dropped; 0 "
            "records\n");
  const CommandResult before = folder_.Run("history");
  const CommandResult after = RunShell(fmt::format("'{}' rules history --store '{}'", SignalboxProgram(), Target()));
  EXPECT_EQ(before.output, after.output);
}

TEST_F(StoreCopyTest, AStoreThatIsNotEmptyIsRefusedAndAsJsonToo) {
  ASSERT_EQ(Copy(folder_.Spec() + " " + Target()).exit_code, 0);
  const CommandResult again = Copy(folder_.Spec() + " " + Target());
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.output, HasSubstr("something is in it already, nothing was copied"));
  const CommandResult as_json = Copy(folder_.Spec() + " " + Target() + " --json");
  EXPECT_EQ(as_json.exit_code, 1);
  EXPECT_EQ(nlohmann::json::parse(as_json.output)["code"], "ABORTED");
}

TEST_F(StoreCopyTest, WhatIsNotThereAndWhatIsNoStoreAreTold) {
  const CommandResult missing = Copy("sqlite:" + folder_.File("none.db") + " " + Target());
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_THAT(missing.output, HasSubstr("does not exist"));
  const CommandResult unknown = Copy(folder_.Spec() + " etcd:nowhere");
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.output, HasSubstr("expected etcd:HOST:PORT"));
}

}  // namespace
}  // namespace signalbox
