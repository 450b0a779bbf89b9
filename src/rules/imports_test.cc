// Rule files that import one another.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/test_folder.h"
#include "rules/test_rules.h"

namespace signalbox::rules {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;
using Files = std::vector<SourceFile>;

constexpr char kCommon[] =
    "export const model = (version) => ({name: 'ranker', version});\n"
    "export const home = Objectives.Home;\n";
constexpr char kHome[] =
    "import {model, home} from './common.js';\n"
    "export default [{objective: home, defaultModel: model('7')}];\n";

std::string Declaring(const std::string& name) {
  return fmt::format("export default [{{objective: Objectives.{}, defaultModel: {{name: 'm'}}}}];\n", name);
}

TEST(Imports, AFileUsesWhatAnotherExports) {
  for (const Files& files :
       {Files{{"home.js", kHome}, {"common.js", kCommon}}, Files{{"common.js", kCommon}, {"home.js", kHome}}}) {
    const auto rule_set = Evaluate("default", files);
    ASSERT_TRUE(rule_set.ok()) << Message(rule_set.status());
    ASSERT_EQ(rule_set->objectives_size(), 1);
    EXPECT_EQ(rule_set->objectives(0).name(), "Home");
    EXPECT_EQ(rule_set->objectives(0).default_model().version(), "7");
    EXPECT_EQ(rule_set->objectives(0).source().file(), "home.js");
    EXPECT_EQ(rule_set->objectives(0).source().line(), 2U);
  }
}

TEST(Imports, AnImportedFileRunsOnceAndMayHaveRulesOfItsOwn) {
  const Files files = {
      {"a.js", "import {count} from './lib/common.js'; count.of++;\n" + Declaring("A")},
      {"b.js",
       "import {count} from './lib/common.js'; count.of++; if (count.of !== 2) throw new Error(`${count.of}`);\n" +
           Declaring("B")},
      {"lib/common.js", "import './deep.js'; export const count = {of: 0};\n" + Declaring("Common")},
      {"lib/deep.js", "export {};"}};
  const auto rule_set = Evaluate("default", files);
  ASSERT_TRUE(rule_set.ok()) << Message(rule_set.status());
  ASSERT_EQ(rule_set->objectives_size(), 3);
  EXPECT_EQ(rule_set->objectives(2).name(), "Common");
  EXPECT_EQ(rule_set->objectives(2).source().file(), "lib/common.js");
}

TEST(Imports, ScriptsBesideModulesKeepTheirOwnWorld) {
  EXPECT_THAT(Problems(Files{{"home.js", "Array.prototype.polluted = 1;\n" + std::string(kHome)},
                             {"common.js", kCommon},
                             {"script.js",
                              "if ([].polluted) throw new Error('leak');\n"
                              "function defineOtherRule() { return {objective: Objectives.Other, defaultModel: {name: "
                              "'m'}}; }"}}),
              ElementsAre());
}

TEST(Imports, AMissingFileIsNamedWhereItIsImportedWithTheNearestOne) {
  EXPECT_THAT(
      Problems(
          Files{{"home.js", "\nimport {model} from './lib/comon.js';"}, {"lib/common.js", kCommon + Declaring("A")}}),
      ElementsAre("home.js:2:21: import: there is no file './lib/comon.js', did you mean \"./lib/common.js\"?"));
}

TEST(Imports, AMissingExportIsNamedWithTheNearestOne) {
  EXPECT_THAT(Problems(Files{{"home.js", "import {home,\n  modl} from './common.js';\n" + Declaring("A")},
                             {"common.js", kCommon}}),
              ElementsAre("home.js:2:3: import: \"modl\" is not exported by common.js, did you mean \"model\"?"));
  EXPECT_THAT(
      Problems(Files{{"home.js", "export {modl} from './common.js';\n" + Declaring("A")}, {"common.js", kCommon}}),
      ElementsAre("home.js:1:9: import: \"modl\" is not exported by common.js, did you mean \"model\"?"));
  EXPECT_THAT(Problems(Files{{"home.js", "import x from './common.js';\n" + Declaring("A")}, {"common.js", kCommon}}),
              ElementsAre("home.js:1:8: import: \"default\" is not exported by common.js; exported are home, model"));
}

TEST(Imports, AnErrorInAnImportedFileIsToldOnceAtItsPlace) {
  const std::string user = "import {f} from './common.js';\n";
  EXPECT_THAT(Problems(Files{{"a.js", user + Declaring("A")},
                             {"b.js", user + Declaring("B")},
                             {"common.js", "export const f = 1;\n  throw new Error('no');"}}),
              ElementsAre("common.js:2:9: Error: no"));
  EXPECT_THAT(Problems(Files{{"a.js", user + Declaring("A")}, {"common.js", "export const f = ;"}}),
              ElementsAre(StartsWith("common.js:1:18: SyntaxError")));
  EXPECT_THAT(Problems(Files{{"a.js", user + "export function defineRule() { return f(); }"},
                             {"common.js", "export function f() {\n  throw new Error('no');\n}"}}),
              ElementsAre("common.js:2:9: defineRule: Error: no"));
  EXPECT_THAT(Problems(Files{{"a.js", user + Declaring("A")}, {"common.js", "export const f = await 1;"}}),
              ElementsAre("common.js:1:1: the file waits (`await` at its top level): rules cannot wait for anything"));
}

TEST(Imports, AMisspelledObjectiveOfAnotherFileIsToldWhereTheRuleUsesIt) {
  EXPECT_THAT(
      Problems(Files{{"a.js",
                      "import {target} from './common.js';\n"
                      "export default [{objective: Objectives.Home, defaultModel: {name: 'm'}},\n"
                      "  {trafficShiftId: 's', targetObjectives: target, toModel: {name: 'n'}, percentage: 1}];"},
                     {"common.js", "\n\n\nexport const target = Objectives.Hom;"}}),
      ElementsAre(StartsWith("a.js:3:25: traffic shift s: Objective Hom does not exist, did you mean \"Home\"?")));
}

TEST(Imports, ACircleIsRefusedWithTheWholeChain) {
  EXPECT_THAT(
      Problems(Files{{"c.js", "import './a.js';\n" + Declaring("C")},
                     {"a.js", "import './b.js';\n" + Declaring("A")},
                     {"b.js", "\nimport './c.js'; " + Declaring("B")},
                     {"d.js", "import './a.js';\n" + Declaring("D")}}),
      ElementsAre("c.js:1:8: imports in a circle: c.js:1:8 imports a.js, a.js:1:8 imports b.js, b.js:2:8 imports c.js; "
                  "move what these files share into one that imports none of them"));
  EXPECT_THAT(Problems(Files{{"a.js", "import * as me from './a.js';\n" + Declaring("A")}}),
              ElementsAre(StartsWith("a.js:1:21: imports in a circle: a.js:1:21 imports a.js;")));
}

TEST(Imports, ACircleOfAThousandFilesIsToldAndAChainOfAThousandRuns) {
  Limits limits;
  limits.files_max = 1000;
  for (const bool is_circle : {true, false}) {
    Files files;
    for (int i = 0; i < 1000; ++i) {
      const bool imports = is_circle || i < 999;
      files.push_back({fmt::format("f{}.js", i),
                       fmt::format("{}export const v{} = {};\n",
                                   imports ? fmt::format("import './f{}.js';", (i + 1) % 1000) : "", i, i)});
    }
    files[0].text += Declaring("A");
    const std::vector<std::string> problems = Problems(files, limits);
    if (is_circle) {
      ASSERT_EQ(problems.size(), 1U);
      EXPECT_THAT(problems[0], HasSubstr("f998.js:1:8 imports f999.js, f999.js:1:8 imports f0.js; move"));
    } else {
      EXPECT_THAT(problems, ElementsAre());
    }
  }
  EXPECT_THAT(Problems(Files(300, {"a.js", ""})), testing::Contains("300 files in one rule set, expected at most 256"));
}

TEST(Imports, OnlyPathsInsideTheFolderAreImported) {
  const std::pair<const char*, const char*> cases[] = {
      {"../../etc/passwd", "leads out of the folder"},
      {"./../../../../../../../../etc/passwd", "leads out of the folder"},
      {"../rules2/x.js", "leads out of the folder"},
      {"/etc/passwd", "is no path that begins with './' or '../'"},
      {"file:///etc/passwd", "is no path that begins with './' or '../'"},
      {"https://example.com/x.js", "is no path that begins with './' or '../'"},
      {"lodash", "is no path that begins with './' or '../'"},
      {"", "is no path that begins with './' or '../'"},
      {"./a\\n\\u001b[31mb.js", "'./a\\x0a\\x1b[31mb.js' is no path"},
      {"./home.test.js", "is a file of tests"},
      {".\\\\common.js", "is no path that begins with"},
      {"./", "there is no file './'"},
      {"./..", "leads out of the folder"},
  };
  for (const auto& [specifier, expected] : cases) {
    const std::vector<std::string> problems =
        Problems(Files{{"rules/home.js", fmt::format("import '{}';\n", specifier) + Declaring("A")}});
    ASSERT_EQ(problems.size(), 1U) << specifier;
    EXPECT_THAT(problems[0], StartsWith("rules/home.js:1:8: import: ")) << specifier;
    EXPECT_THAT(problems[0], HasSubstr(expected)) << specifier;
  }
}

TEST(Imports, OnlyWhatStandsAtTheTopIsImported) {
  for (const char* source :
       {"export default [import('./common.js')]", "function defineRule() { return import('./x.js'); }",
        "try { import('./common.js').catch(() => 1); } catch {}\nfunction defineRule() { return 1; }"}) {
    EXPECT_THAT(Problems(source), testing::Each(HasSubstr("import() is not possible in rules"))) << source;
    EXPECT_EQ(Problems(source).size(), 1U) << source;
  }
}

TEST(Imports, AScriptThatIsImportedWouldLoseItsRules) {
  EXPECT_THAT(Problems(Files{
                  {"a.js", "import './b.js';\n" + Declaring("A")},
                  {"b.js", "function defineRule() { return {objective: Objectives.B, defaultModel: {name: 'm'}}; }"}}),
              ElementsAre("b.js:1:1: is imported by another file and exports nothing; put `export` before what others "
                          "are to use"));
  EXPECT_THAT(
      Problems(Files{{"a.js", "import {x} from './b.js';\n" + Declaring("A")},
                     {"b.js",
                      "export const x = 1;\n"
                      "function defineRule() { return {objective: Objectives.B, defaultModel: {name: 'm'}}; }"}}),
      ElementsAre(StartsWith("b.js:2:10: defineRule would be left out: put `export` before it")));
  EXPECT_THAT(Problems(Files{{"b.js", "export const x = 1;\n"}}), ElementsAre(HasSubstr("exports no rule")));
}

TEST(Imports, TestFilesAreNoRules) {
  EXPECT_THAT(Problems(Files{{"a.js", Declaring("A")}, {"a.test.js", "test('x', () => {})"}}),
              ElementsAre("a.test.js: a file of tests, which is never part of the rules; leave it out"));
}

class ImportsFromDisk : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = folder_.File(name);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
    return path;
  }

  // What is wrong with the rule set of `paths` and what they import.
  static std::vector<std::string> ProblemsOnDisk(const std::vector<std::string>& paths) {
    const auto files = ReadSourceFiles(paths);
    if (!files.ok()) return {std::string(Message(files.status()))};
    return Problems(*files);
  }

  TestFolder folder_;
};

TEST_F(ImportsFromDisk, FilesBesideAreReadAlongWithWhatTheyImport) {
  const std::string home = Write("rules/home.js",
                                 "import {model, home} from './lib/common.js';\n"
                                 "export default [{objective: home, defaultModel: model('7')}];\n");
  Write("rules/lib/common.js", "export * from './model.js';\nexport const home = Objectives.Home;");
  Write("rules/lib/model.js", "export const model = (version) => ({name: 'ranker', version});");
  Write("rules/unused.js", "this is no JavaScript");
  const auto files = ReadSourceFiles({home});
  ASSERT_TRUE(files.ok()) << Message(files.status());
  std::vector<std::string> names;
  for (const SourceFile& file : *files)
    names.push_back(std::filesystem::path(file.path).lexically_relative(folder_.File("rules")).string());
  EXPECT_THAT(names, ElementsAre("home.js", "lib/common.js", "lib/model.js"));
  EXPECT_THAT(Problems(*files), ElementsAre());
}

TEST_F(ImportsFromDisk, AMissingFileIsNamedWithItsNeighbour) {
  const std::string home = Write("home.js", "import './comon.js';\n" + Declaring("A"));
  Write("common.js", "export {}");
  const std::vector<std::string> problems = ProblemsOnDisk({home});
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_THAT(problems[0], StartsWith(home + ":1:8: import: there is no file "));
  EXPECT_THAT(problems[0], EndsWith("comon.js, did you mean \"common.js\"?"));
}

TEST_F(ImportsFromDisk, AFolderOrAPipeIsToldWhereItIsImported) {
  std::filesystem::create_directory(folder_.File("lib.js"));
  ASSERT_EQ(mkfifo(folder_.File("pipe.js").c_str(), 0600), 0);
  const std::string home = Write("home.js", "import './lib.js';\nimport './pipe.js';\n" + Declaring("A"));
  const std::vector<std::string> problems = ProblemsOnDisk({home});
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_THAT(problems[0], StartsWith(home + ":1:8: import: "));
  EXPECT_THAT(problems[0], EndsWith("lib.js is a folder, expected a file"));
  EXPECT_THAT(problems[1], StartsWith(home + ":2:8: import: "));
  EXPECT_THAT(problems[1], EndsWith("pipe.js is no regular file, expected a file"));
}

TEST_F(ImportsFromDisk, TheSameFileTwiceIsToldHoweverItIsWritten) {
  const std::string home = Write("home.js", Declaring("A"));
  const std::string other = folder_.File("x/../home.js");
  std::filesystem::create_directory(folder_.File("x"));
  EXPECT_THAT(ProblemsOnDisk({home, home}), ElementsAre(home + ": given twice, expected once"));
  EXPECT_THAT(ProblemsOnDisk({home, other}),
              ElementsAre(other + ": given twice (as " + home + " before), expected once"));
}

TEST_F(ImportsFromDisk, NothingOutsideIsReadAlsoNotThroughLinks) {
  Write("secret.js", "this is no JavaScript");
  Write("rules/common.js", "export {}");
  std::filesystem::create_symlink(folder_.File("secret.js"), folder_.File("rules/link.js"));
  std::filesystem::create_directory_symlink(folder_.File("."), folder_.File("rules/up"));
  std::filesystem::create_symlink("common.js", folder_.File("rules/inside.js"));
  const std::pair<const char*, const char*> cases[] = {
      {"../secret.js", "leads out of the folder"},
      {"./link.js", "symbolic link that leads out of the folder"},
      {"./up/secret.js", "symbolic link that leads out of the folder"},
  };
  for (const auto& [specifier, expected] : cases) {
    const std::string home = Write("rules/home.js", fmt::format("import '{}';\n", specifier) + Declaring("A"));
    const std::vector<std::string> problems = ProblemsOnDisk({home});
    ASSERT_EQ(problems.size(), 1U) << specifier;
    EXPECT_THAT(problems[0], HasSubstr("home.js:1:8: import: ")) << specifier;
    EXPECT_THAT(problems[0], HasSubstr(expected)) << specifier;
  }
  EXPECT_THAT(ProblemsOnDisk({Write("rules/home.js", "import './inside.js';\n" + Declaring("A"))}), ElementsAre());
}

TEST_F(ImportsFromDisk, NamingAFileWidensTheFolder) {
  const std::string common = Write("common.js", "export const x = 1;");
  const std::string home = Write("team/home.js", "import {x} from '../common.js';\n" + Declaring("A"));
  EXPECT_THAT(ProblemsOnDisk({home}), ElementsAre(HasSubstr("leads out of the folder")));
  EXPECT_THAT(ProblemsOnDisk({home, common}), ElementsAre());
}

TEST_F(ImportsFromDisk, LimitsHoldForWhatIsImportedToo) {
  std::string first;
  for (int i = 0; i < 400; ++i) {
    const std::string path = Write(fmt::format("f{}.js", i), fmt::format("import './f{}.js';\n", (i + 1) % 400));
    if (i == 0) first = path;
  }
  EXPECT_THAT(ProblemsOnDisk({first}), ElementsAre("257 files in one rule set, expected at most 256"));
  Limits limits;
  limits.source_bytes_max = 100;
  Write("large.js", std::string(101, ' '));
  const auto files = ReadSourceFiles({Write("home.js", "import './large.js';")}, limits);
  EXPECT_THAT(std::string(Message(files.status())), HasSubstr("large.js: 101 bytes, the limit is 100"));
}

TEST_F(ImportsFromDisk, TestFilesAmongTheGivenOnesAreLeftOut) {
  const std::string home = Write("home.js", Declaring("A"));
  const std::string test = Write("home.test.js", "test('x', () => {})");
  EXPECT_THAT(ProblemsOnDisk({home, test}), ElementsAre());
  EXPECT_THAT(ProblemsOnDisk({test}), ElementsAre(HasSubstr("a file of tests")));
}

}  // namespace
}  // namespace signalbox::rules
