// The command as a whole: rules in JavaScript in, pages and lines out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "base/file.h"
#include "base/test_folder.h"

namespace signalbox::cli {
namespace {

using ::testing::HasSubstr;

struct Result {
  int exit_code = -1;
  std::string output;  // with what was written to the standard error
};

class ResolveCommandTest : public testing::Test {
 protected:
  ResolveCommandTest() {
    Write("rules.js", R"js(
function defineHomeRule() {
  return { objective: Objectives.Home, defaultModel: { name: 'ranker', version: 1 }, fallbackModels: [{ name: 'popular' }] };
}
function defineCanaryRule() {
  return { trafficShiftId: 'canary', targetObjectives: Objectives.Home, toModel: { name: 'ranker', version: 2 }, percentage: 100 };
}
)js");
    Write("placement.json", R"({"shards": {"s1": ["127.0.0.1:9000"]}, "models": {"ranker": ["s1"]}})");
  }

  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(folder_.File(name), text).ok());
  }

  // In the test's folder, by a shell.
  Result Run(const std::string& arguments) {
    const std::string command = "cd " + folder_.path() + " && " + SIGNALBOX_BINARY + " resolve " + arguments + " 2>&1";
    Result result;
    std::FILE* pipe = popen(command.c_str(), "r");
    char buffer[4096];
    for (size_t got = 0; (got = fread(buffer, 1, sizeof buffer, pipe)) > 0;) result.output.append(buffer, got);
    const int status = pclose(pipe);
    if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
    return result;
  }

  TestFolder folder_;
};

TEST_F(ResolveCommandTest, ExplainsWithPlacement) {
  const Result result = Run("--rules rules.js --placement placement.json --explain --objective Home --user u1");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("traffic shift canary"));
  EXPECT_THAT(result.output, HasSubstr("gives ranker@2"));
  EXPECT_THAT(result.output, HasSubstr("placement    shard s1 at 127.0.0.1:9000\n"));
  EXPECT_THAT(result.output, HasSubstr("not placed on any shard"));  // the fallback
}

TEST_F(ResolveCommandTest, KnowsTheRoutingKeyWithoutPlacement) {
  const Result with = Run("--rules rules.js --placement placement.json --objective Home --user u1 --json");
  const Result without = Run("--rules rules.js --objective Home --user u1 --json --attribute plan=basic");
  ASSERT_EQ(with.exit_code, 0) << with.output;
  ASSERT_EQ(without.exit_code, 0) << without.output;
  const auto a = nlohmann::json::parse(with.output);
  const auto b = nlohmann::json::parse(without.output);
  EXPECT_EQ(a.at("decision"), b.at("decision"));
  EXPECT_EQ(a.at("placement")[0].at("hosts")[0], "127.0.0.1:9000");
  EXPECT_TRUE(b.at("placement").is_null());
}

TEST_F(ResolveCommandTest, ReadsABatchFromAFileOrTheStandardInput) {
  Write("in.jsonl", "{\"objective\":\"Home\"}\n{\"objective\":\"Away\"}\n");
  const Result file = Run("--rules rules.js --batch in.jsonl");
  const Result input = Run("--rules rules.js --batch < in.jsonl");
  EXPECT_EQ(file.exit_code, 1);
  EXPECT_EQ(file.output, input.output);
  EXPECT_EQ(file.output, Run("--rules rules.js --batch - < in.jsonl").output);
  EXPECT_THAT(file.output, HasSubstr(R"("model":"ranker@1")"));
  EXPECT_THAT(file.output, HasSubstr(R"({"line":2,"error":"unknown Objective \"Away\""})"));
  EXPECT_THAT(file.output, HasSubstr("1 of 2 lines have errors"));
}

TEST_F(ResolveCommandTest, ExitCodesTellInputFromEnvironment) {
  Write("broken.js", "function defineXRule() { return { objective: Objectives.X }; }");
  EXPECT_EQ(Run("--rules rules.js --objective Away").exit_code, 1);
  EXPECT_EQ(Run("--rules broken.js --objective X").exit_code, 1);
  EXPECT_EQ(Run("--rules none.js --objective X").exit_code, 2);
  EXPECT_EQ(Run("--rules rules.js --batch none.jsonl").exit_code, 2);
  EXPECT_EQ(Run("--rules rules.js --objective Home --attribute plan").exit_code, 1);
  EXPECT_EQ(Run("--rules rules.js --objective Home --at tomorrow").exit_code, 1);
  EXPECT_EQ(Run("--rules rules.js --objective Home --random 12").exit_code, 1);
  EXPECT_EQ(Run("--rules rules.js --objective Home --override-cell 2").exit_code, 1);
  EXPECT_NE(Run("--rules rules.js --objective Home --traffic tests").exit_code, 0);
  EXPECT_NE(Run("--rules rules.js --batch --explain").exit_code, 0);
  EXPECT_NE(Run("--objective Home").exit_code, 0);
}

}  // namespace
}  // namespace signalbox::cli
