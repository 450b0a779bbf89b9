// What must hold of every assignment, for shards and models at random. A failure names its seed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <random>

#include "assign/assignment.h"
#include "assign/test_cases.h"
#include "assign/test_exact_solver.h"

namespace signalbox::assign {
namespace {

constexpr uint64_t kSeeds = 100;
constexpr CaseSize kMedium = {.shards_max = 24, .models_max = 60};

std::string Seed(uint64_t seed) { return fmt::format("seed {}", seed); }

// Shards that are never short of anything, some models of several replicas.
Case RoomyCase(uint64_t seed) {
  std::mt19937_64 random(seed);
  Case made;
  for (int i = 0; i < 12; ++i) {
    made.shards.push_back(MakeShard(fmt::format("s{:02}", i), 64, 32));
    made.shards.back().zone = std::string(1, static_cast<char>('a' + i % 4));
  }
  for (int i = 0; i < 60; ++i) {
    Model model = MakeModel(fmt::format("m{:02}", i), 1 + static_cast<double>(random() % 4),
                            0.1 * static_cast<double>(random() % 10), static_cast<uint32_t>(1 + random() % 3));
    model.spread_zones = random() % 3 == 0;
    made.models.push_back(std::move(model));
  }
  made.current = Assign(made.shards, made.models, {}).assignment;
  return made;
}

size_t ReplicasOn(const Assignment& assignment, const std::string& shard) {
  size_t count = 0;
  for (const auto& [id, shards] : assignment) {
    count += static_cast<size_t>(std::count(shards.begin(), shards.end(), shard));
  }
  return count;
}

size_t Refused(const Result& result) { return result.explanations.size() - result.assignment.size(); }

bool InTrouble(const Result& result) {
  return std::any_of(result.explanations.begin(), result.explanations.end(),
                     [](const auto& entry) { return !entry.second.trouble.empty(); });
}

TEST(EveryAssignment, KeepsTheHardConditions) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Case made = RandomCase(seed, kMedium);
    const Result result = Assign(made.shards, made.models, made.current);
    ASSERT_EQ(Violations(made.shards, made.models, made.current, result.assignment), "") << Seed(seed);
    const Objective measured = Measure(made.shards, made.models, made.current, result.assignment);
    EXPECT_EQ(result.moves, static_cast<size_t>(measured.moves)) << Seed(seed);
    EXPECT_NEAR(result.utilisation_max, measured.utilisation, 1e-6) << Seed(seed);
    EXPECT_EQ(InTrouble(result), measured.trouble > 0) << Seed(seed);
  }
}

TEST(EveryAssignment, IsExplainedWholly) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Case made = RandomCase(seed, kMedium);
    const Result result = Assign(made.shards, made.models, made.current);
    ASSERT_EQ(result.explanations.size(), made.models.size()) << Seed(seed);
    for (const auto& [id, explanation] : result.explanations) {
      const auto placed = result.assignment.find(id);
      EXPECT_EQ(explanation.shards, placed == result.assignment.end() ? std::vector<std::string>() : placed->second);
      EXPECT_FALSE(explanation.summary.empty());
      std::set<std::string> told(explanation.shards.begin(), explanation.shards.end());
      for (const Refusal& refusal : explanation.refusals) {
        EXPECT_TRUE(told.insert(refusal.shard).second)
            << Seed(seed) << ": " << id << " is told twice of " << refusal.shard;
        EXPECT_FALSE(refusal.reason.empty()) << Seed(seed);
      }
      told.erase("");
      EXPECT_EQ(told.size(), made.shards.size()) << Seed(seed) << ": " << id;
      if (placed == result.assignment.end()) {
        EXPECT_EQ(explanation.refusals.back().shard, "") << Seed(seed) << ": " << id;
      }
    }
  }
}

TEST(EveryAssignment, IsTheSameInWhateverOrderThingsCome) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Case made = RandomCase(seed, kMedium);
    const Result one = Assign(made.shards, made.models, made.current);
    std::mt19937_64 random(seed);
    std::shuffle(made.shards.begin(), made.shards.end(), random);
    std::shuffle(made.models.begin(), made.models.end(), random);
    for (Model& model : made.models) std::shuffle(model.required.begin(), model.required.end(), random);
    for (auto& [id, shards] : made.current) std::shuffle(shards.begin(), shards.end(), random);
    const Result other = Assign(made.shards, made.models, made.current);
    ASSERT_EQ(one.assignment, other.assignment) << Seed(seed);
    for (const auto& [id, explanation] : one.explanations) {
      EXPECT_EQ(explanation.summary, other.explanations.at(id).summary) << Seed(seed);
    }
  }
}

TEST(EveryAssignment, AssignedAgainStaysAsItIs) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Case made = RandomCase(seed, kMedium);
    const Result first = Assign(made.shards, made.models, made.current);
    const Result again = Assign(made.shards, made.models, first.assignment);
    // What is whole has no reason to move but to make room for what is not.
    if (Refused(first) > 0 || InTrouble(first)) continue;
    EXPECT_EQ(first.assignment, again.assignment) << Seed(seed);
    EXPECT_EQ(again.moves, 0u) << Seed(seed);
  }
}

TEST(AShardLess, MovesWhatWasOnItAndNothingElse) {
  for (uint64_t seed = 1; seed <= kSeeds / 2; ++seed) {
    Case made = RoomyCase(seed);
    const std::string gone = made.shards[seed % made.shards.size()].name;
    made.shards.erase(made.shards.begin() + static_cast<std::ptrdiff_t>(seed % made.shards.size()));
    const Result result = Assign(made.shards, made.models, made.current);
    EXPECT_EQ(result.assignment.size(), made.models.size()) << Seed(seed);
    EXPECT_EQ(result.moves, ReplicasOn(made.current, gone)) << Seed(seed);
    EXPECT_FALSE(InTrouble(result)) << Seed(seed);
  }
}

TEST(AShardLess, LosesNothingThatIsElsewhere) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Case made = RandomCase(seed, {.shards_max = 12, .models_max = 40, .steady = true});
    const size_t which = seed % made.shards.size();
    const std::string gone = made.shards[which].name;
    made.shards.erase(made.shards.begin() + static_cast<std::ptrdiff_t>(which));
    const Result result = Assign(made.shards, made.models, made.current);
    for (const auto& [id, shards] : made.current) {
      if (shards != std::vector<std::string>{gone}) {
        EXPECT_TRUE(result.assignment.contains(id)) << Seed(seed) << ": " << id;
      }
    }
  }
}

TEST(AShardMore, MovesNothingWhereAllIsWell) {
  for (uint64_t seed = 1; seed <= kSeeds / 2; ++seed) {
    Case made = RoomyCase(seed);
    made.shards.push_back(MakeShard("t", 64, 32));
    const Result result = Assign(made.shards, made.models, made.current);
    EXPECT_EQ(result.assignment, made.current) << Seed(seed);
  }
}

TEST(AModelLess, MovesNothing) {
  for (uint64_t seed = 1; seed <= kSeeds / 2; ++seed) {
    Case made = RoomyCase(seed);
    const size_t which = seed % made.models.size();
    Assignment expected = made.current;
    expected.erase(made.models[which].id);
    made.models.erase(made.models.begin() + static_cast<std::ptrdiff_t>(which));
    EXPECT_EQ(Assign(made.shards, made.models, made.current).assignment, expected) << Seed(seed);
  }
}

TEST(AModelMore, TakesNoPlaceAway) {
  size_t placed = 0;
  size_t moved = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Case made = RandomCase(seed, {.shards_max = 12, .models_max = 40, .steady = true});
    for (Shard& shard : made.shards) shard.draining = false;
    for (Model& model : made.models) model.required.clear();
    made.current = Assign(made.shards, made.models, {}).assignment;
    std::mt19937_64 random(seed);
    made.models.push_back(
        MakeModel("new", 1 + static_cast<double>(random() % 5), 0.2 * static_cast<double>(random() % 8)));
    // Without those that found no place before: they would try again.
    std::erase_if(made.models,
                  [&](const Model& model) { return model.id != "new" && !made.current.contains(model.id); });
    const Result result = Assign(made.shards, made.models, made.current);
    for (const auto& [id, shards] : made.current) {
      ASSERT_TRUE(result.assignment.contains(id)) << Seed(seed) << ": " << id;
      EXPECT_EQ(result.assignment.at(id).size(), shards.size()) << Seed(seed) << ": " << id;
    }
    if (!result.assignment.contains("new")) {
      EXPECT_EQ(result.moves, 0u) << Seed(seed) << ": moved for nothing";
      continue;
    }
    ++placed;
    moved += result.moves;
    // It moves nobody where it fits without.
    const bool fits = std::any_of(made.shards.begin(), made.shards.end(), [&](const Shard& shard) {
      Assignment trial = made.current;
      trial["new"] = {shard.name};
      return Violations(made.shards, made.models, made.current, trial).empty();
    });
    if (fits) {
      EXPECT_EQ(result.moves, 0u) << Seed(seed) << ": there was room without moving";
    }
  }
  std::printf("placed %zu, which moved %zu others\n", placed, moved);
  EXPECT_GT(placed, 0u);
}

TEST(ManyModels, TakeABoundedTime) {
  constexpr int kModels = 100'000;
  const auto start = std::chrono::steady_clock::now();
  std::vector<Shard> shards;
  for (int i = 0; i < 200; ++i) shards.push_back(MakeShard(fmt::format("s{:03}", i), 64, 32));
  std::vector<Model> models;
  std::mt19937_64 random(1);
  // About twice of what there is room for, among them a chain of requirements as long as a tenth.
  for (int i = 0; i < kModels; ++i) {
    models.push_back(MakeModel(fmt::format("m{:06}", i), 0.1 + 0.001 * static_cast<double>(random() % 200), 0.01));
    if (i > 0 && i < kModels / 10) models.back().required = {fmt::format("m{:06}", i - 1)};
  }
  const Result result = Assign(shards, models, {});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%zu of %d placed in %.1f s\n", result.assignment.size(), kModels, took.count());
  EXPECT_GT(result.assignment.size(), size_t{kModels} / 2);
  EXPECT_EQ(result.explanations.size(), size_t{kModels});
  EXPECT_LT(took.count(), 60) << "far more than it takes on a slow machine";
}

TEST(ManyModels, InOneCycleTakeABoundedTime) {
  constexpr int kModels = 20'000;
  std::vector<Model> models;
  for (int i = 0; i < kModels; ++i) {
    models.push_back(MakeModel(fmt::format("m{:06}", i), 0.001));
    models.back().required = {fmt::format("m{:06}", (i + 1) % kModels)};
  }
  EXPECT_EQ(Assign({MakeShard("a", 64), MakeShard("b", 64)}, models, {}).assignment.size(), size_t{kModels});
  EXPECT_EQ(Assign({MakeShard("a", 8), MakeShard("b", 8)}, models, {}).assignment.size(), 0u);
}

}  // namespace
}  // namespace signalbox::assign
