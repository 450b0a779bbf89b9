// `signalbox rules test`, as a user and as CI meet it.
#include <gmock/gmock.h>

#include <filesystem>

#include "tests/rules_commands/rules_folder.h"

namespace signalbox {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class RulesTestCommand : public testing::Test {
 protected:
  RulesTestCommand() {
    Write("home.js",
          "import {ranker} from './common.js';\n"
          "export default [{objective: Objectives.Home, defaultModel: ranker(1)},\n"
          "  {trafficShiftId: 'canary', targetObjectives: Objectives.Home, toModel: ranker(2), percentage: 10}];\n");
    Write("common.js", "export const ranker = (version) => ({name: 'ranker', version});\n");
    Write("home.test.js",
          "import {ranker} from './common.js';\n"
          "test('the default', () => { expect({objective: 'Home'}).model(ranker(1)); });\n"
          "test('the canary', () => {\n"
          "  distribution({objective: 'Home'}, {users: 20000}).model('ranker@2', {share: 10, tolerance: 1});\n"
          "});\n");
  }

  void Write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(folder_.File(name)).parent_path());
    ASSERT_TRUE(WriteFileAtomically(folder_.File(name), text).ok());
  }
  CommandResult Test(const std::string& arguments) {
    return RunShell(fmt::format("cd '{}' && '{}' rules test {}", folder_.path(), SignalboxProgram(), arguments));
  }

  TestFolder folder_;
};

TEST_F(RulesTestCommand, ARuleFileATestFileAndAFolderFindTheSameTests) {
  for (const char* path :
       {"home.js", "home.test.js", ".", "home.js common.js", "home.js home.test.js", "home.test.js home.js"}) {
    const CommandResult result = Test(path);
    EXPECT_EQ(result.exit_code, 0) << path << "\n" << result.output;
    EXPECT_THAT(result.output, HasSubstr("2 tests: 2 passed, 0 failed; 2 expectations, seed 1")) << path;
  }
  EXPECT_THAT(Test("home.js").output, AllOf(HasSubstr("✓ the default"),
                                            HasSubstr("of 20000 users), expected 10 % +- 1"), Not(HasSubstr("\x1b["))));
}

TEST_F(RulesTestCommand, AFileOfTestsWithoutRulesOfItsNameIsForItsFolder) {
  Write("extra.test.js", "test('x', () => { expect({objective: 'Home'}).model('ranker@1'); });");
  EXPECT_EQ(Test("extra.test.js").exit_code, 0);
  EXPECT_THAT(Test(".").output, HasSubstr("3 tests: 3 passed"));
  // Files of several folders are several rule sets.
  Write("other/other.js", "export default [{objective: Objectives.Home, defaultModel: {name: 'other'}}];");
  Write("other/other.test.js", "test('y', () => { expect({objective: 'Home'}).model('other'); });");
  EXPECT_THAT(Test(". other").output, HasSubstr("4 tests: 4 passed"));
}

TEST_F(RulesTestCommand, AFailureSaysWhereWhatAndWhy) {
  Write("home.test.js", "test('wrong', () => {\n  expect({objective: 'Home', user: 'u1'}).model('ranker@9');\n});");
  const CommandResult result = Test("home.js");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("✗ wrong"), HasSubstr(".model('ranker@9')  home.test.js:2:"),
                    HasSubstr("expected  ranker@9"), HasSubstr("received  ranker@"), HasSubstr("why       "),
                    HasSubstr("traffic shift canary"), HasSubstr("1 test: 0 passed, 1 failed")));
}

TEST_F(RulesTestCommand, ForProgramsTheResultsAreJson) {
  Write("home.test.js",
        "test('right', () => { expect({objective: 'Home'}).model('ranker@1'); });\n"
        "test('wrong', () => { expect({objective: 'Home'}).reason('override'); });\n"
        "test('mistaken', () => { expect({objective: 'Home'}).modle('x'); });");
  const CommandResult result = Test("home.js --json");
  EXPECT_EQ(result.exit_code, 1);
  const auto json = nlohmann::json::parse(result.output, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(json.is_object()) << result.output;
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["passed"], 1);
  EXPECT_EQ(json["failed"], 2);
  const auto& tests = json["files"][0]["tests"];
  EXPECT_EQ(tests[0]["ok"], true);
  EXPECT_EQ(tests[1]["failures"][0]["expectation"], ".reason('override')");
  EXPECT_EQ(tests[1]["failures"][0]["expected"], "override");
  EXPECT_EQ(tests[1]["failures"][0]["received"], "default");
  EXPECT_EQ(tests[1]["failures"][0]["line"], 2);
  EXPECT_FALSE(tests[1]["failures"][0]["why"].empty());
  EXPECT_THAT(tests[2]["problems"][0]["message"].get<std::string>(), HasSubstr("did you mean \"model\"?"));
}

TEST_F(RulesTestCommand, AFilterSeedAndUsersAreTheCallersChoice) {
  const CommandResult filtered = Test("home.js --filter canary --seed 42 --users 1000");
  EXPECT_THAT(filtered.output, AllOf(HasSubstr("of 1000 users"), HasSubstr("1 test: "),
                                     HasSubstr("1 left out by the filter"), HasSubstr("seed 42")));
  // What a filter leaves nothing of has tested nothing.
  EXPECT_EQ(Test("home.js --filter nothing").exit_code, 1);
}

TEST_F(RulesTestCommand, ExitCodesTellMistakesFromTroubleWithTheSurroundings) {
  EXPECT_EQ(Test("missing.js").exit_code, 2);
  EXPECT_THAT(Test("missing.js").output, HasSubstr("missing.js: there is no such file or folder"));
  EXPECT_EQ(Test("common.js").exit_code, 1);
  EXPECT_THAT(Test("common.js").output, HasSubstr("there are no tests; write them into common.test.js"));
  Write("home.js", "export default [{objective: Objectives.Home}];");
  const CommandResult broken = Test("home.js");
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_THAT(broken.output, AllOf(HasSubstr("the rules of home.test.js cannot be tested:"),
                                   HasSubstr("home.js:1:17: Objective Home: defaultModel")));
}

TEST_F(RulesTestCommand, OneBrokenFileOfTestsDoesNotHideTheOthers) {
  Write("endless.test.js", "for (;;) {}");
  Write("empty.test.js", "");
  const CommandResult result = Test(".");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("endless.test.js:1:"), HasSubstr("CPU time"), HasSubstr("empty.test.js:1:1: has no test"),
                    HasSubstr("2 tests: 2 passed, 0 failed; 2 files with errors")));
}

// What the examples say of themselves holds.
TEST(RulesTestOfExamples, EveryExampleHoldsWhatItsTestsExpect) {
  std::vector<std::string> files = {SIGNALBOX_SOURCE_DIR "/examples/rules/policies"};
  for (const auto& entry : std::filesystem::directory_iterator(SIGNALBOX_SOURCE_DIR "/examples/rules")) {
    if (const std::string path = entry.path(); path.ends_with(".js") && !path.ends_with(".test.js"))
      files.push_back(path);
  }
  ASSERT_GT(files.size(), 1U);
  for (const std::string& file : files) {
    const CommandResult result = RunShell(SignalboxProgram() + " rules test " + file);
    EXPECT_EQ(result.exit_code, 0) << file << "\n" << result.output;
    EXPECT_THAT(result.output, HasSubstr(" passed, 0 failed;")) << file;
  }
}

}  // namespace
}  // namespace signalbox
