// What the parts say one by one is what the whole says.
#include "effect/objective_parts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "base/status.h"
#include "decide/decide.h"
#include "effect/example_context.h"
#include "effect/exploration.h"
#include "effect/possible_walk.h"
#include "effect/test_random_change.h"

namespace signalbox::effect {
namespace {

constexpr int64_t kNow = 1'772'366'400'000;

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

using Shares = std::map<Change, Share>;

// Where the draws of a unit are known, a part that does not name it takes it as one of all units.
bool HasNamedUnit(const ContextSpace& space, const ExampleContext& example) {
  for (const SpaceField& field : space.fields()) {
    const auto value = example.values().find(field.name);
    if (!field.is_unit || value == example.values().end()) continue;
    for (const ValueKind& kind : field.values.kinds) {
      if (std::find(kind.named.begin(), kind.named.end(), value->second) != kind.named.end()) return true;
    }
  }
  return false;
}

// The shares of all changes, by class.
class Explored {
 public:
  Explored(const decide::Objective& before, const decide::Objective& after) {
    AddQuestions(before, space);
    AddQuestions(after, space);
    space.Finish();
    Exploration exploration(space);
    PossibleWalk old_walk(before, kNow, exploration);
    PossibleWalk new_walk(after, kNow, exploration);
    PathResult from;
    PathResult to;
    Shares shares;
    is_done =
        space.WhyTooLarge().empty() && exploration.Follow({.run =
                                                               [&] {
                                                                 from = ResultOf(old_walk.Walk(), old_walk.shadows());
                                                                 if (!exploration.must_divide())
                                                                   to = ResultOf(new_walk.Walk(), new_walk.shadows());
                                                               },
                                                           .on_path =
                                                               [&](const PathState& path) {
                                                                 for (const Change& change : ChangesOf(from, to))
                                                                   shares[change] += path.share;
                                                               },
                                                           .on_class =
                                                               [&](const ContextClass& contexts) {
                                                                 classes.emplace_back(contexts, std::move(shares));
                                                                 shares.clear();
                                                               },
                                                           .on_restart = [&] { shares.clear(); }});
  }

  const Shares* Of(const ExampleContext& example) const {
    const ContextClass one = ClassOf(space, example);
    for (const auto& [contexts, shares] : classes) {
      if (IsIn(one, contexts)) return &shares;
    }
    return nullptr;
  }

  ContextSpace space;
  bool is_done = false;
  std::vector<std::pair<ContextClass, Shares>> classes;
};

TEST(ObjectiveParts, TogetherTheySayWhatTheWholeSays) {
  size_t divided = 0;
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomChange change(seed);
    v1::RuleSet rules = change.Rules();
    const auto before = Compile(rules);
    change.Change(rules);
    const auto after = Compile(rules);
    if (before == nullptr || after == nullptr) continue;
    const decide::Objective& old_rules = *before->FindObjective("Ranking");
    const decide::Objective& new_rules = *after->FindObjective("Ranking");
    const auto parts = PartsOf(old_rules, new_rules);
    if (parts.size() == 1) continue;
    const Explored whole(old_rules, new_rules);
    if (!whole.is_done) continue;
    std::vector<std::unique_ptr<Explored>> by_part;
    for (const auto& part : parts) by_part.push_back(std::make_unique<Explored>(part->before, part->after));
    std::mt19937_64 random(seed);
    for (int i = 0; i < 30; ++i) {
      const ExampleContext example = RandomExample(whole.space, random);
      if (HasNamedUnit(whole.space, example)) continue;
      const Shares* expected = whole.Of(example);
      ASSERT_NE(expected, nullptr);
      Shares added;
      for (size_t part = 0; part < parts.size(); ++part) {
        const Shares* shares = by_part[part]->Of(example);
        ASSERT_NE(shares, nullptr);
        for (const auto& [what, share] : *shares) {
          if (Decides(parts, *parts[part], what.aspect)) added[what] += share;
        }
      }
      const auto text = [](const Shares& shares) {
        std::string all;
        for (const auto& [what, share] : shares) all += share.Percent() + " " + Describe(what) + "\n";
        return all;
      };
      ASSERT_EQ(added, *expected) << "parts:\n" << text(added) << "whole:\n" << text(*expected) << rules.DebugString();
    }
    ++divided;
  }
  EXPECT_GT(divided, 50U);
}

}  // namespace
}  // namespace signalbox::effect
