// What docs/decisions/0007-decision-order.md says of every decision, held to random rule sets of every kind of rule.
// Each test prints the seed of the rule set that breaks it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "base/allocation_count.h"
#include "decide/decide.h"
#include "decide/enrichment.h"
#include "decide/explain.h"
#include "decide/remote_questions.h"
#include "decide/test_expected_decision.h"
#include "decide/test_random_vocabulary.h"
#include "decide/test_snapshot.h"
#include "inference/open_inference.pb.h"
#include "signalbox/v1/serving.pb.h"

namespace signalbox::decide {
namespace {

constexpr uint64_t kRuleSets = 200;
constexpr int kContexts = 150;

// What goes to `answering` with a request of the Open Inference Protocol, and the same with every other kind.
std::map<std::string, std::string> ParametersFor(const Decision& decision, const Answer& answering) {
  std::string buffer;
  inference::ModelInferRequest infer;
  EXPECT_TRUE(infer.ParseFromString(std::string(OpenInferenceSuffix(decision, answering, buffer))));
  std::map<std::string, std::string> parameters;
  for (const auto& [key, value] : infer.parameters()) {
    if (!key.starts_with("sb_")) parameters[key] = value.string_param();
  }
  v1::ServeRequest serve;
  EXPECT_TRUE(serve.ParseFromString(std::string(ServeSuffix(decision, answering, buffer))));
  const auto& of_serve = serve.objective_config().parameters();
  EXPECT_EQ((std::map<std::string, std::string>{of_serve.begin(), of_serve.end()}), parameters);
  std::string bytes;
  v1::ObjectiveConfig config;
  EXPECT_TRUE(absl::Base64Unescape(std::string(ObjectiveConfigBase64(decision, answering, buffer)), &bytes));
  EXPECT_TRUE(config.ParseFromString(bytes));
  EXPECT_EQ(config.SerializeAsString().size(), serve.objective_config().SerializeAsString().size());
  return parameters;
}

ExpectedDecision InWords(const Decision& decision) {
  ExpectedDecision words;
  words.model = decision.answer->model->id;
  words.reason = Name(decision.answer->reason);
  for (const Answer* fallback : decision.fallbacks) words.fallbacks.push_back(fallback->model->id);
  if (decision.policy != nullptr) words.policy = decision.policy->name;
  if (decision.policy != nullptr) words.burst = decision.policy->limits.burst;
  if (decision.static_answer != nullptr) words.static_answer = decision.static_answer->message;
  words.override_rule = decision.override_rule;
  for (const Enrolment& each : decision.enrolments) words.cells.emplace_back(each.experiment, each.cell);
  for (const Shadow* shadow : decision.shadows) words.shadows.emplace_back(shadow->id);
  const v1::ObjectiveConfig config = ConfigOf(decision);
  words.parameters = {config.parameters().begin(), config.parameters().end()};
  return words;
}

// The first cell of an experiment, where it has a model, sets a parameter that context rules set as well.
void SetWhatContextRulesSet(v1::Snapshot& proto) {
  for (v1::PublishedRuleSet& published : *proto.mutable_rule_sets()) {
    for (v1::Experiment& experiment : *published.mutable_rule_set()->mutable_experiments()) {
      v1::Cell& cell = *experiment.mutable_cells(0);
      if (cell.has_model()) (*cell.mutable_parameters())["depth"] = "cell " + cell.name();
    }
  }
}

// Runs `property(proto, snapshot, published, objective, context)` for each Objective and many contexts of every seed.
template <typename Property>
void ForAllDecisions(Property property) {
  for (uint64_t seed = 1; seed <= kRuleSets; ++seed) {
    SCOPED_TRACE("rule set of seed " + std::to_string(seed));
    RandomVocabulary random(seed);
    v1::Snapshot proto = random.WholeSnapshot();
    SetWhatContextRulesSet(proto);
    const auto snapshot = CompileOrDie(proto);
    for (int i = 0; i < kContexts; ++i) {
      RandomContext context = random.Context(proto);
      RandomVocabulary::SetAttributes(context);
      for (const v1::PublishedRuleSet& published : snapshot->proto().rule_sets()) {
        for (const v1::Objective& objective : published.rule_set().objectives())
          property(*snapshot, published, objective, context.View(objective.name()));
      }
      if (testing::Test::HasFailure()) return;  // one example is enough
    }
  }
}

TEST(VocabularyProperty, ADecisionIsWhatTheRulesSayReadOneByOne) {
  std::map<std::string, int> seen;
  ForAllDecisions([&](const Snapshot& snapshot, const auto& published, const auto& objective, const auto& context) {
    const Decision decision = Decide(snapshot, context);
    ExpectedDecision expected = RuleReading(published, objective, context).Decide();
    const auto of_others = std::exchange(expected.parameters_of_others, {});
    ASSERT_EQ(InWords(decision), expected) << Explain(snapshot, context);
    ASSERT_EQ(ParametersFor(decision, *decision.answer), expected.parameters) << Explain(snapshot, context);
    for (const Answer* fallback : decision.fallbacks)
      ASSERT_EQ(ParametersFor(decision, *fallback), of_others) << Explain(snapshot, context);
    for (const Shadow* shadow : decision.shadows)
      ASSERT_EQ(ParametersFor(decision, *shadow->answer), of_others) << Explain(snapshot, context);
    // Where the chosen cell sets what another rule sets as well.
    seen["overlaid cells"] += !decision.fallbacks.empty() && of_others.contains("depth") &&
                              of_others.at("depth") != expected.parameters.at("depth");
    ++seen[std::string(Name(decision.answer->reason))];
    seen["several cells"] += decision.enrolments.size() > 1;
    seen["shadows"] += !decision.shadows.empty();
    for (size_t i = 0; i < kNoteNames.size(); ++i) seen[std::string(kNoteNames[i])] += decision.notes >> i & 1;
  });
  for (const char* what :
       {"default", "experiment", "traffic_shift", "context_rule", "override", "several cells", "overlaid cells",
        "shadows", "missing_unit", "wrong_type", "override_refused", "remote_fallback"})
    EXPECT_GT(seen[what], 300) << what;
}

TEST(VocabularyProperty, AnExplanationIsOfTheDecisionThatIsMade) {
  ForAllDecisions([&](const Snapshot& snapshot, const auto&, const auto&, const auto& context) {
    const Decision decision = Decide(snapshot, context);
    const Explanation explanation = ExplainSteps(snapshot, context);
    ASSERT_EQ(explanation.decision.answer, decision.answer);
    ASSERT_EQ(explanation.decision.notes, decision.notes);
    ASSERT_EQ(InWords(explanation.decision), InWords(decision));
    const bool says_the_model = std::any_of(explanation.steps.begin(), explanation.steps.end(), [&](const Step& step) {
      return step.outcome == StepOutcome::kTaken &&
             step.why.find("gives " + decision.answer->model->id) != std::string::npos;
    });
    ASSERT_TRUE(says_the_model) << Explain(snapshot, context);
  });
}

TEST(VocabularyProperty, ADecisionNeverAllocates) {
  uint64_t allocations = 0;
  ForAllDecisions([&](const Snapshot& snapshot, const auto&, const auto&, const auto& context) {
    // Regular expressions build their automata while they are used.
    Decide(snapshot, context);
    FindRemoteQuestions(snapshot, context);
    const uint64_t before = AllocationCount();
    Decide(snapshot, context);
    FindRemoteQuestions(snapshot, context);
    allocations += AllocationCount() - before;
  });
  EXPECT_EQ(allocations, 0u);
}

TEST(VocabularyProperty, AtMostOneExperimentOfALayerAndOneWithModelsTakesAUnitThatNobodyForced) {
  ForAllDecisions([&](const Snapshot& snapshot, const auto& published, const auto&, RequestContext context) {
    context.override_cells = {};
    std::set<std::string> layers;
    int with_models = 0;
    bool is_forced = false;
    for (const Enrolment& each : Decide(snapshot, context).enrolments) {
      for (const v1::Experiment& experiment : published.rule_set().experiments()) {
        if (experiment.id() != each.experiment) continue;
        is_forced |= !experiment.forced_cells().empty();
        const bool is_first = layers.insert(experiment.layer()).second;
        ASSERT_TRUE(is_first || is_forced) << experiment.layer();
        with_models += std::any_of(experiment.cells().begin(), experiment.cells().end(),
                                   [](const v1::Cell& cell) { return cell.has_model(); });
      }
    }
    ASSERT_LE(with_models, 1);
  });
}

TEST(RemoteQuestions, AreThoseWhoseAnswersCanMatter) {
  int asked = 0;
  ForAllDecisions([&](const Snapshot& snapshot, const auto&, const auto&, RequestContext context) {
    const std::span<const CellName> answers = context.remote_cells;
    context.remote_cells = {};
    std::set<std::string_view> questions;
    for (const RemoteQuestion& question : FindRemoteQuestions(snapshot, context)) {
      ASSERT_FALSE(question.unit.empty());
      questions.insert(question.experiment);
    }
    asked += static_cast<int>(questions.size());
    // Whatever platforms answer to what was not asked changes nothing.
    std::vector<CellName> relevant;
    std::copy_if(answers.begin(), answers.end(), std::back_inserter(relevant),
                 [&](const CellName& each) { return questions.contains(each.experiment); });
    context.remote_cells = answers;
    const ExpectedDecision with_all = InWords(Decide(snapshot, context));
    context.remote_cells = relevant;
    ASSERT_EQ(InWords(Decide(snapshot, context)), with_all);
  });
  EXPECT_GT(asked, 1000);
}

}  // namespace
}  // namespace signalbox::decide
