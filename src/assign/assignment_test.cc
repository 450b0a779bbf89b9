#include "assign/assignment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "assign/test_cases.h"

namespace signalbox::assign {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::string ReasonOn(const Result& result, const std::string& model, const std::string& shard) {
  for (const Refusal& refusal : result.explanations.at(model).refusals) {
    if (refusal.shard == shard) return refusal.reason;
  }
  return "(none)";
}

TEST(Assignment, PlacesAModelWhereThereIsRoom) {
  const Result result = Assign({MakeShard("a")}, {MakeModel("m", 1, 1)}, {});
  EXPECT_THAT(result.assignment, ElementsAre(Pair("m", ElementsAre("a"))));
  EXPECT_EQ(result.moves, 0u);
  EXPECT_DOUBLE_EQ(result.utilisation_max, 0.1);
  EXPECT_EQ(result.explanations.at("m").summary, "New on a, 10 % utilised with it.");
}

TEST(Assignment, BalancesTheLoadOfNewModels) {
  std::vector<Model> models;
  for (int i = 0; i < 8; ++i) models.push_back(MakeModel(fmt::format("m{}", i), 1, 1));
  const Result result = Assign({MakeShard("a"), MakeShard("b"), MakeShard("c"), MakeShard("d")}, models, {});
  EXPECT_DOUBLE_EQ(result.utilisation_max, 0.2);
}

TEST(Refusals, TellMemoryThatIsNotThere) {
  const Result result = Assign({MakeShard("a", 8)}, {MakeModel("large", 6), MakeModel("more", 3)}, {{"large", {"a"}}});
  EXPECT_THAT(result.assignment, ElementsAre(Pair("large", ElementsAre("a"))));
  EXPECT_EQ(ReasonOn(result, "more", "a"), "needs 3.0 GiB, 2.0 GiB of 8.0 GiB are free");
  EXPECT_EQ(ReasonOn(result, "more", ""), "needs 1 shard, is on 0, and 0 more have room for it");
}

TEST(Refusals, TellBytesWhereRoundingHidesTheDifference) {
  Model model = MakeModel("m", 8);
  model.memory_bytes += 1;
  EXPECT_EQ(ReasonOn(Assign({MakeShard("a", 8)}, {model}, {}), "m", "a"),
            "needs 8589934593 bytes, 8589934592 bytes of 8.0 GiB are free");
}

TEST(Refusals, TellCoresThatAreNotThere) {
  const Result result = Assign({MakeShard("a", 8, 10)}, {MakeModel("m", 1, 9)}, {});
  EXPECT_EQ(ReasonOn(result, "m", "a"), "needs 9.00 cores, 8.00 of the 8.00 that may be planned with are free");
}

TEST(Refusals, TellTheAccelerator) {
  Model model = MakeModel("m");
  model.accelerator = "gpu";
  const Result result = Assign({MakeShard("a")}, {model}, {});
  EXPECT_EQ(ReasonOn(result, "m", "a"), "needs accelerator gpu, the shard has none");
  EXPECT_EQ(ReasonOn(result, "m", ""), "needs 1 shard, 0 of 1 may have it");
  EXPECT_EQ(result.explanations.at("m").summary, "On no shard: needs 1 shard, 0 of 1 may have it.");
}

TEST(Refusals, TellTheNamespacesThatAShardIsFor) {
  Shard films = MakeShard("a");
  films.namespaces = {"films"};
  Model home = MakeModel("m");
  home.namespaces = {"home", "films"};
  EXPECT_EQ(ReasonOn(Assign({films, MakeShard("b")}, {home}, {}), "m", "a"),
            "the shard is for films alone; rules that name the model, or what requires it: films, home");
}

TEST(Refusals, TellThatAShardIsDraining) {
  Shard draining = MakeShard("a");
  draining.draining = true;
  EXPECT_EQ(ReasonOn(Assign({draining}, {MakeModel("m")}, {}), "m", "a"), "is draining");
}

TEST(Refusals, TellThatAShardHasNoLiveHost) {
  EXPECT_EQ(ReasonOn(Assign({MakeShard("a", 8, 0)}, {MakeModel("m")}, {}), "m", "a"), "has no live host");
}

TEST(Refusals, TellWhoIsThereThatIsExclusive) {
  Model alone = MakeModel("alone");
  alone.exclusive = true;
  const Result result = Assign({MakeShard("a")}, {alone, MakeModel("m")}, {{"alone", {"a"}}});
  EXPECT_EQ(ReasonOn(result, "m", "a"), "alone is there, which has its shards alone");
  const Result other = Assign({MakeShard("a")}, {alone, MakeModel("m"), MakeModel("n")}, {{"m", {"a"}}, {"n", {"a"}}});
  EXPECT_EQ(ReasonOn(other, "alone", "a"), "needs its shards alone, m and 1 more are there");
}

TEST(Refusals, TellTheZoneThatItIsInAlready) {
  std::vector<Shard> shards = {MakeShard("a"), MakeShard("b"), MakeShard("c")};
  shards[0].zone = shards[1].zone = "north";
  shards[2].zone = "south";
  Model model = MakeModel("m", 1, 0, 2);
  model.spread_zones = true;
  const Result result = Assign(shards, {model}, {{"m", {"a", "c"}}});
  EXPECT_EQ(ReasonOn(result, "m", "b"), "is in zone north, where it is on a");
  model.replicas = 3;
  EXPECT_EQ(ReasonOn(Assign(shards, {model}, {}), "m", ""), "spread over 3 zones, there are 2");
}

TEST(Refusals, TellThePins) {
  Model model = MakeModel("m");
  model.pinned_shards = {"b"};
  const Result result = Assign({MakeShard("a"), MakeShard("b")}, {model}, {});
  EXPECT_THAT(result.assignment, ElementsAre(Pair("m", ElementsAre("b"))));
  EXPECT_EQ(ReasonOn(result, "m", "a"), "is pinned to b");
  EXPECT_EQ(result.explanations.at("m").summary, "On b, which it is pinned to.");
}

TEST(Refusals, TellAPinToAShardThatThereIsNot) {
  Model model = MakeModel("m");
  model.pinned_shards = {"a", "gone"};
  const Result result = Assign({MakeShard("a")}, {model}, {});
  EXPECT_THAT(result.assignment, IsEmpty());
  EXPECT_EQ(ReasonOn(result, "m", ""), "is pinned to shard gone, which there is not");
  // It is not taken from where it runs because of that.
  const Result before = Assign({MakeShard("a")}, {model}, {{"m", {"a"}}});
  EXPECT_THAT(before.assignment, ElementsAre(Pair("m", ElementsAre("a"))));
  EXPECT_EQ(before.explanations.at("m").trouble, "1 of 2 replicas; is pinned to shard gone, which there is not");
}

TEST(Refusals, TellWhatItRequires) {
  Model tokenizer = MakeModel("tokenizer");
  tokenizer.pinned_shards = {"a"};
  Model model = MakeModel("m");
  model.required = {"tokenizer"};
  const Result result = Assign({MakeShard("a"), MakeShard("b")}, {model, tokenizer}, {});
  EXPECT_THAT(result.assignment, ElementsAre(Pair("m", ElementsAre("a")), Pair("tokenizer", ElementsAre("a"))));
  EXPECT_EQ(ReasonOn(result, "m", "b"), "requires tokenizer, which is not there");
}

TEST(Refusals, TellARequiredModelThatThereIsNotAndWhatNeedsItInTurn) {
  Model model = MakeModel("m");
  model.required = {"gone"};
  Model needs = MakeModel("needs");
  needs.required = {"m"};
  const Result result = Assign({MakeShard("a")}, {model, needs}, {});
  EXPECT_THAT(result.assignment, IsEmpty());
  EXPECT_EQ(ReasonOn(result, "m", ""), "requires gone, which is not among the models");
  EXPECT_EQ(ReasonOn(result, "needs", ""), "requires m, which can be on no shard");
}

TEST(Refusals, TellThatItStaysWhereItWas) {
  const Result result = Assign({MakeShard("a"), MakeShard("b")}, {MakeModel("m")}, {{"m", {"b"}}});
  EXPECT_EQ(ReasonOn(result, "m", "a"), "has room, but it stays where it was");
  EXPECT_EQ(result.explanations.at("m").summary, "Stays on b.");
  EXPECT_THAT(result.explanations.at("m").kept, ElementsAre("b"));
}

TEST(Refusals, TellThatMoreShardsAreNeededThanHaveRoom) {
  const Result result = Assign({MakeShard("a", 2), MakeShard("b", 0.5)}, {MakeModel("m", 1, 0, 2)}, {});
  EXPECT_THAT(result.assignment, IsEmpty());
  EXPECT_EQ(ReasonOn(result, "m", "a"), "has room, but 2 shards are needed");
  EXPECT_EQ(ReasonOn(result, "m", ""), "needs 2 shards, is on 0, and 1 more has room for it");
}

TEST(Staying, KeepsModelsWhereTheyAreHoweverUneven) {
  const Assignment current = {{"m", {"a"}}, {"n", {"a"}}, {"o", {"a"}}};
  const Result result = Assign({MakeShard("a"), MakeShard("b")},
                               {MakeModel("m", 1, 2), MakeModel("n", 1, 2), MakeModel("o", 1, 2)}, current);
  EXPECT_EQ(result.assignment, current);
  EXPECT_EQ(result.moves, 0u);
}

TEST(Staying, MovesTheFewestOffAShardThatHasTooLittle) {
  const Result result =
      Assign({MakeShard("a", 8), MakeShard("b", 8)}, {MakeModel("m", 2), MakeModel("n", 3), MakeModel("o", 4)},
             {{"m", {"a"}}, {"n", {"a"}}, {"o", {"a"}}});
  EXPECT_EQ(result.moves, 1u);
  EXPECT_EQ(result.assignment.at("m"), std::vector<std::string>{"b"});  // 2 GiB are enough
  EXPECT_THAT(result.explanations.at("m").summary,
              HasSubstr("Moves to b, 0 % utilised with it; left a (needs 2.0 GiB, 1.0 GiB of 8.0 GiB are free)"));
}

TEST(Staying, ADrainingShardIsLeftByWhatCanGoElsewhere) {
  Shard draining = MakeShard("a");
  draining.draining = true;
  const Result result = Assign({draining, MakeShard("b", 1)}, {MakeModel("large", 2), MakeModel("small", 1)},
                               {{"large", {"a"}}, {"small", {"a"}}});
  EXPECT_EQ(result.assignment.at("small"), std::vector<std::string>{"b"});
  EXPECT_EQ(result.assignment.at("large"), std::vector<std::string>{"a"});
  EXPECT_EQ(result.explanations.at("large").trouble, "a is draining");
  EXPECT_EQ(result.explanations.at("small").summary, "Moves to b, 0 % utilised with it; left a (is draining).");
}

TEST(Staying, WhatHasTooMuchLoadAndCanGoNowhereStays) {
  const Result result = Assign({MakeShard("a", 8, 10)}, {MakeModel("m", 1, 9), MakeModel("new", 1, 0)}, {{"m", {"a"}}});
  EXPECT_THAT(result.assignment, ElementsAre(Pair("m", ElementsAre("a"))));
  EXPECT_EQ(result.explanations.at("m").trouble, "the models on a need 9.00 cores, 8.00 may be planned with");
}

TEST(Staying, AModelThatLostAShardKeepsTheOther) {
  const Result result = Assign({MakeShard("a")}, {MakeModel("m", 1, 1, 2)}, {{"m", {"a", "gone"}}});
  EXPECT_THAT(result.assignment, ElementsAre(Pair("m", ElementsAre("a"))));
  EXPECT_EQ(result.explanations.at("m").trouble, "1 of 2 replicas");
  EXPECT_THAT(result.explanations.at("m").summary, HasSubstr("left gone (is not there any more)"));
}

TEST(Staying, IsolationIsNotGivenUpForIt) {
  Shard films = MakeShard("a");
  films.namespaces = {"films"};
  Model model = MakeModel("m");
  model.namespaces = {"home"};
  EXPECT_THAT(Assign({films}, {model}, {{"m", {"a"}}}).assignment, IsEmpty());
}

TEST(Staying, FewerReplicasLeaveTheRestWhereItIs) {
  const Result result = Assign({MakeShard("a"), MakeShard("b")}, {MakeModel("m", 1, 1, 1)}, {{"m", {"a", "b"}}});
  EXPECT_EQ(result.assignment.at("m").size(), 1u);
  EXPECT_EQ(result.moves, 0u);
}

TEST(Room, IsMadeByMovingOneOther) {
  const Result result =
      Assign({MakeShard("a", 4), MakeShard("b", 5)}, {MakeModel("m", 2), MakeModel("n", 3), MakeModel("new", 3)},
             {{"m", {"a"}}, {"n", {"b"}}});
  EXPECT_THAT(result.assignment,
              ElementsAre(Pair("m", ElementsAre("b")), Pair("n", ElementsAre("b")), Pair("new", ElementsAre("a"))));
  EXPECT_EQ(result.moves, 1u);
}

TEST(Room, IsMadeByAChainOfTwo) {
  // The new one fits a when m leaves it; m fits b when n leaves it; n fits c.
  const Result result = Assign({MakeShard("a", 6), MakeShard("b", 4), MakeShard("c", 2)},
                               {MakeModel("m", 3), MakeModel("n", 2), MakeModel("o", 1), MakeModel("new", 6)},
                               {{"m", {"a"}}, {"n", {"b"}}, {"o", {"b"}}});
  EXPECT_EQ(result.assignment.at("new"), std::vector<std::string>{"a"});
  EXPECT_EQ(result.assignment.size(), 4u);
  EXPECT_EQ(result.moves, 2u);
}

TEST(Required, AreAsOftenAsWhatRequiresThem) {
  Model model = MakeModel("m", 1, 1, 2);
  model.required = {"tokenizer"};
  const Result result = Assign({MakeShard("a"), MakeShard("b"), MakeShard("c")}, {model, MakeModel("tokenizer")}, {});
  EXPECT_EQ(result.assignment.at("m"), result.assignment.at("tokenizer"));
  EXPECT_EQ(result.assignment.at("m").size(), 2u);
}

TEST(Required, InACycleAreTogether) {
  Model one = MakeModel("one");
  one.required = {"two"};
  Model two = MakeModel("two", 1, 0, 2);
  two.required = {"one"};
  const Result result = Assign({MakeShard("a"), MakeShard("b"), MakeShard("c")}, {one, two}, {});
  EXPECT_EQ(result.assignment.at("one"), result.assignment.at("two"));
  EXPECT_EQ(result.assignment.at("one").size(), 2u);
}

TEST(Required, MoveTogether) {
  Shard draining = MakeShard("a");
  draining.draining = true;
  Model model = MakeModel("m");
  model.required = {"tokenizer"};
  const Result result =
      Assign({draining, MakeShard("b")}, {model, MakeModel("tokenizer")}, {{"m", {"a"}}, {"tokenizer", {"a"}}});
  EXPECT_EQ(result.assignment.at("m"), std::vector<std::string>{"b"});
  EXPECT_EQ(result.assignment.at("tokenizer"), std::vector<std::string>{"b"});
}

TEST(Required, ExclusiveModelsAreAloneWithWhatTheyRequire) {
  Model model = MakeModel("m");
  model.required = {"tokenizer"};
  model.exclusive = true;
  const Result result = Assign({MakeShard("a"), MakeShard("b")}, {model, MakeModel("tokenizer"), MakeModel("x")}, {});
  EXPECT_EQ(result.assignment.at("m"), result.assignment.at("tokenizer"));
  EXPECT_NE(result.assignment.at("m"), result.assignment.at("x"));
}

TEST(BadInput, LoadsThatAreNoNumbersCountAsNothing) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Result result =
      Assign({MakeShard("a")}, {MakeModel("m", 1, nan), MakeModel("n", 1, -5), MakeModel("o", 1, 1)}, {});
  EXPECT_EQ(result.assignment.size(), 3u);
  EXPECT_DOUBLE_EQ(result.utilisation_max, 0.1);
  EXPECT_THAT(result.explanations.at("m").summary,
              HasSubstr("its load is nan, expected 0 cores or more, and counts as 0"));
  EXPECT_THAT(result.explanations.at("n").summary, HasSubstr("its load is -5, expected"));
}

TEST(BadInput, InfiniteAmountsAreRefused) {
  const double infinite = std::numeric_limits<double>::infinity();
  Model huge = MakeModel("huge");
  huge.memory_bytes = std::numeric_limits<uint64_t>::max();
  const Result result = Assign({MakeShard("a")}, {MakeModel("busy", 1, infinite), huge, MakeModel("m")}, {});
  EXPECT_THAT(result.assignment, ElementsAre(Pair("m", ElementsAre("a"))));
  EXPECT_THAT(ReasonOn(result, "huge", "a"), HasSubstr("needs 16.0 EiB, 7.0 GiB of 8.0 GiB are free"));
  EXPECT_THAT(Assign({MakeShard("a", 8, std::nan(""))}, {MakeModel("m")}, {}).assignment, IsEmpty());
}

TEST(BadInput, SumsOfMemoryDoNotOverflow) {
  Shard large = MakeShard("a");
  large.memory_bytes = std::numeric_limits<uint64_t>::max();
  std::vector<Model> models;
  for (int i = 0; i < 4; ++i) {
    models.push_back(MakeModel(fmt::format("m{}", i)));
    models.back().memory_bytes = uint64_t{1} << 63;
  }
  EXPECT_EQ(Assign({large}, models, {}).assignment.size(), 1u);
  // A shard whose memory is not known takes all.
  large.memory_bytes = 0;
  EXPECT_EQ(Assign({large}, models, {}).assignment.size(), 4u);
}

TEST(BadInput, NoShardsNoModels) {
  EXPECT_THAT(Assign({}, {}, {}).assignment, IsEmpty());
  EXPECT_EQ(ReasonOn(Assign({}, {MakeModel("m")}, {{"m", {"a"}}}), "m", ""), "there are no shards");
  EXPECT_THAT(Assign({MakeShard("a")}, {}, {{"gone", {"a", "b"}}}).assignment, IsEmpty());
}

TEST(BadInput, NamesThatComeTwiceCountOnceInEitherOrder) {
  const Model one = MakeModel("m", 1);
  const Model other = MakeModel("m", 2);
  const Result result = Assign({MakeShard("a"), MakeShard("a", 1)}, {one, other}, {});
  EXPECT_EQ(result.assignment, Assign({MakeShard("a", 1), MakeShard("a")}, {other, one}, {}).assignment);
  EXPECT_EQ(result.assignment.at("m").size(), 1u);
}

TEST(BadInput, ReplicasWithoutEnd) {
  const Result result = Assign(
      {MakeShard("a")}, {MakeModel("m", 1, 1, std::numeric_limits<uint32_t>::max()), MakeModel("n", 1, 1, 0)}, {});
  EXPECT_THAT(result.assignment, ElementsAre(Pair("n", ElementsAre("a"))));
  EXPECT_THAT(ReasonOn(result, "m", ""), HasSubstr("needs 1000000 shards, 1 of 1 may have it"));
}

}  // namespace
}  // namespace signalbox::assign
