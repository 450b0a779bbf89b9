#include "effect/effect.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include "base/status.h"
#include "decide/decide.h"
#include "effect/effect_text.h"

namespace signalbox::effect {
namespace {

using testing::HasSubstr;

constexpr int64_t kNow = 1'772'366'400'000;

std::shared_ptr<const decide::Snapshot> Compile(const std::string& rules) {
  v1::Snapshot proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "rule_sets { rule_set { namespace: 'home' " + rules + " } }", &proto))
      << rules;
  auto snapshot = decide::Snapshot::Compile(std::move(proto));
  EXPECT_TRUE(snapshot.ok()) << Message(snapshot.status());
  return snapshot.ok() ? *snapshot : nullptr;
}

std::string Diff(const std::string& before, const std::string& after, const Limits& limits = {}) {
  return DescribeEffect(EffectOf(*Compile(before), *Compile(after), kNow, limits));
}

const std::string kObjective = "objectives { name: 'Ranking' default_model { name: 'ranker' version: '1' } } ";
const std::string kAmerica = "condition { field { field: 'country' in { texts: 'CA' texts: 'US' } } } ";

std::string Shift(uint32_t share_ppm, const std::string& more = "") {
  return "traffic_shifts { id: 'canary' seed: 'canary' objectives: 'Ranking' to { name: 'ranker' version: '2' } "
         "share_ppm: " +
         std::to_string(share_ppm) + " " + more + "} ";
}

std::string Experiment(const std::string& more, uint32_t first_weight_ppm = 500'000) {
  return "experiments { id: '12345' seed: '12345' objectives: 'Ranking' allocation_ppm: 1000000 "
         "cells { name: '1' weight_ppm: " +
         std::to_string(first_weight_ppm) +
         " } "
         "cells { name: '2' weight_ppm: " +
         std::to_string(1'000'000 - first_weight_ppm) + " model { name: 'ranker' version: '3' } } " + more + "} ";
}

TEST(Effect, ASentenceSaysWhoMovesWhere) {
  EXPECT_EQ(Diff(kObjective + Shift(10'000, kAmerica), kObjective + Shift(40'000, kAmerica)),
            "3.00 % of Ranking where country in {CA, US} moves from ranker@1 to ranker@2\n"
            "nothing else changes\n");
}

TEST(Effect, TheSameRulesChangeNothing) {
  EXPECT_EQ(Diff(kObjective + Shift(10'000), kObjective + Shift(10'000)), "nothing changes\n");
}

TEST(Effect, AnotherSeedMovesWhatIndependentDrawsMove) {
  const std::string other =
      "traffic_shifts { id: 'canary' seed: 'other' objectives: 'Ranking' to { name: 'ranker' version: "
      "'2' } share_ppm: 100000 } ";
  EXPECT_EQ(Diff(kObjective + Shift(100'000), kObjective + other),
            "9.00 % of Ranking moves from ranker@1 to ranker@2\n"
            "9.00 % of Ranking moves from ranker@2 to ranker@1\n"
            "nothing else changes\n");
}

TEST(Effect, ConditionsAreTakenApartToWhereTheyDiffer) {
  const std::string us = "condition { field { field: 'country' in { texts: 'US' } } } ";
  EXPECT_EQ(Diff(kObjective + Shift(1'000'000, us), kObjective + Shift(1'000'000, kAmerica)),
            "all of Ranking where country is CA moves from ranker@1 to ranker@2\n"
            "nothing else changes\n");
}

TEST(Effect, CellsAndModelsAreToldApart) {
  const std::string text = Diff(kObjective + Experiment(""), kObjective + Experiment("", 600'000));
  EXPECT_EQ(text,
            "10.00 % of Ranking moves from ranker@3 to ranker@1\n"
            "10.00 % of Ranking moves in experiment 12345 from cell 2 to cell 1\n"
            "nothing else changes\n");
}

TEST(Effect, AUnitThatTheRulesNameIsToldByItself) {
  const auto force = [](const std::string& cell) {
    return kObjective + Experiment("forced_cells { key: 'alice' value: '" + cell + "' }");
  };
  // By her hash she is in one of the two cells, so forcing her into it changes nothing.
  const std::string one = Diff(kObjective + Experiment(""), force("1"));
  const std::string two = Diff(kObjective + Experiment(""), force("2"));
  const std::string nothing =
      "Ranking: its rules differ, and every request gets what it got before\nnothing else changes\n";
  EXPECT_NE(one == nothing, two == nothing) << one << two;
  EXPECT_THAT(one == nothing ? two : one, testing::StartsWith("all of Ranking where user is alice moves from ranker@"));
}

TEST(Effect, OfManyNamedUnitsItIsSaidThatTheyAreToldTogether) {
  const auto users = [](int count) {
    std::string texts;
    for (int i = 0; i < count; ++i) texts += "texts: 'u" + std::to_string(i) + "' ";
    return kObjective + Experiment("condition { field { field: 'user' in { " + texts + "} } } ");
  };
  EXPECT_THAT(Diff(kObjective, users(2'001)),
              HasSubstr("note: the rules name so many values of user that they are told"));
  EXPECT_THAT(Diff(kObjective, users(3)), testing::Not(HasSubstr("note:")));
}

// Whoever is in cell 1 by the hash stays there, so that just those of cell 2 move.
TEST(Effect, HundredsOfNamedUnitsAreEachWorkedOut) {
  constexpr int kUsers = 500;
  std::string forced;
  for (int i = 0; i < kUsers; ++i) forced += "forced_cells { key: 'u" + std::to_string(i) + "' value: '1' } ";
  const auto before = Compile(kObjective + Experiment(""));
  const Effect effect = EffectOf(*before, *Compile(kObjective + Experiment(forced)), kNow);
  size_t moved = 0;
  for (int i = 0; i < kUsers; ++i) {
    const std::string user = "u" + std::to_string(i);
    const auto decision = decide::Decide(*before, {.objective = "Ranking", .user = user, .now_unix_ms = kNow});
    moved += decision.enrolments[0].cell == "2" ? 1U : 0U;
  }
  ASSERT_EQ(effect.objectives.at(0).why_sampled, "");
  ASSERT_EQ(effect.objectives[0].movements.size(), 2U);
  const Movement& movement = effect.objectives[0].movements[0];
  EXPECT_EQ(movement.share, Share::Whole());
  EXPECT_THAT(movement.where, HasSubstr(fmt::format("... {} more}}", moved - 12)));
  EXPECT_THAT(effect.objectives[0].notes, testing::IsEmpty());
}

TEST(Effect, LayersThatSetParametersOnlyAreAddedUp) {
  const auto layers = [](int cells_of_layer_7) {
    std::string rules = kObjective + Shift(100'000);
    for (int i = 0; i < 15; ++i) {
      const std::string id = "l" + std::to_string(i);
      rules += fmt::format("layers {{ id: '{}' seed: '{}' unit: 'user' }} ", id, id);
      rules += fmt::format(
          "experiments {{ id: 'e{}' seed: 'e{}' objectives: 'Ranking' unit: 'user' layer: '{}' layer_end_ppm: 500000 "
          "allocation_ppm: 200000 ",
          i, i, id);
      const int count = i == 7 ? cells_of_layer_7 : 2;
      for (int cell = 0; cell < count; ++cell)
        rules += fmt::format("cells {{ name: '{}' weight_ppm: {} parameters {{ key: 'p{}' value: '{}' }} }} ", cell,
                             1'000'000 / count, i, cell);
      rules += "} ";
    }
    return rules;
  };
  EXPECT_EQ(Diff(layers(2), layers(4)),
            "2.50 % of Ranking moves in experiment e7 from cell 0 to cell 1\n"
            "2.50 % of Ranking moves in experiment e7 from cell 1 to cell 2\n"
            "2.50 % of Ranking moves in experiment e7 from cell 1 to cell 3\n"
            "2.50 % of Ranking gets parameter p7=1 instead of 0\n"
            "2.50 % of Ranking gets parameter p7=2 instead of 1\n"
            "2.50 % of Ranking gets parameter p7=3 instead of 1\n"
            "nothing else changes\n");
  const Effect all = EffectOf(*Compile(kObjective + Shift(100'000)), *Compile(layers(2)), kNow);
  EXPECT_EQ(all.objectives.at(0).why_sampled, "");
  EXPECT_EQ(all.objectives[0].movements.size(), 60U);
  EXPECT_LT(all.objectives[0].paths, 200U);
}

TEST(Effect, ObjectivesWithTheSameRulesAreWorkedOutOnce) {
  const auto rules = [](uint32_t share_ppm) {
    std::string shift = Shift(share_ppm);
    std::string all = kObjective;
    for (int i = 0; i < 50; ++i) {
      all += fmt::format("objectives {{ name: 'Other{}' default_model {{ name: 'ranker' version: '1' }} }} ", i);
      shift.insert(shift.find("to {"), fmt::format("objectives: 'Other{}' ", i));
    }
    return all + shift;
  };
  const Effect effect = EffectOf(*Compile(rules(0)), *Compile(rules(500'000)), kNow, {.paths_of_all_max = 5});
  ASSERT_EQ(effect.objectives.size(), 51U);
  for (const ObjectiveEffect& each : effect.objectives) {
    EXPECT_EQ(each.why_sampled, "") << each.objective;
    EXPECT_EQ(each.movements.size(), 1U) << each.objective;
  }
  EXPECT_EQ(effect.objectives[1].objective, "Other1");
}

TEST(Effect, RequestsWithoutAUnitAreAClass) {
  const std::string two = "objectives { name: 'Ranking' default_model { name: 'ranker' version: '2' } } ";
  const std::string text = Diff(kObjective + Shift(1'000'000), two + Shift(1'000'000));
  EXPECT_EQ(text, "all of Ranking where no user moves from ranker@1 to ranker@2\nnothing else changes\n");
}

TEST(Effect, ParametersFallbacksLimitsAndShadowsAreNamed) {
  const std::string rich =
      "objectives { name: 'Ranking' default_model { name: 'ranker' version: '1' } parameters { key: 'depth' value: "
      "'80' } "
      "  fallback_models { name: 'popular' } policy: 'strict' } "
      "policies { name: 'strict' limits { requests_per_second: 100 } } "
      "shadows { id: 's1' objectives: 'Ranking' model { name: 'ranker' version: '9' } share_ppm: 100000 } ";
  const std::string text = Diff(kObjective, rich);
  EXPECT_THAT(text, HasSubstr("all of Ranking gets parameter depth=80\n"));
  EXPECT_THAT(text, HasSubstr("all of Ranking falls back to popular\n"));
  EXPECT_THAT(text, HasSubstr("all of Ranking is limited to 100 requests/s\n"));
  EXPECT_THAT(text, HasSubstr("all of Ranking is shadowed by s1 (ranker@9, 10 % of requests)\n"));
}

TEST(Effect, TimeIsThatOfTheQuestion) {
  const std::string later = "start_unix_ms: " + std::to_string(kNow + 1);
  EXPECT_THAT(Diff(kObjective, kObjective + Experiment(later)), HasSubstr("every request gets what it got before"));
}

TEST(Effect, WhatAPlatformAllocatesIsToldForEachOfItsCells) {
  const std::string remote =
      Experiment("remote { platform: 'growthbook' ttl_ms: 60000 deadline_ms: 10 fallback: NO_PART }");
  const std::string text = Diff(kObjective, kObjective + remote);
  EXPECT_THAT(text,
              HasSubstr("all of Ranking where the platform gives cell 2 of experiment 12345 moves from ranker@1 to "
                        "ranker@3\n"));
  EXPECT_THAT(text, HasSubstr("how many get which, only it knows"));
}

TEST(Effect, BeyondItsLimitsItCountsAndSaysSo) {
  const std::string text =
      Diff(kObjective + Shift(0), kObjective + Shift(500'000), {.classes_max = 1, .paths_max = 100});
  EXPECT_THAT(text,
              testing::ContainsRegex("about [0-9.]+ % of the requests generated for Ranking moves from ranker@1"));
  EXPECT_THAT(text, HasSubstr("not exact: more than 1 classes of requests, or 100 ways that they can go"));
}

TEST(Effect, WhatIsNotCountedIsNotDenied) {
  const std::string shadow =
      "shadows { id: 's1' objectives: 'Ranking' model { name: 'ranker' version: '9' } share_ppm: 100000 } ";
  const std::string text = Diff(kObjective, kObjective + shadow, {.classes_max = 0, .paths_max = 0});
  EXPECT_THAT(text, HasSubstr("no request was found that gets something else; others may\n"));
  EXPECT_THAT(text, HasSubstr("note: shadow s1 was added\n"));
}

TEST(Effect, AllObjectivesTogetherHaveAsManyPathsAsTheyMay) {
  const std::string other = "objectives { name: 'Search' default_model { name: 'ranker' version: '1' } } ";
  const auto both = [&](uint32_t share_ppm) {
    std::string shift = Shift(share_ppm, "unit: 'account'");
    shift.replace(shift.find("'Ranking'"), 9, "'Search'");
    shift.replace(shift.find("'canary'"), 8, "'search-canary'");
    return kObjective + other + Shift(share_ppm) + shift;
  };
  const std::string text = Diff(both(0), both(500'000), {.classes_max = 100, .paths_max = 100, .paths_of_all_max = 5});
  EXPECT_THAT(text, HasSubstr("50.00 % of Ranking moves"));
  EXPECT_THAT(text, testing::ContainsRegex("about [0-9.]+ % of the requests generated for Search"));
}

TEST(Effect, ATextThatNoRequestIsKnownOfMayBelongToNone) {
  const auto rule = [](const std::string& test) {
    return "context_rules { id: 'r' objectives: 'Ranking' model { name: 'ranker' version: '2' } condition { field { "
           "field: 'surface' " +
           test + " } } } ";
  };
  const std::string text = Diff(kObjective + rule("regex: '^kids'"), kObjective + rule("prefix { texts: 'kids' }"));
  EXPECT_THAT(text, HasSubstr("(if there is any such request) moves from ranker@1 to ranker@2\n"));
  EXPECT_THAT(text, HasSubstr("note: regular expressions are not solved"));
  EXPECT_THAT(Diff(kObjective, kObjective + rule("regex: '^kids'")), testing::Not(HasSubstr("if there is any")));
}

// GrowthBook's hash 1 is taken modulo 1000, and the seeds "exp1" and "exp2" differ in their last character only.
TEST(Effect, DrawsThatDependOnOneAnotherAreCounted) {
  const auto experiment = [](const std::string& id, const std::string& hash_version) {
    return "experiments { id: '" + id + "' seed: '" + id +
           "' objectives: 'Ranking' allocation_ppm: 100000 hash_version: " + hash_version +
           " cells { name: 'a' weight_ppm: 1000000 parameters { key: '" + id + "' value: '1' } } } ";
  };
  const auto pair = [&](const std::string& hash_version) {
    return kObjective + experiment("exp1", hash_version) + experiment("exp2", hash_version);
  };
  EXPECT_THAT(Diff(kObjective, pair("1")), HasSubstr("note: draws with hashVersion 1 depend on one another"));
  EXPECT_THAT(Diff(kObjective, pair("1")), testing::ContainsRegex("about [0-9.]+ % of Ranking gets parameter exp2=1"));
  EXPECT_THAT(Diff(kObjective, pair("2")), testing::Not(HasSubstr("about")));
}

TEST(Effect, ObjectivesThatComeAndGoAreNamed) {
  const std::string other = "objectives { name: 'Search' default_model { name: 'finder' } } ";
  EXPECT_EQ(Diff(kObjective, other),
            "Ranking is gone: requests for it are refused\nSearch is new\nnothing else changes\n");
}

}  // namespace
}  // namespace signalbox::effect
