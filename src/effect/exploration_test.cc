// What is worked out from the rules is what the decision does, request by request.
#include "effect/exploration.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "base/status.h"
#include "decide/decide.h"
#include "decide/objective.h"
#include "effect/example_context.h"
#include "effect/path_result.h"
#include "effect/possible_walk.h"
#include "effect/test_random_change.h"

namespace signalbox::effect {
namespace {

constexpr int64_t kNow = 1'772'366'400'000;

struct Leaf {
  ContextClass contexts;
  std::map<Draw, PathState::Interval> draws;
  Share share;
  PathResult before;
  PathResult after;
};

std::shared_ptr<const decide::Snapshot> Compile(const v1::RuleSet& rules) {
  v1::Snapshot proto;
  *proto.add_rule_sets()->mutable_rule_set() = rules;
  auto snapshot = decide::Snapshot::Compile(std::move(proto));
  return snapshot.ok() ? *snapshot : nullptr;
}

bool IsIn(const ContextClass& one, const ContextClass& contexts) {
  for (size_t field = 0; field < one.fields.size(); ++field) {
    for (size_t kind = 0; kind < one.fields[field].size(); ++kind) {
      if (one.fields[field][kind] && !contexts.fields[field][kind]) return false;
    }
  }
  return true;
}

class ChangeUnderTest {
 public:
  explicit ChangeUnderTest(uint64_t seed) : change_(seed) {
    v1::RuleSet rules = change_.Rules();
    before_ = Compile(rules);
    change_.Change(rules);
    after_ = Compile(rules);
  }

  bool IsValid() const { return before_ != nullptr && after_ != nullptr; }

  // False where there is too much to follow.
  bool Explore() {
    const decide::Objective& old_rules = *before_->FindObjective("Ranking");
    const decide::Objective& new_rules = *after_->FindObjective("Ranking");
    AddQuestions(old_rules, space_);
    AddQuestions(new_rules, space_);
    space_.Finish();
    Exploration exploration(space_);
    PossibleWalk old_walk(old_rules, kNow, exploration);
    PossibleWalk new_walk(new_rules, kNow, exploration);
    PathResult from;
    PathResult to;
    std::vector<Leaf> of_class;
    for (const decide::Objective* rules : {&old_rules, &new_rules}) CollectDraws(*rules);
    return exploration.Follow({.run =
                                   [&] {
                                     from = ResultOf(old_walk.Walk(), {});
                                     if (!exploration.must_divide()) to = ResultOf(new_walk.Walk(), {});
                                   },
                               .on_path =
                                   [&](const PathState& path) {
                                     of_class.push_back({*path.contexts, path.draws, path.share, from, to});
                                   },
                               .on_class =
                                   [&](const ContextClass&) {
                                     Share whole;
                                     for (const Leaf& leaf : of_class) whole += leaf.share;
                                     EXPECT_EQ(whole, Share::Whole());
                                     leaves_.insert(leaves_.end(), of_class.begin(), of_class.end());
                                     of_class.clear();
                                   },
                               .on_restart = [&] { of_class.clear(); }});
  }

  void CheckOneRequest(std::mt19937_64& random) {
    ExampleContext example = RandomExample(space_, random);
    // Values that were not worked out from the rules as well.
    for (const SpaceField& field : space_.fields()) {
      static constexpr const char* kDevices[] = {"tv", "tv-5", "tv-4k", "phone", "other", "tvother", "tv-4kother"};
      if (field.name == "device" && random() % 2 == 0)
        example.Set(field.name, kDevices[random() % std::size(kDevices)]);
    }
    const ContextClass contexts = ClassOf(space_, example);
    const decide::RequestContext context = example.Context("Ranking", kNow);
    const Leaf* found = nullptr;
    for (const Leaf& leaf : leaves_) {
      if (!IsIn(contexts, leaf.contexts) || !DrawsFit(leaf, example)) continue;
      ASSERT_EQ(found, nullptr) << "two paths for one request";
      found = &leaf;
    }
    ASSERT_NE(found, nullptr) << "no path for a request";
    EXPECT_EQ(ResultOf(decide::Decide(*before_, context), {}), found->before);
    EXPECT_EQ(ResultOf(decide::Decide(*after_, context), {}), found->after);
  }

  size_t leaf_count() const { return leaves_.size(); }

 private:
  void CollectDraws(const decide::Objective& rules) {
    const auto add = [&](const decide::Draw& draw) { draws_[DrawId(draw)] = draw; };
    for (const auto& each : rules.experiments) add(each.allocation);
    for (const auto& each : rules.experiments) add(each.cell);
    for (const auto& each : rules.shifts) add(each.draw);
    for (const auto& each : rules.holdouts) add(each.draw);
    for (const auto& each : rules.layers) add(each.draw);
  }

  bool DrawsFit(const Leaf& leaf, const ExampleContext& example) const {
    for (const auto& [draw, interval] : leaf.draws) {
      const auto unit = example.values().find(space_.fields()[draw.unit_field].name);
      if (unit == example.values().end()) return false;
      const uint32_t bucket = decide::Bucket(draws_.at(draw.id), unit->second);
      if (bucket < interval.begin || bucket >= interval.end) return false;
    }
    return true;
  }

  RandomChange change_;
  std::shared_ptr<const decide::Snapshot> before_;
  std::shared_ptr<const decide::Snapshot> after_;
  ContextSpace space_;
  std::map<std::string, decide::Draw> draws_;
  std::vector<Leaf> leaves_;
};

// Exact, not a comparison of frequencies: the paths divide all requests, and every request gets what its path says.
TEST(Exploration, EveryRequestTakesOnePathAndGetsWhatItSays) {
  size_t valid = 0;
  size_t followed = 0;
  size_t requests = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ChangeUnderTest change(seed);
    if (!change.IsValid()) continue;
    ++valid;
    if (!change.Explore() || change.leaf_count() > 5'000) continue;
    ++followed;
    std::mt19937_64 random(seed);
    for (int i = 0; i < 100; ++i, ++requests) change.CheckOneRequest(random);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  printf("%zu changes, %zu followed to the end, %zu requests\n", valid, followed, requests);
  EXPECT_GT(valid, 300u);
  EXPECT_GT(followed, valid * 8 / 10);
}

}  // namespace
}  // namespace signalbox::effect
