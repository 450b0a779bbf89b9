#include "effect/replay.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace signalbox::effect {
namespace {

std::shared_ptr<const decide::Snapshot> Canary(uint32_t share_ppm) {
  v1::Snapshot proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "rule_sets { rule_set { namespace: 'home' "
      "objectives { name: 'Ranking' default_model { name: 'ranker' version: '1' } } "
      "traffic_shifts { id: 'canary' seed: 'canary' objectives: 'Ranking' to { name: 'ranker' version: '2' } "
      "share_ppm: " +
          std::to_string(share_ppm) + " } } }",
      &proto));
  auto snapshot = decide::Snapshot::Compile(std::move(proto));
  EXPECT_TRUE(snapshot.ok()) << Message(snapshot.status());
  return *snapshot;
}

TEST(Replay, CountsWhoWouldHaveGotWhat) {
  const auto after = Canary(1'000'000);
  Replay replay(nullptr, *after);
  const decide::RequestContext context = {.objective = "Ranking", .user = "u1", .now_unix_ms = 5000};
  EXPECT_EQ(replay.Add(context, "ranker@1"), Replay::Result::kReplayed);
  EXPECT_EQ(replay.Add(context, "ranker@2"), Replay::Result::kReplayed);
  EXPECT_EQ(replay.Add({.objective = "Ranking", .now_unix_ms = 9000}, "ranker@1"), Replay::Result::kReplayed);
  EXPECT_EQ(replay.Add({.objective = "Search"}, "ranker@1"), Replay::Result::kNoObjective);
  EXPECT_EQ(replay.Add(context, ""), Replay::Result::kNoModel);

  EXPECT_EQ(replay.replayed(), 3u);
  EXPECT_EQ(replay.loads().at("ranker@1").before, 2u);
  EXPECT_EQ(replay.loads().at("ranker@1").after, 1u);
  EXPECT_EQ(replay.loads().at("ranker@2").after, 2u);
  EXPECT_EQ(replay.objectives().at("Ranking").moved, 1u);
  EXPECT_EQ(replay.objectives().at("Ranking").moves.at({"ranker@1", "ranker@2"}), 1u);
  EXPECT_EQ(replay.first_unix_ms(), 5000);
  EXPECT_EQ(replay.last_unix_ms(), 9000);
}

TEST(Replay, CountsMembersOfEnsemblesAndShadowsBesideWhoMoves) {
  v1::Snapshot proto;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "rule_sets { rule_set { namespace: 'home' "
      "objectives { name: 'Ranking' default_model { ensemble: 'mix' } } "
      "ensembles { name: 'mix' mode: MEAN members { model { name: 'a' } } members { model { name: 'b' } } } "
      "shadows { id: 's' objectives: 'Ranking' model { name: 'b' } share_ppm: 1000000 } } }",
      &proto));
  const auto after = decide::Snapshot::Compile(std::move(proto));
  ASSERT_TRUE(after.ok()) << Message(after.status());
  Replay replay(after->get(), **after);
  EXPECT_EQ(replay.Add({.objective = "Ranking", .user = "u1"}, "ensemble:mix"), Replay::Result::kReplayed);
  EXPECT_EQ(replay.loads().at("ensemble:mix").after, 1u);
  EXPECT_EQ(replay.loads().at("a").after, 0u);
  EXPECT_EQ(replay.loads().at("a").more_after, 1u);
  EXPECT_EQ(replay.loads().at("b").more_before, 2u);
  EXPECT_EQ(replay.loads().at("b").more_after, 2u);
  EXPECT_EQ(replay.objectives().at("Ranking").moved, 0u);
}

TEST(Replay, WhoGotAStaticAnswerIsReplayedAsWhoGotNoModel) {
  const auto after = Canary(1'000'000);
  Replay replay(nullptr, *after);
  EXPECT_EQ(replay.Add({.objective = "Ranking", .user = "u1"}, Replay::kStaticAnswer), Replay::Result::kReplayed);
  EXPECT_EQ(replay.loads().at(std::string(Replay::kStaticAnswer)).before, 1u);
  EXPECT_EQ(replay.loads().at("ranker@2").after, 1u);
}

TEST(Replay, WhoWasAnsweredByAFallbackMovesOnlyWhereTheNewRulesHaveAnotherOne) {
  const auto rules = [](const std::string& fallback) {
    v1::Snapshot proto;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        "rule_sets { rule_set { namespace: 'home' objectives { name: 'Ranking' default_model { name: 'ranker' } " +
            fallback + " } } }",
        &proto));
    return *decide::Snapshot::Compile(std::move(proto));
  };
  const decide::RequestContext context = {.objective = "Ranking", .user = "u1"};
  const auto same = rules("fallback_models { name: 'popular' } static_answer { message: 'x' }");
  Replay replay(nullptr, *same);
  replay.Add(context, "popular", /*fell_back=*/true);
  replay.Add(context, Replay::kStaticAnswer, /*fell_back=*/true);
  EXPECT_EQ(replay.objectives().at("Ranking").moved, 0u);
  EXPECT_EQ(replay.objectives().at("Ranking").fell_back, 2u);
  EXPECT_EQ(replay.loads().at("popular").before, 1u);
  EXPECT_EQ(replay.loads().at("ranker").after, 2u);
  // It was the model that was chosen.
  replay.Add(context, "popular");
  EXPECT_EQ(replay.objectives().at("Ranking").moved, 1u);

  const auto other = rules("fallback_models { name: 'another' }");
  Replay to_another(nullptr, *other);
  to_another.Add(context, "popular", /*fell_back=*/true);
  EXPECT_EQ(to_another.objectives().at("Ranking").moves.at({"popular", "ranker"}), 1u);
}

TEST(Replay, OldRulesDecideAnewWhereTheyAreGiven) {
  const auto before = Canary(0);
  const auto after = Canary(250'000);
  Replay replay(before.get(), *after);
  for (int i = 0; i < 4000; ++i) {
    const std::string user = "u" + std::to_string(i);
    EXPECT_EQ(replay.Add({.objective = "Ranking", .user = user}, "something else"), Replay::Result::kReplayed);
  }
  EXPECT_EQ(replay.loads().at("ranker@1").before, 4000u);
  EXPECT_NEAR(static_cast<double>(replay.loads().at("ranker@2").after), 1000, 120);
}

TEST(Replay, ALogOfMillionsOfModelsTakesNoMoreMemoryThanItsLimit) {
  const auto after = Canary(0);
  Replay replay(nullptr, *after);
  for (size_t i = 0; i < 3 * Replay::kNamesMax; ++i) replay.Add({.objective = "Ranking"}, "model" + std::to_string(i));
  EXPECT_LE(replay.loads().size(), Replay::kNamesMax + 1);
  EXPECT_LE(replay.objectives().at("Ranking").moves.size(), Replay::kNamesMax + 1);
  EXPECT_EQ(replay.replayed(), 3 * Replay::kNamesMax);
}

}  // namespace
}  // namespace signalbox::effect
