// What is accepted when rules are checked can be run: the two sides read the same schema, and must not drift apart.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/rule_set.h"
#include "base/canonical_json.h"
#include "base/status.h"
#include "decide/decide.h"
#include "decide/objective.h"
#include "decide/remote_questions.h"
#include "decide/snapshot.h"
#include "decide/test_random_rules.h"
#include "rules/test_rules.h"

namespace signalbox::rules {
namespace {

static_assert(rule_set::kExperimentsMax == decide::kExperimentsMax);
static_assert(rule_set::kLayersMax == decide::kLayersMax);
static_assert(rule_set::kUnitsMax == decide::kUnitsMax);
static_assert(rule_set::kHoldoutsMax == decide::kHoldoutsMax);
static_assert(rule_set::kParameterRulesMax == decide::kParameterRulesMax);
static_assert(rule_set::kOverridesMax == decide::kOverridesMax);
static_assert(rule_set::kShadowsMax == decide::kShadowsMax);
static_assert(rule_set::kRemoteAllocationsMax == decide::kRemoteQuestionsMax);

constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kRuleSets = 100;

std::string Model(const v1::ModelRef& ref) {
  return fmt::format("{{name: '{}'{}}}", ref.name(),
                     ref.version().empty() ? "" : fmt::format(", version: '{}'", ref.version()));
}

template <typename Rule>
std::string Targets(const Rule& rule) {
  return fmt::format("targetObjectives: [Objectives.{}]", fmt::join(rule.objectives(), ", Objectives."));
}

// `rules` as somebody would have written them.
std::string Written(const v1::RuleSet& rules) {
  std::string text = "export default [\n";
  for (const v1::Objective& rule : rules.objectives()) {
    text += fmt::format("{{objective: Objectives.{}, defaultModel: {}, fallbackModels: [", rule.name(),
                        Model(rule.default_model()));
    for (const v1::ModelRef& ref : rule.fallback_models()) text += Model(ref) + ", ";
    text += "]},\n";
  }
  for (const v1::Experiment& rule : rules.experiments()) {
    std::string models;
    std::string parameters;
    std::string weights;
    for (const v1::Cell& cell : rule.cells()) {
      if (cell.has_model()) models += fmt::format("{}: {}, ", cell.name(), Model(cell.model()));
      if (!cell.has_model()) parameters += fmt::format("{}: {{}}, ", cell.name());
      weights += fmt::format("{}: {}, ", cell.name(), cell.weight_ppm() / 1e6);
    }
    text += fmt::format("{{abTestId: {}, {}, allocationPercentage: {}, priority: {}, cellWeights: {{{}}}", rule.id(),
                        Targets(rule), rule.allocation_ppm() / 1e4, rule.priority(), weights);
    if (!models.empty()) text += fmt::format(", cellToModel: {{{}}}", models);
    if (!parameters.empty()) text += fmt::format(", cellParameters: {{{}}}", parameters);
    text += "},\n";
  }
  for (const v1::TrafficShift& rule : rules.traffic_shifts()) {
    text += fmt::format("{{trafficShiftId: '{}', {}, toModel: {}, percentage: {}}},\n", rule.id(), Targets(rule),
                        Model(rule.to()), rule.share_ppm() / 1e4);
  }
  return text + "]";
}

absl::Status Compile(const v1::RuleSet& rules) {
  v1::Snapshot snapshot;
  *snapshot.add_rule_sets()->mutable_rule_set() = rules;
  return decide::Snapshot::Compile(std::move(snapshot)).status();
}

TEST(WhatIsAccepted, CompilesWhateverTheRulesAre) {
  int accepted = 0;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kRuleSets; ++seed) {
    decide::RandomRules random(seed);
    v1::RuleSet rules;
    random.FillRuleSet("team", rules);
    const auto rule_set = Evaluate("team", std::vector<SourceFile>{{"rules.js", Written(rules)}});
    if (!rule_set.ok()) continue;
    ++accepted;
    const absl::Status status = Compile(*rule_set);
    ASSERT_TRUE(status.ok()) << "seed " << seed << "\n" << Message(status) << "\n" << Written(rules);
  }
  EXPECT_GT(accepted, 20);
}

TEST(WhatIsAccepted, IsTheSameNameOnBothSides) {
  const std::string names[] = {"a",
                               "A9_",
                               "a-b",
                               "a.b",
                               "1a",
                               "_a",
                               "-",
                               ".",
                               "a b",
                               "a@1",
                               "\xC3\xA9",
                               "",
                               std::string(200, 'x'),
                               std::string(201, 'x')};
  const auto rules_with = [](const std::string& objective, const std::string& model) {
    return fmt::format("export default [{{objective: Objectives['{}'], defaultModel: {{name: '{}'}}}}]", objective,
                       model);
  };
  for (const std::string& name : names) {
    for (const bool is_objective : {true, false}) {
      const std::string objective = is_objective ? name : "Home";
      const std::string model = is_objective ? "base" : name;
      v1::RuleSet rules;
      rules.set_namespace_("team");
      rules.add_objectives()->set_name(objective);
      rules.mutable_objectives(0)->mutable_default_model()->set_name(model);
      EXPECT_EQ(Problems(rules_with(objective, model)).empty(), Compile(rules).ok()) << objective << ", " << model;
    }
  }
}

}  // namespace
}  // namespace signalbox::rules
