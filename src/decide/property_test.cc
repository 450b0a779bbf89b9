// What design.md says of every decision, held to random rule sets. Each test prints the seed of the rule set that
// breaks it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/allocation_count.h"
#include "decide/bucket.h"
#include "decide/decide.h"
#include "decide/explain.h"
#include "decide/test_random_rules.h"
#include "decide/test_snapshot.h"

namespace signalbox::decide {
namespace {

constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kRuleSets = 150;
constexpr size_t kUsers = 300;

std::string ModelId(const v1::ModelRef& ref) {
  return ref.version().empty() ? ref.name() : ref.name() + "@" + ref.version();
}

// What a decision comes to, in words that can be compared across snapshots.
struct Outcome {
  std::string model;
  Reason reason = Reason::kDefault;
  std::string experiment;
  std::string cell;

  friend bool operator==(const Outcome&, const Outcome&) = default;
  friend void PrintTo(const Outcome& outcome, std::ostream* out) {
    *out << outcome.model << " by " << Name(outcome.reason) << " " << outcome.experiment << "/" << outcome.cell;
  }
};

Outcome Decided(const Snapshot& snapshot, std::string_view objective, std::string_view user) {
  const Decision decision = Decide(snapshot, {.objective = objective, .user = user});
  const Enrolment main = decision.main_enrolment();
  return {decision.answer->model->id, decision.answer->reason, std::string(main.experiment), std::string(main.cell)};
}

template <typename Rule>
bool Targets(const Rule& rule, const std::string& objective) {
  return std::find(rule.objectives().begin(), rule.objectives().end(), objective) != rule.objectives().end();
}

// The decision as design.md tells it, straight from the rules, with nothing worked out in advance.
Outcome Expected(const v1::RuleSet& rules, const v1::Objective& objective, const std::string& user) {
  const std::string default_model = ModelId(objective.default_model());
  Outcome by_default = {default_model, Reason::kDefault, "", ""};
  if (user.empty()) return by_default;
  Outcome by_shift = {"", Reason::kTrafficShift, "", ""};
  bool is_in_a_cell = false;
  for (int priority = -2; priority <= 2 && !is_in_a_cell; ++priority) {
    for (const v1::Experiment& experiment : rules.experiments()) {
      if (is_in_a_cell || experiment.priority() != priority || !Targets(experiment, objective.name())) continue;
      const std::string& seed = experiment.seed().empty() ? experiment.id() : experiment.seed();
      if (Bucket(BucketSeed(Purpose::kAllocation, seed), user) >= experiment.allocation_ppm()) continue;
      uint32_t left = Bucket(BucketSeed(Purpose::kCell, seed), user);
      for (const v1::Cell& cell : experiment.cells()) {
        if (left < cell.weight_ppm()) {
          if (cell.has_model()) return {ModelId(cell.model()), Reason::kExperiment, experiment.id(), cell.name()};
          by_default = {default_model, Reason::kDefault, experiment.id(), cell.name()};
          by_shift = {"", Reason::kTrafficShift, experiment.id(), cell.name()};
          is_in_a_cell = true;
          break;
        }
        left -= cell.weight_ppm();
      }
    }
  }
  for (const v1::TrafficShift& shift : rules.traffic_shifts()) {
    if (!Targets(shift, objective.name())) continue;
    if (shift.has_from() && ModelId(shift.from()) != default_model) continue;
    const std::string& seed = shift.seed().empty() ? shift.id() : shift.seed();
    if (Bucket(BucketSeed(Purpose::kShift, seed), user) >= shift.share_ppm()) continue;
    by_shift.model = ModelId(shift.to());
    return by_shift;
  }
  return by_default;
}

// Runs `property(rules, random, users)` for every seed.
template <typename Property>
void ForAllRuleSets(Property property) {
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kRuleSets; ++seed) {
    SCOPED_TRACE("rule set of seed " + std::to_string(seed));
    RandomRules random(seed);
    const v1::Snapshot proto = random.Snapshot();
    std::vector<std::string> users = random.Users(kUsers);
    users.push_back("");
    property(proto, random, users);
    if (testing::Test::HasFailure()) return;  // one example is enough
  }
}

std::vector<std::string> ObjectivesOf(const Snapshot& snapshot) {
  const std::vector<std::string_view> names = snapshot.ObjectiveNames();
  return {names.begin(), names.end()};
}

TEST(DecisionProperty, IsWhatTheRulesSayReadOneByOne) {
  std::map<Reason, int> seen;
  ForAllRuleSets([&](const v1::Snapshot& proto, RandomRules&, const std::vector<std::string>& users) {
    const auto snapshot = CompileOrDie(proto);
    for (const v1::PublishedRuleSet& published : proto.rule_sets()) {
      for (const v1::Objective& objective : published.rule_set().objectives()) {
        for (const std::string& user : users) {
          const Outcome outcome = Decided(*snapshot, objective.name(), user);
          ASSERT_EQ(outcome, Expected(published.rule_set(), objective, user)) << objective.name() << ", " << user;
          ++seen[outcome.reason];
        }
      }
    }
  });
  // The rule sets are varied enough to say something about every kind of rule.
  for (Reason reason : {Reason::kDefault, Reason::kExperiment, Reason::kTrafficShift}) EXPECT_GT(seen[reason], 10'000);
}

TEST(DecisionProperty, FallbacksAreTheDeclaredOnesInOrderWithoutTheChosenModelOrRepeats) {
  ForAllRuleSets([](const v1::Snapshot& proto, RandomRules&, const std::vector<std::string>& users) {
    const auto snapshot = CompileOrDie(proto);
    for (const v1::PublishedRuleSet& published : proto.rule_sets()) {
      for (const v1::Objective& objective : published.rule_set().objectives()) {
        for (const std::string& user : users) {
          const Decision decision = Decide(*snapshot, {.objective = objective.name(), .user = user});
          std::vector<std::string> expected;
          for (const v1::ModelRef& ref : objective.fallback_models()) {
            const std::string id = ModelId(ref);
            if (id != decision.answer->model->id && std::find(expected.begin(), expected.end(), id) == expected.end())
              expected.push_back(id);
          }
          std::vector<std::string> actual;
          for (const Answer* fallback : decision.fallbacks) actual.push_back(fallback->model->id);
          ASSERT_EQ(actual, expected) << objective.name() << ", " << user;
        }
      }
    }
  });
}

TEST(DecisionProperty, RaisingAShiftNeverMovesAnyoneOutAndLoweringItNeverMovesAnyoneIn) {
  size_t moved = 0;
  size_t moved_in_cells = 0;
  ForAllRuleSets([&](v1::Snapshot proto, RandomRules& random, const std::vector<std::string>& users) {
    v1::RuleSet& rules = *proto.mutable_rule_sets(0)->mutable_rule_set();
    if (rules.traffic_shifts().empty()) random.AddShift(rules);
    // Alone on its Objectives, so that who is shifted is shifted by it.
    while (rules.traffic_shifts_size() > 1) rules.mutable_traffic_shifts()->RemoveLast();
    v1::TrafficShift& shift = *rules.mutable_traffic_shifts(0);
    uint32_t low = random.SharePpm();
    uint32_t high = random.SharePpm();
    if (low > high) std::swap(low, high);
    shift.set_share_ppm(low);
    const auto at_low = CompileOrDie(proto);
    shift.set_share_ppm(high);
    const auto at_high = CompileOrDie(proto);
    std::map<std::string, std::string> default_model_of;
    for (const v1::PublishedRuleSet& published : proto.rule_sets()) {
      for (const v1::Objective& objective : published.rule_set().objectives())
        default_model_of[objective.name()] = ModelId(objective.default_model());
    }
    for (const std::string& objective : ObjectivesOf(*at_low)) {
      for (const std::string& user : users) {
        const Outcome before = Decided(*at_low, objective, user);
        const Outcome after = Decided(*at_high, objective, user);
        if (before == after) continue;
        ++moved;
        // The only move that there is: from the default model into the shift, with or without a cell.
        ASSERT_EQ(before.model, default_model_of.at(objective)) << objective << ", " << user << ", " << low;
        ASSERT_EQ(after.model, ModelId(shift.to())) << objective << ", " << user << ", " << low << " to " << high;
        ASSERT_EQ(before.cell, after.cell) << objective << ", " << user << ", " << low << " to " << high;
        ASSERT_EQ(before.experiment, after.experiment);
        ASSERT_EQ(before.reason, Reason::kDefault);
        ASSERT_EQ(after.reason, Reason::kTrafficShift);
        ASSERT_TRUE(Targets(shift, objective));
        moved_in_cells += !before.experiment.empty();
      }
    }
  });
  EXPECT_GT(moved, 1000u);
  EXPECT_GT(moved_in_cells, 100u);
}

TEST(DecisionProperty, RaisingAnAllocationOnlyLetsUsersInAndMovesNobodyBetweenCells) {
  size_t moved = 0;
  ForAllRuleSets([&](v1::Snapshot proto, RandomRules& random, const std::vector<std::string>& users) {
    v1::RuleSet& rules = *proto.mutable_rule_sets(0)->mutable_rule_set();
    if (rules.experiments().empty()) random.AddExperiment(rules);
    v1::Experiment& experiment = *rules.mutable_experiments(0);
    uint32_t low = random.SharePpm(1);
    uint32_t high = random.SharePpm(1);
    if (low > high) std::swap(low, high);
    experiment.set_allocation_ppm(low);
    const auto at_low = CompileOrDie(proto);
    experiment.set_allocation_ppm(high);
    const auto at_high = CompileOrDie(proto);
    for (const std::string& objective : ObjectivesOf(*at_low)) {
      for (const std::string& user : users) {
        const Outcome before = Decided(*at_low, objective, user);
        const Outcome after = Decided(*at_high, objective, user);
        if (before == after) continue;
        ++moved;
        ASSERT_NE(before.experiment, experiment.id()) << objective << ", " << user << ", " << low << " to " << high;
        ASSERT_EQ(after.experiment, experiment.id()) << objective << ", " << user << ", " << low << " to " << high;
      }
    }
  });
  EXPECT_GT(moved, 1000u);
}

TEST(DecisionProperty, RulesOfOneTeamNeverChangeWhatAnotherTeamsObjectivesGet) {
  ForAllRuleSets([](const v1::Snapshot& proto, RandomRules& random, const std::vector<std::string>& users) {
    const auto alone = CompileOrDie(proto);
    v1::Snapshot together = proto;
    random.FillRuleSet("another", *together.add_rule_sets()->mutable_rule_set());
    const auto with_another = CompileOrDie(together);
    for (const std::string& objective : ObjectivesOf(*alone)) {
      for (const std::string& user : users)
        ASSERT_EQ(Decided(*alone, objective, user), Decided(*with_another, objective, user))
            << objective << ", " << user;
    }
  });
}

TEST(DecisionProperty, TheSameRulesGiveTheSameDecisionsToTheByteHoweverTheyArrived) {
  ForAllRuleSets([](const v1::Snapshot& proto, RandomRules&, const std::vector<std::string>& users) {
    const auto first = CompileOrDie(proto);
    v1::Snapshot arrived;
    ASSERT_TRUE(arrived.ParseFromString(first->proto().SerializeAsString()));
    std::reverse(arrived.mutable_rule_sets()->begin(), arrived.mutable_rule_sets()->end());
    const auto second = CompileOrDie(arrived);
    ASSERT_EQ(first->hash(), second->hash());
    for (const std::string& objective : ObjectivesOf(*first)) {
      for (const std::string& user : users) {
        const Answer& a = *Decide(*first, {.objective = objective, .user = user}).answer;
        const Answer& b = *Decide(*second, {.objective = objective, .user = user}).answer;
        ASSERT_EQ(a.index, b.index) << objective << ", " << user;
        ASSERT_EQ(a.objective_config, b.objective_config);
        ASSERT_EQ(a.open_inference_suffix, b.open_inference_suffix);
        ASSERT_EQ(a.serve_suffix, b.serve_suffix);
        ASSERT_EQ(a.model->routing_key, b.model->routing_key);
      }
    }
  });
}

TEST(DecisionProperty, IsExplainedAsItIsMade) {
  ForAllRuleSets([](const v1::Snapshot& proto, RandomRules&, const std::vector<std::string>& users) {
    const auto snapshot = CompileOrDie(proto);
    for (const std::string& objective : ObjectivesOf(*snapshot)) {
      for (size_t i = 0; i < users.size(); i += 10) {
        const RequestContext context = {.objective = objective, .user = users[i]};
        const Decision decision = Decide(*snapshot, context);
        const Explanation explanation = ExplainSteps(*snapshot, context);
        ASSERT_EQ(explanation.decision.answer, decision.answer) << objective << ", " << users[i];
        ASSERT_EQ(explanation.decision.fallbacks.data(), decision.fallbacks.data());
        const auto last_taken = std::find_if(explanation.steps.rbegin(), explanation.steps.rend(),
                                             [](const Step& step) { return step.outcome == StepOutcome::kTaken; });
        ASSERT_NE(last_taken, explanation.steps.rend());
        ASSERT_NE(last_taken->why.find("gives " + decision.answer->model->id), std::string::npos) << last_taken->why;
      }
    }
  });
}

TEST(DecisionProperty, NeverAllocates) {
  ForAllRuleSets([](const v1::Snapshot& proto, RandomRules&, const std::vector<std::string>& users) {
    const auto snapshot = CompileOrDie(proto);
    const std::vector<std::string> objectives = ObjectivesOf(*snapshot);
    const uint64_t before = AllocationCount();
    size_t answers = 0;
    for (const std::string& objective : objectives) {
      for (const std::string& user : users)
        answers += Decide(*snapshot, {.objective = objective, .user = user}).answer != nullptr;
    }
    ASSERT_EQ(AllocationCount(), before);
    ASSERT_EQ(answers, objectives.size() * users.size());
  });
}

// Two experiments that everybody takes part in, on two Objectives: knowing the cell in one must tell nothing about the
// cell in the other. Ids are as close as ids of real experiments are.
TEST(DecisionProperty, CellsOfTwoExperimentsAreIndependent) {
  constexpr uint64_t kSeed = 20260415;
  constexpr size_t kPopulation = 40'000;
  RandomRules random(kSeed);
  const std::vector<std::string> users = [&] {
    std::vector<std::string> ids;
    // All different: the same user twice would count as two that agree.
    for (size_t i = 0; i < kPopulation; ++i) ids.push_back(std::to_string(i) + "-" + Hex64(random.Number(0, ~0U - 1)));
    return ids;
  }();
  v1::Snapshot proto;
  v1::RuleSet& rules = *proto.add_rule_sets()->mutable_rule_set();
  rules.set_namespace_("team");
  constexpr int kExperiments = 8;
  for (int e = 0; e < kExperiments; ++e) {
    v1::Objective& objective = *rules.add_objectives();
    objective.set_name("Objective" + std::to_string(e));
    objective.mutable_default_model()->set_name("model");
    v1::Experiment& experiment = *rules.add_experiments();
    experiment.set_id(std::to_string(12345 + e));
    experiment.add_objectives(objective.name());
    experiment.set_allocation_ppm(1'000'000);
    for (const uint32_t weight_ppm : {100'000u, 200'000u, 300'000u, 400'000u}) {
      v1::Cell& cell = *experiment.add_cells();
      cell.set_name(std::to_string(experiment.cells_size() - 1));
      cell.set_weight_ppm(weight_ppm);
    }
  }
  const auto snapshot = CompileOrDie(proto);
  for (int a = 0; a < kExperiments; ++a) {
    for (int b = a + 1; b < kExperiments; ++b) {
      double counts[4][4] = {};
      for (const std::string& user : users) {
        const std::string cell_a = Decided(*snapshot, "Objective" + std::to_string(a), user).cell;
        const std::string cell_b = Decided(*snapshot, "Objective" + std::to_string(b), user).cell;
        ++counts[std::stoi(cell_a)][std::stoi(cell_b)];
      }
      // Against the declared weights, so that shares that are off would show as well: 15 degrees of freedom.
      double statistic = 0;
      for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) {
          const double expected = 0.1 * (i + 1) * 0.1 * (j + 1) * kPopulation;
          statistic += (counts[i][j] - expected) * (counts[i][j] - expected) / expected;
        }
      }
      EXPECT_LT(statistic, 56.5) << "exceeded once in a million by chance; " << a << " and " << b << ", seed " << kSeed;
    }
  }
}

}  // namespace
}  // namespace signalbox::decide
