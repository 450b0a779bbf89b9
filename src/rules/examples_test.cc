// The rule files in examples/ and the types in api/ are what they say, and what passes the check can be run.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/status.h"
#include "decide/snapshot.h"
#include "rules/globals.h"
#include "rules/rules.h"

namespace signalbox::rules {
namespace {

const std::string kSource = SIGNALBOX_SOURCE_DIR;

std::vector<std::string> FilesIn(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(kSource + "/" + folder)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".js") && !name.ends_with(".test.js")) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

void ExpectRunnable(const std::vector<std::string>& paths) {
  const auto files = ReadSourceFiles(paths);
  ASSERT_TRUE(files.ok()) << Message(files.status());
  const auto rule_set = Evaluate("default", *files);
  ASSERT_TRUE(rule_set.ok()) << Message(rule_set.status());
  v1::Snapshot snapshot;
  *snapshot.add_rule_sets()->mutable_rule_set() = *rule_set;
  const auto compiled = decide::Snapshot::Compile(std::move(snapshot));
  EXPECT_TRUE(compiled.ok()) << Message(compiled.status());
}

TEST(Examples, EachFileIsARuleSetOfItsOwn) {
  for (const std::string& path : FilesIn("examples/rules")) {
    SCOPED_TRACE(path);
    ExpectRunnable({path});
  }
}

TEST(Examples, PoliciesAreImported) { ExpectRunnable({kSource + "/examples/rules/policies/home.js"}); }

TEST(Examples, TheDemosFilesAreOneRuleSetWithAndWithoutEachStepOfTheCanary) {
  const std::vector<std::string> demo = FilesIn("examples/rules/demo");
  ASSERT_FALSE(demo.empty());
  ExpectRunnable(demo);
  for (const std::string& step : FilesIn("examples/rules/demo-canary")) {
    SCOPED_TRACE(step);
    std::vector<std::string> paths = demo;
    paths.push_back(step);
    ExpectRunnable(paths);
  }
}

TEST(RuleTypes, ListTheConstantsThatThereAre) {
  const std::string types = ReadFile(kSource + "/api/rules.d.ts", 1 << 20).value();
  const size_t begin = types.find("declare const constants: {");
  ASSERT_NE(begin, std::string::npos);
  std::string expected = "declare const constants: {\n";
  for (const std::string_view name : Constants()) expected += fmt::format("  readonly {0}: \"{0}\";\n", name);
  EXPECT_EQ(types.substr(begin, expected.size() + 3), expected + "};\n");
}

TEST(Rules, WhatJustFitsCanBeRunAndWhatDoesNotIsToldHere) {
  for (const size_t length : {4072U, 4073U}) {
    const std::vector<SourceFile> files = {
        {"rules.js", fmt::format("export default [{{objective: Objectives.Home, defaultModel: {{name: 'base'}}, "
                                 "parameters: {{text: '{}'}}}}]",
                                 std::string(length, 'x'))}};
    const auto rule_set = Evaluate("default", files);
    if (length == 4073) {
      EXPECT_THAT(std::string(Message(rule_set.status())),
                  testing::HasSubstr("what is sent along with model base takes 4097 bytes, expected at most 4096"));
      continue;
    }
    ASSERT_TRUE(rule_set.ok()) << Message(rule_set.status());
    v1::Snapshot snapshot;
    *snapshot.add_rule_sets()->mutable_rule_set() = *rule_set;
    EXPECT_TRUE(decide::Snapshot::Compile(std::move(snapshot)).ok());
  }
}

// The cell takes the model of the shift, whose name is what makes it too long.
TEST(Rules, ACellsParametersHaveToFitWithTheModelThatATrafficShiftGivesIt) {
  const std::string text = fmt::format(
      "export default [{{objective: Objectives.Home, defaultModel: {{name: 'base'}}}},"
      "{{abTestId: 1, targetObjectives: Objectives.Home, cellParameters: {{1: {{text: '{}'}}}}}},"
      "{{trafficShiftId: 's', targetObjectives: Objectives.Home, toModel: {{name: '{}'}}, percentage: 1}}]",
      std::string(3950, 'x'), std::string(200, 'm'));
  const auto rule_set = Evaluate("default", std::vector<SourceFile>{{"rules.js", text}});
  EXPECT_THAT(std::string(Message(rule_set.status())),
              testing::HasSubstr("experiment 1: cell 1: what is sent along with model mmm"));
}

}  // namespace
}  // namespace signalbox::rules
