// What is accepted when rules are checked can be run: the two sides read the same schema, and must not drift apart.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "api/rule_set.h"
#include "base/canonical_json.h"
#include "base/status.h"
#include "decide/decide.h"
#include "decide/explain.h"
#include "decide/objective.h"
#include "decide/remote_questions.h"
#include "decide/snapshot.h"
#include "decide/test_random_vocabulary.h"
#include "decide/test_snapshot.h"
#include "rules/test_rules.h"
#include "rules/test_written_rules.h"

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
constexpr uint64_t kRuleSets = 60;
constexpr int kContexts = 20;

// What the random rule sets of src/decide do not have, or have as no author can write it.
void Complete(decide::RandomVocabulary& random, v1::RuleSet& rules) {
  for (v1::Layer& layer : *rules.mutable_layers()) layer.set_hash_version(layer.hash_version() == 0 ? 0 : 1);
  for (v1::Experiment& rule : *rules.mutable_experiments()) {
    if (rule.has_remote()) rule.mutable_remote()->set_fallback_cell("1");
    // Cells of cellToModel stand before those that are in cellParameters alone.
    std::stable_sort(rule.mutable_cells()->begin(), rule.mutable_cells()->end(),
                     [](const v1::Cell& a, const v1::Cell& b) { return a.has_model() && !b.has_model(); });
  }
  for (v1::TrafficShift& rule : *rules.mutable_traffic_shifts()) {
    for (v1::RampStep& step : *rule.mutable_schedule()->mutable_steps()) step.set_hold_ms(step.hold_ms() * 1000);
    if (rule.schedule().steps().empty()) rule.clear_schedule();
    // Of several shifts of an Objective one may be for everybody, and it shifts from the default model.
    if (!rule.has_condition()) *rule.mutable_condition() = random.Condition();
    rule.clear_from();
  }
  for (v1::Shadow& rule : *rules.mutable_shadows()) {
    if (random.Chance(50)) rule.mutable_comparison()->mutable_rank()->set_min(0.5);
  }
  for (v1::Holdout& rule : *rules.mutable_holdouts()) {
    if (random.Chance(70)) continue;
    v1::WeeklyWindow& window = *rule.mutable_condition()->mutable_weekly();
    window.add_days(static_cast<int32_t>(random.Number(1, 7)));
    window.set_from_minute(static_cast<int32_t>(random.Number(0, 1439)));
    window.set_to_minute(static_cast<int32_t>(random.Number(0, 1440)));
  }
  v1::Ensemble& ensemble = *rules.add_ensembles();
  ensemble.set_name("mix");
  ensemble.set_mode(static_cast<v1::Ensemble::Mode>(random.Number(1, 4)));
  for (const char* name : {"left", "right"}) {
    v1::EnsembleMember& member = *ensemble.add_members();
    member.mutable_model()->set_name(name);
    if (ensemble.mode() == v1::Ensemble::WEIGHTED) member.set_weight(0.5);
  }
  if (ensemble.mode() != v1::Ensemble::FIRST && random.Chance(50)) ensemble.set_min_members(1);
  for (v1::ContextRule& rule : *rules.mutable_context_rules()) {
    if (!rule.has_model() || random.Chance(50)) continue;
    rule.mutable_model()->Clear();
    rule.mutable_model()->set_ensemble("mix");
  }
}

// Each rule as a rule set of its own.
std::vector<v1::RuleSet> OneByOne(const v1::RuleSet& rules) {
  std::vector<v1::RuleSet> ones;
  for (const auto& rule : rules.objectives()) *ones.emplace_back().add_objectives() = rule;
  for (const auto& rule : rules.experiments()) *ones.emplace_back().add_experiments() = rule;
  for (const auto& rule : rules.traffic_shifts()) *ones.emplace_back().add_traffic_shifts() = rule;
  for (const auto& rule : rules.context_rules()) *ones.emplace_back().add_context_rules() = rule;
  for (const auto& rule : rules.layers()) *ones.emplace_back().add_layers() = rule;
  for (const auto& rule : rules.holdouts()) *ones.emplace_back().add_holdouts() = rule;
  for (const auto& rule : rules.shadows()) *ones.emplace_back().add_shadows() = rule;
  for (const auto& rule : rules.ensembles()) *ones.emplace_back().add_ensembles() = rule;
  for (const auto& rule : rules.overrides()) *ones.emplace_back().add_overrides() = rule;
  for (const auto& rule : rules.policies()) *ones.emplace_back().add_policies() = rule;
  return ones;
}

struct Accepted {
  std::string text;
  v1::RuleSet as_meant;
  v1::RuleSet as_read;
};

// Whatever is left of `rules` when those that are refused are taken out, again and again.
Accepted Accept(const v1::RuleSet& rules) {
  std::vector<v1::RuleSet> ones = OneByOne(rules);
  while (true) {
    Accepted accepted;
    accepted.text = "export default [\n";
    for (const v1::RuleSet& one : ones) accepted.text += RuleWriter().Write(one) + ",\n";
    accepted.text += "]";
    const Evaluation read = EvaluateWithDiagnostics("team0", std::vector<SourceFile>{{"rules.js", accepted.text, ""}});
    if (read.diagnostics.empty()) {
      accepted.as_read = read.rule_set;
      accepted.as_meant.set_namespace_("team0");
      for (const v1::RuleSet& one : ones) accepted.as_meant.MergeFrom(one);
      return accepted;
    }
    std::set<size_t, std::greater<>> refused;
    for (const Diagnostic& each : read.diagnostics) {
      // The first rule stands on line 2.
      if (each.line >= 2 && each.line < ones.size() + 2) refused.insert(each.line - 2);
    }
    if (refused.empty()) {
      ADD_FAILURE() << Format(read.diagnostics[0]) << "\n" << accepted.text;
      return {};
    }
    for (const size_t index : refused) ones.erase(ones.begin() + static_cast<ptrdiff_t>(index));
  }
}

absl::StatusOr<std::shared_ptr<const decide::Snapshot>> Compile(const v1::RuleSet& rules) {
  v1::Snapshot snapshot;
  *snapshot.add_rule_sets()->mutable_rule_set() = rules;
  return decide::Snapshot::Compile(std::move(snapshot));
}

// All that a request meets of a decision.
std::string InWords(const decide::Decision& decision) {
  const v1::ObjectiveConfig config = decide::ConfigOf(decision);
  const std::map<std::string, std::string> parameters(config.parameters().begin(), config.parameters().end());
  std::string words = fmt::format("{} by {}, fallbacks", decision.answer->model->id, Name(decision.answer->reason));
  for (const decide::Answer* fallback : decision.fallbacks) words += " " + fallback->model->id;
  words += ", members";
  for (const auto& member : decision.answer->members) words += " " + member.answer->model->id;
  words += ", cells";
  for (const decide::Enrolment& each : decision.enrolments) words += fmt::format(" {}={}", each.experiment, each.cell);
  words += ", shadows";
  for (const decide::Shadow* shadow : decision.shadows) words += fmt::format(" {}", shadow->id);
  for (const auto& [key, value] : parameters) words += fmt::format(", {}={}", key, value);
  if (decision.policy != nullptr) words += fmt::format(", policy {}", decision.policy->name);
  if (decision.static_answer != nullptr) words += fmt::format(", says {}", decision.static_answer->message);
  // Whether a value of the wrong type is met depends on the order of a condition's tests, which is not the author's.
  const uint32_t notes = decision.notes & ~decide::kWrongType;
  return words + fmt::format(", override {}, notes {}", decision.override_rule, notes);
}

TEST(WhatIsAccepted, CompilesAndDecidesAsItIsMeantWhateverTheRulesAre) {
  std::map<std::string, int> accepted_rules;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kRuleSets; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    decide::RandomVocabulary random(seed);
    v1::RuleSet rules = random.WholeSnapshot().rule_sets(0).rule_set();
    Complete(random, rules);
    const Accepted accepted = Accept(rules);
    const auto read = Compile(accepted.as_read);
    ASSERT_TRUE(read.ok()) << Message(read.status()) << "\n" << accepted.text;
    const auto meant = Compile(accepted.as_meant);
    ASSERT_TRUE(meant.ok()) << Message(meant.status()) << "\n" << accepted.text;
    for (int i = 0; i < kContexts; ++i) {
      decide::RandomContext context = random.Context((*meant)->proto());
      decide::RandomVocabulary::SetAttributes(context);
      for (const v1::Objective& objective : accepted.as_read.objectives()) {
        const decide::RequestContext request = context.View(objective.name());
        ASSERT_EQ(InWords(Decide(**read, request)), InWords(Decide(**meant, request))) << accepted.text << "\n"
                                                                                       << Explain(**read, request);
      }
    }
    accepted_rules["objectives"] += accepted.as_read.objectives_size();
    accepted_rules["experiments"] += accepted.as_read.experiments_size();
    accepted_rules["traffic shifts"] += accepted.as_read.traffic_shifts_size();
    accepted_rules["context rules"] += accepted.as_read.context_rules_size();
    accepted_rules["layers"] += accepted.as_read.layers_size();
    accepted_rules["holdouts"] += accepted.as_read.holdouts_size();
    accepted_rules["shadows"] += accepted.as_read.shadows_size();
    accepted_rules["ensembles"] += accepted.as_read.ensembles_size();
    accepted_rules["overrides"] += accepted.as_read.overrides_size();
    accepted_rules["policies"] += accepted.as_read.policies_size();
  }
  for (const auto& [kind, count] : accepted_rules) EXPECT_GT(count, 20) << kind;
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
