// How many answers a snapshot holds, against the count that rules are checked by.
#include "api/answer_count.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decide/test_random_vocabulary.h"
#include "decide/test_snapshot.h"

namespace signalbox::decide {
namespace {

using ::testing::HasSubstr;

size_t CountOf(const v1::RuleSet& rules) {
  rule_set::AnswerCount count;
  const auto add = [&](const auto& list) {
    for (const auto& rule : list) count.Add(rule);
  };
  add(rules.overrides());
  add(rules.shadows());
  add(rules.traffic_shifts());
  add(rules.experiments());
  add(rules.context_rules());
  add(rules.objectives());
  add(rules.policies());
  add(rules.ensembles());
  return count.Total();
}

// What is laid over answers: of context rules with parameters and of cells without a model.
size_t OverlaysOf(const v1::RuleSet& rules) {
  size_t count = 0;
  for (const v1::ContextRule& rule : rules.context_rules())
    count += rule.parameters().empty() ? 0 : static_cast<size_t>(rule.objectives_size());
  for (const v1::Experiment& rule : rules.experiments()) {
    for (const v1::Cell& cell : rule.cells())
      count += cell.has_model() ? 0 : static_cast<size_t>(rule.objectives_size());
  }
  return count;
}

// One Objective with `cells` models, and `overrides` that allow them all.
v1::Snapshot WithOverrides(int cells, int overrides) {
  v1::Snapshot proto = ParseSnapshot(
      "rule_sets { rule_set { namespace: 'n' objectives { name: 'X' default_model { name: 'm' } "
      "fallback_models { name: 'f' } } } }");
  v1::RuleSet& rules = *proto.mutable_rule_sets(0)->mutable_rule_set();
  for (int e = 0; e * 1000 < cells; ++e) {
    v1::Experiment& experiment = *rules.add_experiments();
    experiment.set_id(fmt::format("e{}", e));
    experiment.add_objectives("X");
    experiment.set_allocation_ppm(1'000'000);
    const int count = std::min(1000, cells - e * 1000);
    for (int c = 0; c < count; ++c) {
      v1::Cell& cell = *experiment.add_cells();
      cell.set_name(fmt::format("{}", c));
      cell.set_weight_ppm(c == 0 ? 1'000'001 - static_cast<uint32_t>(count) : 1);
      cell.mutable_model()->set_name(fmt::format("m{}-{}", e, c));
    }
  }
  for (int o = 0; o < overrides; ++o) {
    v1::Override& rule = *rules.add_overrides();
    rule.set_id(fmt::format("o{}", o));
    rule.add_objectives("X");
    rule.add_users(fmt::format("u{}", o));
  }
  return proto;
}

TEST(AnswerCount, IsWhatTheSnapshotHolds) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(fmt::format("rule set of seed {}", seed));
    const auto snapshot = CompileOrDie(RandomVocabulary(seed).WholeSnapshot());
    size_t expected = snapshot->answers().size();
    size_t counted = 0;
    for (const v1::PublishedRuleSet& published : snapshot->proto().rule_sets()) {
      expected += OverlaysOf(published.rule_set());
      counted += CountOf(published.rule_set());
    }
    ASSERT_EQ(counted, expected);
  }
}

TEST(AnswerCount, OverridesShareTheAnswersThatTheyAllow) {
  const auto one = CompileOrDie(WithOverrides(50, 1));
  const auto many = CompileOrDie(WithOverrides(50, 100));
  EXPECT_EQ(one->answers().size(), 1u + 1u + 50u + 52u);
  EXPECT_EQ(many->answers().size(), one->answers().size());
  for (const char* user : {"u0", "u99"}) {
    const Decision decision = Decide(*many, {.objective = "X", .user = user, .override_model = "m0-7"});
    EXPECT_EQ(decision.answer->model->id, "m0-7");
    EXPECT_EQ(decision.answer->reason, Reason::kOverride);
  }
}

TEST(AnswerCount, OverridesThatNameModelsShareTheirAnswersToo) {
  v1::Snapshot proto = WithOverrides(2, 100);
  for (v1::Override& rule : *proto.mutable_rule_sets(0)->mutable_rule_set()->mutable_overrides())
    rule.add_models()->set_name("new");
  const auto snapshot = CompileOrDie(proto);
  EXPECT_EQ(snapshot->answers().size(), 1u + 1u + 2u + 1u);
  EXPECT_EQ(Decide(*snapshot, {.objective = "X", .user = "u42", .override_model = "new"}).answer->model->id, "new");
  EXPECT_NE(Decide(*snapshot, {.objective = "X", .user = "u42", .override_model = "f"}).notes & kOverrideRefused, 0u);
}

TEST(AnswerCount, OfAnEnsembleEachMemberCounts) {
  const auto snapshot = CompileOrDie(ParseSnapshot(R"pb(
    rule_sets {
      rule_set {
        namespace: "n"
        objectives {
          name: "X"
          default_model { ensemble: "mix" }
        }
        ensembles {
          name: "mix"
          mode: MEAN
          members { model { name: "a" } }
          members { model { name: "b" } }
        }
        overrides { id: "o" objectives: "X" users: "u" }
      }
    })pb"));
  EXPECT_EQ(snapshot->answers().size(), 6u);
  EXPECT_EQ(CountOf(snapshot->proto().rule_sets(0).rule_set()), 6u);
}

TEST(AnswerCount, MoreThanTheLimitAreRefused) {
  // Each of the models by its cell and by the overrides.
  v1::Snapshot proto = WithOverrides(100'000, 2);
  const auto refused = Snapshot::Compile(proto);
  EXPECT_THAT(std::string(Message(refused.status())),
              HasSubstr("namespace n: the rules lead to at least 200004 answers, expected at most 200000"));
  proto.mutable_rule_sets(0)->mutable_rule_set()->clear_overrides();
  EXPECT_EQ(CountOf(proto.rule_sets(0).rule_set()), 100'002u);
}

}  // namespace
}  // namespace signalbox::decide
