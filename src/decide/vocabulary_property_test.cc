// What docs/decisions/0007-decision-order.md says of every decision, held to random rule sets of every kind of rule.
// Each test prints the seed of the rule set that breaks it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/allocation_count.h"
#include "decide/decide.h"
#include "decide/explain.h"
#include "decide/remote_questions.h"
#include "decide/test_expected_decision.h"
#include "decide/test_random_vocabulary.h"
#include "decide/test_snapshot.h"

namespace signalbox::decide {
namespace {

constexpr uint64_t kRuleSets = 200;
constexpr int kContexts = 150;

ExpectedDecision InWords(const Decision& decision) {
  ExpectedDecision words;
  words.model = decision.answer->model->id;
  words.reason = Name(decision.answer->reason);
  for (const Answer* fallback : decision.fallbacks) words.fallbacks.push_back(fallback->model->id);
  if (decision.limits != nullptr) words.policy = decision.limits->policy;
  if (decision.limits != nullptr) words.burst = decision.limits->burst;
  if (decision.static_answer != nullptr) words.static_answer = decision.static_answer->message;
  words.override_rule = decision.override_rule;
  for (const Enrolment& each : decision.enrolments) words.cells.emplace_back(each.experiment, each.cell);
  for (const Shadow* shadow : decision.shadows) words.shadows.emplace_back(shadow->id);
  const v1::ObjectiveConfig config = ConfigOf(decision);
  words.parameters = {config.parameters().begin(), config.parameters().end()};
  return words;
}

// Runs `property(proto, snapshot, published, objective, context)` for each Objective and many contexts of every seed.
template <typename Property>
void ForAllDecisions(Property property) {
  for (uint64_t seed = 1; seed <= kRuleSets; ++seed) {
    SCOPED_TRACE("rule set of seed " + std::to_string(seed));
    RandomVocabulary random(seed);
    const v1::Snapshot proto = random.WholeSnapshot();
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
    ASSERT_EQ(InWords(decision), RuleReading(published, objective, context).Decide()) << Explain(snapshot, context);
    ++seen[std::string(Name(decision.answer->reason))];
    seen["several cells"] += decision.enrolments.size() > 1;
    seen["shadows"] += !decision.shadows.empty();
    for (size_t i = 0; i < kNoteNames.size(); ++i) seen[std::string(kNoteNames[i])] += decision.notes >> i & 1;
  });
  for (const char* what : {"default", "experiment", "traffic_shift", "context_rule", "override", "several cells",
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
