// `signalbox rules diff`, the warnings of `rules check` and `rules simulate`, as a user meets them.
#include <gmock/gmock.h>

#include "tests/rules_commands/rules_folder.h"

namespace signalbox {
namespace {

using testing::HasSubstr;
using testing::Not;

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

TEST_F(RulesEffectTest, DiffSaysWhichShiftsOperatorsHaveSet) {
  const std::string rules = WriteCanary("rules.js", 1);
  ASSERT_EQ(folder_.Run("publish " + rules).exit_code, 0);
  EXPECT_THAT(folder_.Run("diff newest " + rules).output, Not(HasSubstr("note:")));
  ASSERT_EQ(
      RunShell(fmt::format("'{}' traffic set canary 20 --store '{}'", SignalboxProgram(), folder_.Spec())).exit_code,
      0);
  const std::string note = "traffic shift canary stays set to 20 %: what these rules say of its share is not in effect";
  EXPECT_THAT(folder_.Run("diff newest " + WriteCanary("rules.js", 4)).output, HasSubstr("note: " + note + "\n"));
  EXPECT_EQ(folder_.RunJson("diff newest " + rules).at("notes").at(0), note);
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

TEST_F(RulesEffectTest, CheckWarnsOfWhatIsHardlyMeantAndFailsOnlyWhenStrict) {
  const std::string rules = Write("rules.js",
                                  "export default [\n"
                                  "  { objective: Objectives.Ranking, defaultModel: { name: 'ranker', version: 1 } },\n"
                                  "  { contextRuleId: 'both', targetObjectives: [Objectives.Ranking],\n"
                                  "    when: when.country.is('US').and(when.country.is('CA')),\n"
                                  "    model: { name: 'ranker', version: 2 } },\n"
                                  "];\n");
  const CommandResult warned = Run("check " + rules);
  EXPECT_EQ(warned.exit_code, 0) << warned.output;
  EXPECT_THAT(warned.output, HasSubstr("rules.js:2:3: warning: Objective Ranking: has no fallback"));
  EXPECT_THAT(
      warned.output,
      HasSubstr("rules.js:3:3: warning: context rule both: can never apply: no request fulfils its condition\n"));
  EXPECT_THAT(warned.output, HasSubstr("2 warnings\n"));
  EXPECT_EQ(Run("check --strict " + rules).exit_code, 1);
  const nlohmann::json json = nlohmann::json::parse(Run("check --json " + rules).output);
  EXPECT_EQ(json.at("ok"), true);
  EXPECT_EQ(json.at("warnings").at(1).at("line"), 3);
}

TEST_F(RulesEffectTest, CheckAgainstWhatRunsWarnsOfUsersWhoMoveBack) {
  ASSERT_EQ(folder_.Run("publish " + WriteCanary("rules.js", 10)).exit_code, 0);
  const CommandResult result = folder_.Run("check --against newest " + WriteCanary("rules.js", 5));
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output,
              HasSubstr("traffic shift canary: is lowered from 10 % to 5 %: users move back from ranker@2"));
  EXPECT_EQ(folder_.Run("check --strict --against newest " + WriteCanary("rules.js", 5)).exit_code, 1);
  EXPECT_EQ(folder_.Run("check --strict --against newest " + WriteCanary("rules.js", 15)).exit_code, 0);
}

TEST_F(RulesEffectTest, SimulateCountsWhoMovesAndSaysWhatItCouldNotReplay) {
  std::string log;
  for (int i = 0; i < 1000; ++i) {
    log += fmt::format(
        R"({{"time":"2026-03-01T12:00:00.000001Z","decision":"{:016x}","snapshot":"s","objective":"Ranking","user":"u{}",)"
        R"("experiment":"","cell":"","model":"ranker@1","reason":"default","traffic_type":"live","tenant":"","host":"h",)"
        R"("country":"{}","outcome":"OK","latency_us":1}})"
        "\n",
        i, i, i % 2 == 0 ? "US" : "FR");
  }
  log += "{ broken\n";
  log += R"({"objective":"Ranking","model":"ranker@1","truncated":true})"
         "\n";
  log += R"({"objective":"Search","model":"finder"})"
         "\n";
  log += R"({"objective":"Ranking","model":"")"
         "}\n";
  log += R"({"objective":"Ranking","model":"","static_answer":true})"
         "\n";
  const std::string traffic = Write("log.jsonl", log);
  const std::string rules = WriteCanary("new.js", 100);

  const CommandResult text = Run("simulate " + rules + " --traffic " + traffic);
  EXPECT_EQ(text.exit_code, 0) << text.output;
  EXPECT_THAT(text.output, HasSubstr("1001 of 1005 records replayed, from 2026-03-01T12:00:00Z"));
  EXPECT_THAT(text.output,
              HasSubstr("4 not replayed: 1 broken, 1 cut when they were logged, 1 for Objectives that the rules "
                        "do not have, 1 without a model"));
  EXPECT_THAT(text.output, HasSubstr("line 1001: not JSON"));
  EXPECT_THAT(text.output, HasSubstr("Ranking: 501 of 1001 requests move (50.05 %)"));

  const nlohmann::json json =
      nlohmann::json::parse(Run("simulate " + rules + " --json --traffic - < " + traffic).output);
  EXPECT_EQ(json.at("models").at(0).at("model"), "(static answer)");
  EXPECT_EQ(json.at("models").at(0).at("before"), 1);
  EXPECT_EQ(json.at("models").at(2).at("model"), "ranker@2");
  EXPECT_EQ(json.at("models").at(2).at("after"), 500);
  EXPECT_EQ(json.at("not_replayed").at("broken"), 1);
  EXPECT_EQ(json.at("objectives").at(0).at("moves").at(1).at("requests"), 500);

  EXPECT_EQ(Run("simulate " + rules + " --traffic none.jsonl").exit_code, 2);
  EXPECT_EQ(Run("simulate " + rules + " --traffic " + Write("bad.jsonl", "x\ny\n")).exit_code, 1);
}

}  // namespace
}  // namespace signalbox
