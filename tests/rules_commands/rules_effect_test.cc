// `signalbox rules diff`, as a user meets it.
#include <gmock/gmock.h>

#include "tests/rules_commands/rules_folder.h"

namespace signalbox {
namespace {

using testing::HasSubstr;

class RulesEffectTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) const {
    EXPECT_TRUE(WriteFileAtomically(folder_.File(name), text).ok());
    return folder_.File(name);
  }

  std::string WriteCanary(const std::string& name, int percentage) const {
    return Write(name,
                 fmt::format("export default [\n"
                             "  {{ objective: Objectives.Ranking, defaultModel: {{ name: 'ranker', version: 1 }},\n"
                             "    fallbackModels: [{{ name: 'popular' }}] }},\n"
                             "  {{ trafficShiftId: 'canary', targetObjectives: [Objectives.Ranking],\n"
                             "    toModel: {{ name: 'ranker', version: 2 }}, percentage: {},\n"
                             "    when: when.country.in('US', 'CA') }},\n"
                             "];\n",
                             percentage));
  }

  CommandResult Run(const std::string& arguments) const {
    return RunShell(fmt::format("'{}' rules {}", SignalboxProgram(), arguments));
  }

  RulesFolder folder_;
};

TEST_F(RulesEffectTest, DiffSaysWhoMovesWhere) {
  const std::string before = WriteCanary("old.js", 1);
  const std::string after = WriteCanary("new.js", 4);
  const CommandResult result = Run("diff " + before + " " + after);
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.output,
            "~ traffic shift canary: 1 % -> 4 %\n\n"
            "3.00 % of Ranking where country in {CA, US} moves from ranker@1 to ranker@2\n"
            "nothing else changes\n");
  EXPECT_EQ(Run("diff " + before + " " + before).output, "nothing changes\n");
}

TEST_F(RulesEffectTest, DiffComparesPublishedVersionsAndFiles) {
  ASSERT_EQ(folder_.Run("publish " + WriteCanary("rules.js", 1)).exit_code, 0);
  ASSERT_EQ(folder_.Run("publish " + WriteCanary("rules.js", 2)).exit_code, 0);
  EXPECT_THAT(folder_.Run("diff v1 v2").output, HasSubstr("1.00 % of Ranking where country in {CA, US} moves"));
  EXPECT_THAT(folder_.Run("diff newest " + WriteCanary("rules.js", 7)).output, HasSubstr("5.00 % of Ranking where"));
  EXPECT_EQ(folder_.Run("diff v1 v9").exit_code, 1);

  const nlohmann::json json = folder_.RunJson("diff v1 v2");
  const nlohmann::json& change = json.at("objectives").at(0).at("changes").at(0);
  EXPECT_EQ(change.at("share"), "0.01");
  EXPECT_EQ(change.at("where"), "country in {CA, US}");
  EXPECT_EQ(change.at("example").at("country"), "CA");
  EXPECT_EQ(json.at("objectives").at(0).at("exact"), true);
}

TEST_F(RulesEffectTest, DiffRefusesWhatItCannotRead) {
  const std::string good = WriteCanary("good.js", 1);
  const CommandResult broken = Run("diff " + good + " " + Write("broken.js", "export default [{ objective: 1 }];"));
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_THAT(broken.output, HasSubstr("broken.js:1"));
  EXPECT_EQ(Run("diff " + good + " none.js").exit_code, 2);
  const CommandResult version = Run("diff v1 " + good);
  EXPECT_EQ(version.exit_code, 1);
  EXPECT_THAT(version.output, HasSubstr("v1: a published version needs --store sqlite:PATH"));
  EXPECT_EQ(Run("diff " + good + " " + good + " --at soon").exit_code, 1);
}

}  // namespace
}  // namespace signalbox
