// `signalbox resolve` of a rule set with every kind of rule: each step on the way, for people and for programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/file.h"
#include "base/test_folder.h"
#include "tests/support/real_processes.h"

namespace signalbox {
namespace {

using ::testing::HasSubstr;

constexpr char kRules[] = R"js(export default [
  { objective: Objectives.Home, defaultModel: { name: 'base' }, policy: 'standard', parameters: { depth: 50 } },
  { policyId: 'standard', limits: { burst: 5, priority: 'high' }, staticAnswer: { base64: 'aGVsbG8=' } },
  { policyId: 'strict', limits: { requestsPerSecond: 2 }, fallbackModels: [{ name: 'popular' }] },
  { ensembleId: 'mix', mode: 'mean', members: [{ name: 'left' }, { name: 'right' }], minimumMembers: 1 },
  { overrideId: 'testers', targetObjectives: Objectives.Home, callers: { tenants: ['qa'] } },
  { contextRuleId: 'tv', targetObjectives: Objectives.Home, when: when.device.is('tv'), model: { ensemble: 'mix' } },
  { contextRuleId: 'kids', targetObjectives: Objectives.Home, when: when.segments.has('kids'), policy: 'strict', parameters: { depth: 80 } },
  { layerId: 'ranking', unit: 'account' },
  { holdoutId: 'control', percentage: 100, unit: 'account', layers: ['ranking'], when: when.country.is('NZ') },
  { abTestId: 1, targetObjectives: Objectives.Home, layer: 'ranking', cellParameters: { on: { x: 1 } } },
  { abTestId: 2, targetObjectives: Objectives.Home, cellToModel: { a: { name: 'base' }, b: { name: 'new' } },
    remoteAllocation: { platform: 'growthbook', fallback: 'none' }, start: '2026-01-01T00:00:00Z' },
  { trafficShiftId: 'ramp', targetObjectives: Objectives.Home, toModel: { name: 'next' },
    schedule: { start: '2026-01-01T00:00:00Z', steps: [{ percentage: 0, hold: '1d' }, { percentage: 100 }] } },
  { shadowId: 'copy', targetObjectives: Objectives.Home, model: { name: 'next' }, sampleRate: 100 },
];
)js";

class ExplainCommandTest : public testing::Test {
 protected:
  ExplainCommandTest() { EXPECT_TRUE(WriteFileAtomically(folder_.File("rules.js"), kRules).ok()); }

  // With a user and an account; at a time when the shift is at 100 %, unless `arguments` name another.
  std::string Run(const std::string& arguments) const {
    const std::string at = arguments.find("--at ") == std::string::npos ? " --at 2026-02-01T00:00:00Z " : " ";
    const CommandResult result =
        RunShell("cd '" + folder_.path() + "' && '" + SignalboxProgram() +
                 "' resolve --rules rules.js --objective Home --user u1 --attribute account=a1" + at + arguments);
    EXPECT_EQ(result.exit_code, 0) << result.output;
    return result.output;
  }

  // By kind and id, "outcome: why"; and that the page for people says the same.
  std::map<std::string, std::string> Steps(const std::string& arguments) {
    json_ = nlohmann::json::parse(Run("--json " + arguments), nullptr, /*allow_exceptions=*/false);
    const std::string page = Run("--explain " + arguments);
    std::map<std::string, std::string> steps;
    for (const nlohmann::json& step : json_.at("steps")) {
      const std::string rule = step.at("rule");
      const std::string why = step.at("why");
      const std::string place = step.at("place");
      steps[rule] = step.at("outcome").get<std::string>() + ": " + why;
      kinds_[rule] = step.at("kind");
      EXPECT_THAT(place, testing::MatchesRegex("rules\\.js:[0-9]+:3")) << rule;
      const std::string mark = step.at("outcome") == "taken"    ? "TAKEN  "
                               : step.at("outcome") == "passed" ? "no     "
                                                                : "-      ";
      EXPECT_THAT(page, HasSubstr("  " + mark + rule + " "));
      EXPECT_THAT(page, HasSubstr("  " + why + "\n"));
    }
    return steps;
  }

  const nlohmann::json& Decision() const { return json_.at("decision"); }

  TestFolder folder_;
  nlohmann::json json_;
  std::map<std::string, std::string> kinds_;
};

TEST_F(ExplainCommandTest, EveryKindOfRuleIsAStep) {
  auto steps = Steps("--remote-cell 2=b");
  EXPECT_EQ(kinds_, (std::map<std::string, std::string>{{"override testers", "override"},
                                                        {"context rule tv", "context_rule"},
                                                        {"context rule kids", "context_rule"},
                                                        {"experiment 1", "experiment"},
                                                        {"experiment 2", "experiment"},
                                                        {"traffic shift ramp", "traffic_shift"},
                                                        {"default model", "default"},
                                                        {"shadow copy", "shadow"}}));
  EXPECT_EQ(steps["override testers"], "not_asked: the request asks for none");
  EXPECT_EQ(steps["context rule tv"], "passed: device is \"tv\" does not hold: the request has no device");
  EXPECT_THAT(steps["experiment 1"],
              HasSubstr("taken: cell on leaves the model to the rules below: everybody takes part"));
  EXPECT_EQ(steps["experiment 2"], "taken: cell b gives new: platform growthbook gave it");
  EXPECT_EQ(steps["traffic shift ramp"], "not_asked: the model is chosen");
  EXPECT_THAT(steps["shadow copy"], HasSubstr("taken: copies to next: the request falls at "));
  EXPECT_EQ(Decision().at("cells"), nlohmann::json({{"1", "on"}, {"2", "b"}}));
  EXPECT_EQ(Decision().at("shadows").at(0).at("model"), "next");
  EXPECT_EQ(Decision().at("limits").at("policy"), "standard");
  EXPECT_EQ(Decision().at("static_answer_bytes"), 5);
}

TEST_F(ExplainCommandTest, AContextRuleGivesAnEnsembleAnotherAPolicy) {
  auto steps = Steps("--device tv --segment kids");
  EXPECT_EQ(steps["context rule tv"], "taken: gives ensemble:mix: device is \"tv\" holds");
  EXPECT_EQ(steps["context rule kids"], "taken: gives policy strict, parameters: segments is \"kids\" holds");
  EXPECT_EQ(steps["experiment 2"], "not_asked: the model is chosen");
  EXPECT_EQ(Decision().at("ensemble").at("members").size(), 2u);
  EXPECT_EQ(Decision().at("fallbacks"), nlohmann::json::array({"popular"}));
  EXPECT_EQ(Decision().at("parameters").at("depth"), "80");
  const std::string page = Run("--device tv --segment kids");
  EXPECT_THAT(page, HasSubstr("member       left, "));
  EXPECT_THAT(page, HasSubstr("member       right, "));
  EXPECT_THAT(page, HasSubstr("policy       strict\n"));
  EXPECT_THAT(page, HasSubstr("shadow       copy, to next\n"));
}

TEST_F(ExplainCommandTest, AHoldoutAPlatformAndAScheduleSayWhyNobodyIsIn) {
  auto steps = Steps("--country NZ --at 2026-01-01T12:00:00Z");
  EXPECT_THAT(steps["experiment 1"], HasSubstr("passed: holdout control has the account, which falls at "));
  EXPECT_EQ(steps["experiment 2"], "passed: platform growthbook gave no cell, and then nobody takes part");
  EXPECT_THAT(steps["traffic shift ramp"], HasSubstr("passed: the user falls at "));
  EXPECT_THAT(steps["traffic shift ramp"], HasSubstr(", nobody is shifted"));
  EXPECT_EQ(steps["default model"], "taken: gives base");
  EXPECT_EQ(Decision().at("notes"), nlohmann::json::array({"remote_fallback"}));
  EXPECT_THAT(Steps("--at 2025-12-31T23:59:59Z")["experiment 2"], HasSubstr("passed: it has not started"));
}

TEST_F(ExplainCommandTest, AnOverrideSaysWhoMayAndWhoMayNot) {
  auto steps = Steps("--tenant qa --override-model next --override-cell 2=a");
  EXPECT_EQ(steps["override testers"], "taken: gives next: the caller may choose it and did");
  EXPECT_EQ(Decision().at("override_rule"), "testers");
  EXPECT_EQ(Decision().at("reason"), "override");
  EXPECT_EQ(Steps("--tenant web --override-model next")["override testers"],
            "passed: does not allow this caller what it asks for");
  EXPECT_EQ(Decision().at("notes").at(0), "override_refused");
}

}  // namespace
}  // namespace signalbox
