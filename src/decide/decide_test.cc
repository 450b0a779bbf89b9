#include "decide/decide.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <random>

#include "base/allocation_count.h"
#include "decide/bucket.h"
#include "decide/explain.h"
#include "decide/test_snapshot.h"
#include "signalbox/v1/objective_config.pb.h"

namespace signalbox::decide {
namespace {

using ::testing::HasSubstr;

// Every population below is drawn from this seed; failures print it.
constexpr uint32_t kSeed = 20260415;
constexpr int kUsers = 200'000;

std::vector<std::string> Users(int count) {
  std::mt19937_64 random(kSeed);
  std::vector<std::string> users;
  users.reserve(count);
  // As ids come in practice: counters, mail addresses, hex ids, decimal ids.
  for (int i = 0; i < count; ++i) {
    const uint64_t number = random();
    switch (i % 4) {
      case 0:
        users.push_back("user-" + std::to_string(i));
        break;
      case 1:
        users.push_back("u" + std::to_string(i) + "@example.com");
        break;
      case 2:
        users.push_back(Hex64(number));
        break;
      default:
        users.push_back(std::to_string(number % 1'000'000'000'000));
        break;
    }
  }
  return users;
}

// Of the experiment that the user takes part in, or of none.
std::string CellFor(const Snapshot& snapshot, std::string_view objective, std::string_view user) {
  const Decision decision = Decide(snapshot, {.objective = objective, .user = user});
  EXPECT_LE(decision.enrolments.size(), 1u);
  return std::string(decision.main_enrolment().cell);
}

const Answer& AnswerFor(const Snapshot& snapshot, std::string_view objective, std::string_view user) {
  const Decision decision = Decide(snapshot, {.objective = objective, .user = user});
  EXPECT_NE(decision.answer, nullptr);
  return *decision.answer;
}

v1::RuleSet& Home(v1::Snapshot& proto) { return *proto.mutable_rule_sets(0)->mutable_rule_set(); }

v1::Snapshot WithShare(uint32_t share_ppm) {
  v1::Snapshot proto = ExampleSnapshot();
  Home(proto).mutable_traffic_shifts(0)->set_share_ppm(share_ppm);
  return proto;
}

TEST(Decide, AnUnknownObjectiveHasNoAnswer) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  EXPECT_EQ(Decide(*snapshot, {.objective = "Nothing", .user = "u"}).answer, nullptr);
  EXPECT_EQ(Decide(*snapshot, {.objective = "", .user = "u"}).answer, nullptr);
  EXPECT_EQ(Decide(*snapshot, {.objective = "ranker@1", .user = "u"}).answer, nullptr);
}

TEST(Decide, WithoutAUserTheDefaultModelAnswers) {
  const auto snapshot = CompileOrDie(WithShare(1'000'000));
  EXPECT_EQ(AnswerFor(*snapshot, "ContinueWatchingRanking", "").reason, Reason::kDefault);
  EXPECT_EQ(AnswerFor(*snapshot, "TitleSearch", "").model->id, "ranker@1");
  EXPECT_EQ(AnswerFor(*snapshot, "TitleSearch", "anybody").model->id, "ranker@3");
}

TEST(Decide, ExperimentsGoBeforeShiftsAndShiftsBeforeTheDefault) {
  const auto snapshot = CompileOrDie(WithShare(500'000));
  std::map<Reason, int> users_of;
  for (const std::string& user : Users(kUsers))
    ++users_of[AnswerFor(*snapshot, "ContinueWatchingRanking", user).reason];
  // 40 % take part in the experiment, which chooses the model of half of them; half of the others are shifted. Five
  // standard deviations are 0.6 %.
  EXPECT_NEAR(users_of[Reason::kExperiment], 0.2 * kUsers, 0.006 * kUsers) << "seed " << kSeed;
  EXPECT_NEAR(users_of[Reason::kTrafficShift], 0.4 * kUsers, 0.006 * kUsers) << "seed " << kSeed;
  EXPECT_NEAR(users_of[Reason::kDefault], 0.4 * kUsers, 0.006 * kUsers) << "seed " << kSeed;
}

// The model that the user would have without the experiment, with the experiment's cell and parameters.
TEST(Decide, ACellWithoutAModelLeavesTheModelToTheShiftAndTheDefault) {
  v1::Snapshot proto = WithShare(250'000);
  auto& parameters = *Home(proto).mutable_experiments(0)->mutable_cells(2)->mutable_parameters();
  parameters["depth"] = "90";
  const auto with_experiment = CompileOrDie(proto);
  Home(proto).clear_experiments();
  const auto without_experiment = CompileOrDie(proto);
  std::map<std::string, int> users_of;
  for (const std::string& user : Users(20'000)) {
    const Decision decision = Decide(*with_experiment, {.objective = "ContinueWatchingRanking", .user = user});
    if (decision.main_enrolment().cell != "3") continue;
    const Answer& without = AnswerFor(*without_experiment, "ContinueWatchingRanking", user);
    ASSERT_EQ(decision.answer->model->id, without.model->id) << user;
    ASSERT_EQ(decision.answer->reason, without.reason);
    ASSERT_EQ(decision.main_enrolment().experiment, "12345");
    const v1::ObjectiveConfig config = ConfigOf(decision);
    ASSERT_EQ(config.parameters().at("depth"), "90");
    ASSERT_EQ(config.parameters().at("alpha"), "1");
    ASSERT_EQ(config.experiment(), "12345");
    ASSERT_EQ(config.cell(), "3");
    ASSERT_EQ(config.cells().at("12345"), "3");
    ++users_of[decision.answer->model->id];
  }
  // A fifth of all users, of whom a quarter is shifted.
  EXPECT_NEAR(users_of["ranker@3"], 1000, 150) << "seed " << kSeed;
  EXPECT_NEAR(users_of["ranker@1"], 3000, 250) << "seed " << kSeed;
}

TEST(Decide, AShiftFromAnotherModelThanTheDefaultDoesNotApply) {
  v1::Snapshot proto = WithShare(1'000'000);
  Home(proto).mutable_objectives(1)->mutable_default_model()->set_version("2");
  const auto snapshot = CompileOrDie(proto);
  EXPECT_EQ(AnswerFor(*snapshot, "TitleSearch", "u").model->id, "ranker@2");
}

TEST(Decide, FallbacksLeaveOutTheModelThatWasChosen) {
  const auto snapshot = CompileOrDie(WithShare(0));
  const Decision chosen_default = Decide(*snapshot, {.objective = "ContinueWatchingRanking"});
  ASSERT_EQ(chosen_default.fallbacks.size(), 1u);
  EXPECT_EQ(chosen_default.fallbacks[0]->model->id, "popular");
  EXPECT_EQ(chosen_default.fallbacks[0]->reason, Reason::kFallback);
  for (const std::string& user : Users(1000)) {
    const Decision decision = Decide(*snapshot, {.objective = "ContinueWatchingRanking", .user = user});
    if (decision.answer->model->id != "ranker@2") continue;
    ASSERT_EQ(decision.fallbacks.size(), 2u);
    EXPECT_EQ(decision.fallbacks[1]->model->id, "ranker@1");
  }
}

TEST(Decide, TheFirstExperimentByPriorityThenDeclarationChooses) {
  v1::Snapshot proto = ExampleSnapshot();
  Home(proto).mutable_experiments(0)->set_allocation_ppm(1'000'000);
  for (const char* id : {"later", "earlier"}) {
    v1::Experiment& added = *Home(proto).add_experiments();
    added = v1::Experiment(Home(proto).experiments(0));
    added.set_id(id);
  }
  const auto first = [&] {
    const auto snapshot = CompileOrDie(proto);
    return std::string(
        Decide(*snapshot, {.objective = "ContinueWatchingRanking", .user = "u"}).main_enrolment().experiment);
  };
  EXPECT_EQ(first(), "12345");
  Home(proto).mutable_experiments(0)->set_priority(1);
  EXPECT_EQ(first(), "later");
  Home(proto).mutable_experiments(2)->set_priority(-1);
  EXPECT_EQ(first(), "earlier");
}

TEST(Decide, DoesNotAllocate) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  const std::vector<std::string> users = Users(1000);
  const uint64_t before = AllocationCount();
  size_t fallbacks = 0;
  for (const std::string& user : users) {
    fallbacks += Decide(*snapshot, {.objective = "ContinueWatchingRanking", .user = user}).fallbacks.size();
    fallbacks += Decide(*snapshot, {.objective = "Unknown", .user = user}).fallbacks.size();
  }
  EXPECT_EQ(AllocationCount(), before);
  EXPECT_GT(fallbacks, 0u);
}

TEST(TrafficShift, RaisingThePercentageNeverMovesAnyoneBack) {
  const std::vector<std::string> users = Users(20'000);
  std::vector<bool> was_shifted(users.size(), false);
  for (uint32_t share_ppm : {0u, 1u, 100u, 10'000u, 100'000u, 250'000u, 500'000u, 999'999u, 1'000'000u}) {
    const auto snapshot = CompileOrDie(WithShare(share_ppm));
    size_t shifted = 0;
    for (size_t i = 0; i < users.size(); ++i) {
      const bool is_shifted = AnswerFor(*snapshot, "TitleSearch", users[i]).model->id == "ranker@3";
      // The other way round this is: lowering the percentage never moves anybody in.
      EXPECT_TRUE(is_shifted || !was_shifted[i]) << users[i] << " at " << share_ppm << " ppm, seed " << kSeed;
      was_shifted[i] = is_shifted;
      shifted += is_shifted;
    }
    if (share_ppm == 0) {
      EXPECT_EQ(shifted, 0u);
    }
    if (share_ppm == 1'000'000) {
      EXPECT_EQ(shifted, users.size());
    }
    EXPECT_NEAR(static_cast<double>(shifted), 0.02 * share_ppm, 360) << share_ppm << " ppm, seed " << kSeed;
  }
}

TEST(TrafficShift, RaisingItNeverMovesAnyoneWhoIsInAnExperiment) {
  const auto none = CompileOrDie(WithShare(0));
  const auto all = CompileOrDie(WithShare(1'000'000));
  for (const std::string& user : Users(20'000)) {
    EXPECT_EQ(CellFor(*none, "ContinueWatchingRanking", user), CellFor(*all, "ContinueWatchingRanking", user)) << user;
    const Answer& before = AnswerFor(*none, "ContinueWatchingRanking", user);
    const Answer& after = AnswerFor(*all, "ContinueWatchingRanking", user);
    EXPECT_EQ(before.reason == Reason::kExperiment, after.reason == Reason::kExperiment) << user;
  }
}

TEST(Experiment, ChangingItsAllocationNeverMovesAnyoneBetweenCells) {
  const std::vector<std::string> users = Users(20'000);
  std::map<std::string, std::string> cell_of;
  for (uint32_t allocation_ppm : {1'000u, 200'000u, 600'000u, 1'000'000u}) {
    v1::Snapshot proto = ExampleSnapshot();
    Home(proto).mutable_experiments(0)->set_allocation_ppm(allocation_ppm);
    const auto snapshot = CompileOrDie(proto);
    for (const std::string& user : users) {
      const std::string cell = CellFor(*snapshot, "ContinueWatchingRanking", user);
      const auto known = cell_of.find(user);
      // Raising it only lets further users in, so who was in stays in the same cell.
      if (known != cell_of.end()) {
        EXPECT_EQ(known->second, cell) << user << " at " << allocation_ppm << " ppm";
      }
      if (!cell.empty()) cell_of[user] = cell;
    }
  }
  EXPECT_EQ(cell_of.size(), users.size());
}

// Pearson's statistic of a table of counts against what its margins lead to expect under independence.
double ChiSquare(const std::vector<std::vector<double>>& counts) {
  std::vector<double> rows(counts.size(), 0);
  std::vector<double> columns(counts[0].size(), 0);
  double total = 0;
  for (size_t r = 0; r < counts.size(); ++r) {
    for (size_t c = 0; c < columns.size(); ++c) {
      rows[r] += counts[r][c];
      columns[c] += counts[r][c];
      total += counts[r][c];
    }
  }
  double statistic = 0;
  for (size_t r = 0; r < counts.size(); ++r) {
    for (size_t c = 0; c < columns.size(); ++c) {
      const double expected = rows[r] * columns[c] / total;
      statistic += (counts[r][c] - expected) * (counts[r][c] - expected) / expected;
    }
  }
  return statistic;
}

constexpr int kParts = 10;
// Exceeded once in a million by chance, for (10 - 1)^2 and for 10 - 1 degrees of freedom.
constexpr double kCritical81 = 151.0;
constexpr double kCritical9 = 45.1;

double IndependenceOf(uint64_t seed_a, uint64_t seed_b, const std::vector<std::string>& users) {
  std::vector<std::vector<double>> counts(kParts, std::vector<double>(kParts, 0));
  for (const std::string& user : users) ++counts[Bucket(seed_a, user) / 100'000][Bucket(seed_b, user) / 100'000];
  return ChiSquare(counts);
}

TEST(Bucket, DrawsUnderDifferentSeedsAreIndependent) {
  const std::vector<std::string> users = Users(kUsers);
  const std::vector<std::string> seeds = {"12345", "12346", "a", "b", "", "ranker-canary"};
  for (size_t i = 0; i < seeds.size(); ++i) {
    for (size_t j = i + 1; j < seeds.size(); ++j) {
      EXPECT_LT(IndependenceOf(BucketSeed(Purpose::kCell, seeds[i]), BucketSeed(Purpose::kCell, seeds[j]), users),
                kCritical81)
          << seeds[i] << " and " << seeds[j] << ", seed " << kSeed;
    }
  }
}

TEST(Bucket, DrawsForDifferentPurposesUnderOneSeedTextAreIndependent) {
  const std::vector<std::string> users = Users(kUsers);
  const uint64_t cell = BucketSeed(Purpose::kCell, "12345");
  const uint64_t allocation = BucketSeed(Purpose::kAllocation, "12345");
  const uint64_t shift = BucketSeed(Purpose::kShift, "12345");
  EXPECT_LT(IndependenceOf(cell, allocation, users), kCritical81) << "seed " << kSeed;
  EXPECT_LT(IndependenceOf(cell, shift, users), kCritical81) << "seed " << kSeed;
  EXPECT_LT(IndependenceOf(allocation, shift, users), kCritical81) << "seed " << kSeed;
}

TEST(Bucket, IsUniformForTheUsualFormsOfIds) {
  for (const char* seed : {"1", "12345", "home-canary"}) {
    std::vector<double> counts(kParts, 0);
    for (const std::string& user : Users(kUsers)) ++counts[Bucket(BucketSeed(Purpose::kShift, seed), user) / 100'000];
    double statistic = 0;
    for (double count : counts) statistic += (count - kUsers / 10.0) * (count - kUsers / 10.0) / (kUsers / 10.0);
    EXPECT_LT(statistic, kCritical9) << seed << ", seed " << kSeed;
  }
}

TEST(Experiment, CellsHaveTheSharesThatWereDeclared) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  std::map<std::string, double> users_of;
  for (const std::string& user : Users(kUsers)) ++users_of[CellFor(*snapshot, "ContinueWatchingRanking", user)];
  const double taking_part = kUsers - users_of[""];
  const std::map<std::string, double> declared = {{"1", 0.2}, {"2", 0.3}, {"3", 0.5}};
  for (const auto& [cell, share] : declared)
    EXPECT_NEAR(users_of[cell] / taking_part, share, 0.01) << "cell " << cell << ", seed " << kSeed;
}

TEST(Decide, IndependentlyCompiledSnapshotsDecideAlike) {
  const auto first = CompileOrDie(ExampleSnapshot());
  v1::Snapshot parsed;
  ASSERT_TRUE(parsed.ParseFromString(first->proto().SerializeAsString()));
  v1::Snapshot other_order = ExampleSnapshot();
  other_order.mutable_rule_sets()->SwapElements(0, 1);
  const auto second = CompileOrDie(parsed);
  const auto third = CompileOrDie(other_order);
  for (const std::string& user : Users(20'000)) {
    for (std::string_view objective : first->ObjectiveNames()) {
      const Answer& answer = AnswerFor(*first, objective, user);
      for (const Answer* other : {&AnswerFor(*second, objective, user), &AnswerFor(*third, objective, user)}) {
        ASSERT_EQ(answer.index, other->index) << user;
        ASSERT_EQ(answer.objective_config, other->objective_config) << user;
        ASSERT_EQ(answer.open_inference_suffix, other->open_inference_suffix) << user;
        ASSERT_EQ(answer.model->routing_key, other->model->routing_key) << user;
      }
    }
  }
}

TEST(Decide, OnlyObjectiveAndUserMatterToTheRulesThereAre) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  const Attribute attributes[] = {{"plan", "basic"}};
  for (const std::string& user : Users(1000)) {
    const Decision plain = Decide(*snapshot, {.objective = "TitleSearch", .user = user});
    const Decision other = Decide(*snapshot, {.objective = "TitleSearch",
                                              .user = user,
                                              .country = "NZ",
                                              .tenant = "t",
                                              .traffic_type = TrafficType::kSynthetic,
                                              .attributes = attributes});
    EXPECT_EQ(plain.answer, other.answer);
  }
}

TEST(Explain, AgreesWithTheDecision) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  for (const std::string& user : Users(2000)) {
    for (std::string_view objective : snapshot->ObjectiveNames()) {
      const Decision decision = Decide(*snapshot, {.objective = objective, .user = user});
      const Explanation explanation = ExplainSteps(*snapshot, {.objective = objective, .user = user});
      EXPECT_EQ(explanation.decision.answer, decision.answer) << user;
      EXPECT_EQ(explanation.decision.fallbacks.data(), decision.fallbacks.data()) << user;
      std::vector<Step> taken;
      std::copy_if(explanation.steps.begin(), explanation.steps.end(), std::back_inserter(taken),
                   [](const Step& step) { return step.outcome == StepOutcome::kTaken; });
      ASSERT_EQ(taken.size(), decision.main_enrolment().cell == "3" ? 2U : 1U) << user;
      EXPECT_EQ(Name(taken.back().kind), Name(decision.answer->reason)) << user;
      EXPECT_THAT(taken.back().why, HasSubstr("gives " + decision.answer->model->id)) << user;
    }
  }
}

TEST(Explain, HasOneStepForEachRuleInTheOrderInWhichTheyAreAsked) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  for (const std::string& user : Users(1000)) {
    const Explanation explanation = ExplainSteps(*snapshot, {.objective = "ContinueWatchingRanking", .user = user});
    ASSERT_EQ(explanation.steps.size(), 3u);
    EXPECT_EQ(explanation.steps[0].rule, "experiment 12345");
    EXPECT_EQ(explanation.steps[1].rule, "traffic shift ranker-canary");
    EXPECT_EQ(explanation.steps[2].rule, "default model");
    StepOutcome expected = StepOutcome::kPassed;
    for (const Step& step : explanation.steps) {
      if (step.outcome == StepOutcome::kTaken) {
        EXPECT_EQ(expected, StepOutcome::kPassed) << user;
        if (step.why.find("leaves the model to the rules below") == std::string::npos)
          expected = StepOutcome::kNotAsked;
      } else {
        EXPECT_EQ(step.outcome, expected) << user << ": " << step.rule;
      }
    }
  }
}

TEST(Explain, SaysWhoGaveTheModelAndWhoTheParametersWhereTheCellHasNoModel) {
  v1::Snapshot proto = WithShare(1'000'000);
  v1::Experiment& experiment = *Home(proto).mutable_experiments(0);
  experiment.set_allocation_ppm(1'000'000);
  experiment.mutable_cells()->DeleteSubrange(0, 2);
  experiment.mutable_cells(0)->set_weight_ppm(1'000'000);
  const v1::Experiment first = experiment;
  v1::Experiment& later = *Home(proto).add_experiments();
  later = first;
  later.set_id("later");
  const auto snapshot = CompileOrDie(proto);
  const Explanation explanation = ExplainSteps(*snapshot, {.objective = "ContinueWatchingRanking", .user = "u"});
  ASSERT_EQ(explanation.steps.size(), 4u);
  EXPECT_EQ(explanation.steps[0].outcome, StepOutcome::kTaken);
  EXPECT_THAT(explanation.steps[0].why, HasSubstr("cell 3 leaves the model to the rules below: everybody takes part"));
  EXPECT_EQ(explanation.steps[1].outcome, StepOutcome::kNotAsked);
  EXPECT_EQ(explanation.steps[1].why, "another experiment has the user: 12345");
  EXPECT_EQ(explanation.steps[2].outcome, StepOutcome::kTaken);
  EXPECT_THAT(explanation.steps[2].why, HasSubstr("gives ranker@3"));
  EXPECT_EQ(explanation.steps[3].outcome, StepOutcome::kNotAsked);
  EXPECT_EQ(explanation.decision.main_enrolment().experiment, "12345");
}

TEST(Explain, ReadsLikeAPage) {
  const auto snapshot = CompileOrDie(WithShare(1'000'000));
  const std::string expected =
      "Objective    TitleSearch\n"
      "rules        namespace home, version 7\n"
      "user         u1\n"
      "\n"
      "  TAKEN  traffic shift ranker-canary  rules/home.js:30:1  gives ranker@3: the user falls at 60.0444 %, "
      "everybody is shifted\n"
      "  -      default model                                    the model is chosen, ranker@1 is not needed\n"
      "\n"
      "model        ranker@3\n"
      "reason       traffic_shift\n"
      "routing key  " +
      std::string(AnswerFor(*snapshot, "TitleSearch", "u1").model->routing_key) +
      "\n"
      "placement    shard s2 at 127.0.0.1:9100\n"
      "fallbacks    none\n"
      "snapshot     " +
      snapshot->hash() + ", version 42\n";
  EXPECT_EQ(Explain(*snapshot, {.objective = "TitleSearch", .user = "u1"}), expected);
}

TEST(Explain, SaysWhyThereIsNoAnswer) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  EXPECT_THAT(Explain(*snapshot, {.objective = "Nope"}), HasSubstr("unknown Objective \"Nope\""));
  EXPECT_THAT(Explain(*snapshot, {.objective = "Nope"}), HasSubstr("FraudScoring, TitleSearch"));
  EXPECT_THAT(Explain(*snapshot, {.objective = "ranker"}), HasSubstr("\"ranker\" is a model, not an Objective"));
  EXPECT_EQ(WhyNoAnswer(*snapshot, ""), "the request names no Objective");
  // Cut before the character that does not fit whole.
  EXPECT_EQ(WhyNoAnswer(*snapshot, std::string(79, 'x') + "\xC3\xA9" + std::string(1'000'000, 'x')),
            "unknown Objective \"" + std::string(79, 'x') + "...\"");
}

TEST(TrafficTypeName, GoesThereAndBack) {
  for (TrafficType type : {TrafficType::kLive, TrafficType::kSynthetic, TrafficType::kReplay, TrafficType::kShadow})
    EXPECT_EQ(ParseTrafficType(Name(type)), type);
  EXPECT_EQ(ParseTrafficType("other"), std::nullopt);
}

}  // namespace
}  // namespace signalbox::decide
