#include "effect/lint.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include <chrono>

#include "base/status.h"

namespace signalbox::effect {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kNow = 1'772'366'400'000;  // 2026-03-01T12:00:00Z

v1::PublishedRuleSet Parse(const std::string& rules) {
  v1::PublishedRuleSet published;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString("rule_set { namespace: 'home' " + rules + " }", &published))
      << rules.substr(0, 1000);
  return published;
}

std::vector<std::string> Messages(const std::vector<Warning>& warnings) {
  std::vector<std::string> messages;
  for (const Warning& warning : warnings) messages.push_back(warning.message);
  return messages;
}

std::vector<std::string> WarningsOf(const std::string& rules) {
  v1::Snapshot proto;
  *proto.add_rule_sets() = Parse(rules);
  const auto snapshot = decide::Snapshot::Compile(std::move(proto));
  EXPECT_TRUE(snapshot.ok()) << Message(snapshot.status());
  return Messages(Lint(**snapshot, kNow));
}

std::vector<std::string> MovesOf(const std::string& before, const std::string& after) {
  return Messages(LintAgainst(Parse(before), Parse(after), kNow));
}

const std::string kObjective =
    "objectives { name: 'Ranking' default_model { name: 'ranker' } fallback_models { name: 'popular' } } ";
const std::string kModel = "model { name: 'ranker' version: '9' } ";

std::string In(const std::string& field, const std::string& value) {
  return "field { field: '" + field + "' in { texts: '" + value + "' } } ";
}
std::string ContextRule(const std::string& id, const std::string& condition) {
  return "context_rules { id: '" + id + "' objectives: 'Ranking' condition { " + condition + "} " + kModel + "} ";
}
std::string Experiment(const std::string& id, const std::string& more, uint32_t first_ppm = 500'000) {
  return "experiments { id: '" + id +
         "' objectives: 'Ranking' allocation_ppm: 1000000 cells { name: '1' weight_ppm: " + std::to_string(first_ppm) +
         " " + kModel + "} cells { name: '2' weight_ppm: " + std::to_string(1'000'000 - first_ppm) + " " + kModel +
         "} " + more + "} ";
}
std::string Shift(uint32_t share_ppm, const std::string& more = "") {
  return "traffic_shifts { id: 'canary' objectives: 'Ranking' to { name: 'ranker' version: '2' } share_ppm: " +
         std::to_string(share_ppm) + " " + more + "} ";
}

TEST(Lint, GoodRulesGetNoWarning) {
  EXPECT_THAT(WarningsOf(kObjective + ContextRule("tv", In("device", "tv")) + Shift(10'000)), IsEmpty());
}

TEST(Lint, AConditionThatCannotHoldIsNamed) {
  EXPECT_THAT(WarningsOf(kObjective + ContextRule("two", "all { conditions { " + In("country", "US") +
                                                             "} conditions { " + In("country", "CA") + "} }")),
              ElementsAre("context rule two: can never apply: no request fulfils its condition"));
  EXPECT_THAT(
      WarningsOf(kObjective + ContextRule("range",
                                          "all { conditions { field { field: 'app_version' version { min: '4.2' } } } "
                                          "conditions { field { field: 'app_version' version { max: '4.0' } } } }")),
      ElementsAre("context rule range: can never apply: no request fulfils its condition"));
}

TEST(Lint, ARuleBehindOneThatTakesAllIsNotReached) {
  EXPECT_THAT(
      WarningsOf(kObjective + ContextRule("first", In("device", "tv")) + ContextRule("second", In("device", "tv"))),
      ElementsAre("context rule second: nobody reaches it: the rules before it take every request that it is for"));
  const std::string everywhere =
      "not { all { conditions { " + In("country", "US") + "} conditions { " + In("country", "CA") + "} } } ";
  EXPECT_THAT(WarningsOf(kObjective + ContextRule("all", everywhere) + Experiment("12345", "")),
              ElementsAre(HasSubstr("Objective Ranking: nobody gets its default model ranker"),
                          HasSubstr("experiment 12345: nobody reaches it")));
}

TEST(Lint, WhatBeginsLaterIsReachedLater) {
  EXPECT_THAT(WarningsOf(kObjective + Experiment("12345", "start_unix_ms: " + std::to_string(kNow + 1'000))),
              IsEmpty());
  EXPECT_THAT(WarningsOf(kObjective + ContextRule("weekend", "weekly { days: 6 from_minute: 1080 to_minute: 1380 } ")),
              IsEmpty());
}

TEST(Lint, WhatLiesInThePastIsNamed) {
  EXPECT_THAT(WarningsOf(kObjective + Experiment("12345", "end_unix_ms: " + std::to_string(kNow))),
              ElementsAre("experiment 12345: ended at 2026-03-01T12:00:00Z: nobody takes part any more"));
  EXPECT_THAT(WarningsOf(kObjective + ContextRule("xmas", "time { to_unix_ms: " + std::to_string(kNow - 1000) + " } ")),
              ElementsAre("context rule xmas: has a time window that ended at 2026-03-01T11:59:59Z"));
}

TEST(Lint, ExperimentsInTwoLayersThatBothChooseTheModelCompete) {
  const std::string layers = "layers { id: 'a' seed: 'a' unit: 'user' } layers { id: 'b' seed: 'b' unit: 'user' } ";
  const auto in_layer = [](const std::string& layer) {
    return "unit: 'user' layer: '" + layer + "' layer_end_ppm: 500000 ";
  };
  EXPECT_THAT(WarningsOf(kObjective + layers + Experiment("1", in_layer("a")) + Experiment("2", in_layer("b"))),
              ElementsAre(HasSubstr("experiment 2: competes with experiment 1 for the model")));
}

TEST(Lint, WhatNobodyRefersToIsNamed) {
  EXPECT_THAT(
      WarningsOf(
          kObjective +
          "layers { id: 'spare' seed: 'spare' unit: 'user' } "
          "holdouts { id: 'h' seed: 'h' unit: 'user' share_ppm: 10000 } "
          "policies { name: 'spare' limits { requests_per_second: 1 } } "
          "ensembles { name: 'mix' mode: MEAN members { model { name: 'a' } } members { model { name: 'b' } } } "),
      testing::UnorderedElementsAre("layer spare: no experiment is in it",
                                    "holdout h: there is no experiment to hold anybody out of",
                                    "policy spare: no rule refers to it",
                                    "ensemble mix: no rule refers to it, so that nobody uses its models a, b"));
}

TEST(Lint, AnObjectiveWithoutFallbackIsNamed) {
  EXPECT_THAT(WarningsOf("objectives { name: 'Ranking' default_model { name: 'ranker' } } "),
              ElementsAre(HasSubstr("Objective Ranking: has no fallback")));
}

TEST(Lint, AFallbackThatIsTheDefaultModelIsNamed) {
  const std::string objective = "objectives { name: 'Ranking' default_model { name: 'ranker' } ";
  EXPECT_THAT(WarningsOf(objective + "fallback_models { name: 'ranker' } } "),
              ElementsAre("Objective Ranking: its only fallback is its default model ranker: requests fail when that "
                          "cannot be reached"));
  EXPECT_THAT(WarningsOf(objective + "fallback_models { name: 'ranker' } fallback_models { name: 'popular' } } "),
              IsEmpty());
  EXPECT_THAT(WarningsOf(objective + "fallback_models { name: 'popular' } } "), IsEmpty());
}

TEST(Lint, AScheduleThatFallsIsNamed) {
  const auto ramp = [](const std::string& last) {
    return Shift(0, "schedule { start_unix_ms: 1000 steps { share_ppm: 500000 hold_ms: 1000 } steps { share_ppm: " +
                        last + " } } ");
  };
  EXPECT_THAT(WarningsOf(kObjective + ramp("100000")),
              ElementsAre("traffic shift canary: its schedule falls from 50 % to 10 % in step 2: users move back from "
                          "ranker@2"));
  EXPECT_THAT(WarningsOf(kObjective + ramp("500000")), IsEmpty());
}

TEST(Lint, ACellWithoutWeightIsNamedUnlessSomebodyCanGetIt) {
  EXPECT_THAT(WarningsOf(kObjective + Experiment("1", "", 1'000'000)),
              ElementsAre("experiment 1: the weight of cell 2 is 0: nobody gets its model ranker@9"));
  EXPECT_THAT(WarningsOf(kObjective + Experiment("1", "forced_cells { key: 'u1' value: '2' } ", 1'000'000)), IsEmpty());
  EXPECT_THAT(WarningsOf(kObjective + Experiment("1", "", 1'000'000) +
                         "overrides { id: 'qa' objectives: 'Ranking' users: 'alice' } "),
              IsEmpty());
}

TEST(Lint, ACellBelowOneBucketOfGrowthBooksHashIsNamed) {
  const auto cells = [](int hash_version, uint32_t small_ppm) {
    const auto cell = [](const std::string& name, uint32_t ppm) {
      return fmt::format("cells {{ name: '{}' weight_ppm: {} weight: {} {} }} ", name, ppm, ppm / 1e6, kModel);
    };
    return kObjective + "experiments { id: 'gb' objectives: 'Ranking' allocation_ppm: 1000000 hash_version: " +
           std::to_string(hash_version) + " " + cell("1", 1'000'000 - small_ppm) + cell("2", small_ppm) + "} ";
  };
  EXPECT_THAT(
      WarningsOf(cells(2, 40)),
      ElementsAre("experiment gb: no bucket of its hash falls into cell 2, so that nobody gets its model ranker@9: "
                  "hashVersion 2 tells apart no less than 0.01 %"));
  EXPECT_THAT(WarningsOf(cells(2, 400)), IsEmpty());
  EXPECT_THAT(WarningsOf(cells(1, 400)), ElementsAre(HasSubstr("hashVersion 1 tells apart no less than 0.1 %")));
}

TEST(Lint, LayersAndExperimentsOfHashVersion1DependOnOneAnother) {
  const auto layer = [](const std::string& id, const std::string& hash) {
    return fmt::format("layers {{ id: '{}' seed: '{}' unit: 'user' hash_version: {} }} ", id, id, hash);
  };
  const auto experiment = [](const std::string& id, const std::string& in_layer, const std::string& hash) {
    return fmt::format(
        "experiments {{ id: '{}' objectives: 'Ranking' allocation_ppm: 1000000 unit: 'user' layer: '{}' hash_version: "
        "{} "
        "layer_end_ppm: 500000 cells {{ name: '1' weight_ppm: 500000 weight: 0.5 }} cells {{ name: '2' weight_ppm: "
        "500000 weight: 0.5 parameters {{ key: '{}' value: '1' }} }} }} ",
        id, in_layer, hash, id);
  };
  EXPECT_THAT(
      WarningsOf(kObjective + layer("a", "1") + layer("b", "1") + experiment("x", "a", "0") +
                 experiment("y", "b", "0")),
      ElementsAre("layer b: who is in which part of it depends on layer a, because both have hashVersion 1; those with "
                  "hashVersion 2 are independent"));
  EXPECT_THAT(
      WarningsOf(kObjective + layer("a", "0") + layer("b", "2") + experiment("x", "a", "1") +
                 experiment("y", "b", "1")),
      ElementsAre("experiment y: its cells depend on those of experiment x, in another layer, because both have "
                  "hashVersion 1; those with hashVersion 2 are independent"));
  EXPECT_THAT(WarningsOf(kObjective + layer("a", "1") + layer("b", "2") + experiment("x", "a", "1") +
                         experiment("y", "b", "2")),
              IsEmpty());
}

TEST(Lint, AShadowThatIsNeverDrawnIsNamed) {
  EXPECT_THAT(WarningsOf(kObjective + "shadows { id: 's' objectives: 'Ranking' model { name: 'next' } } "),
              ElementsAre("shadow s: its sampleRate is 0: next gets no request"));
}

TEST(Lint, AModelThatOnlyAnOverrideNamesIsNamedUnlessItIsAnotherVersion) {
  const auto rule = [](const std::string& model) {
    return "overrides { id: 'qa' objectives: 'Ranking' users: 'alice' models { " + model + " } } ";
  };
  EXPECT_THAT(WarningsOf(kObjective + rule("name: 'rankr'")),
              ElementsAre("override qa: no other rule names any version of rankr, did you mean \"ranker\"?"));
  EXPECT_THAT(WarningsOf(kObjective + rule("name: 'ranker' version: '77'")), IsEmpty());
}

TEST(Lint, APolicyWithoutEffectIsNamed) {
  const std::string objective =
      "objectives { name: 'Ranking' default_model { name: 'ranker' } fallback_models { name: 'popular' } policy: 'p' "
      "} ";
  EXPECT_THAT(WarningsOf(objective + "policies { name: 'p' } "),
              ElementsAre("policy p: says nothing: no limits, deadlines, retries, fallbacks, static answer or `when`; "
                          "rules that refer to it get nothing"));
  EXPECT_THAT(WarningsOf(kObjective + "policies { name: 'p' } "),
              ElementsAre("policy p: says nothing: no limits, deadlines, retries, fallbacks, static answer or `when`"));
  const std::string in_tv =
      "context_rules { id: 'tv' objectives: 'Ranking' policy: 'tv' condition { " + In("device", "tv") + "} } ";
  EXPECT_THAT(
      WarningsOf(
          objective + in_tv +
          "policies { name: 'p' limits { requests_per_second: 9 } } policies { name: 'tv' limits { burst: 5 } } "),
      IsEmpty())
      << "the rate is the Objective's";
  EXPECT_THAT(WarningsOf(objective + "policies { name: 'p' limits { burst: 5 } } "),
              ElementsAre("policy p: limits.burst without limits.requestsPerSecond limits nothing"));
}

TEST(Lint, TensOfThousandsOfForcedCellsTakeNoTime) {
  std::string rules = kObjective;
  for (int experiment = 0; experiment < 10; ++experiment) {
    std::string forced;
    for (int unit = 0; unit < 5'000; ++unit)
      forced += "forced_cells { key: 'u" + std::to_string(experiment * 5'000 + unit) + "' value: '2' } ";
    rules += Experiment(std::to_string(experiment), forced);
  }
  const auto begin = std::chrono::steady_clock::now();
  WarningsOf(rules);
  // A tenth of a second; with every name compared with every test it took four.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

TEST(Lint, WhatIsTooMuchToFollowIsNoted) {
  std::string rules = kObjective + ContextRule("dead", "all { conditions { " + In("country", "US") + "} conditions { " +
                                                           In("country", "CA") + "} }");
  for (int i = 0; i < 7; ++i)
    rules += ContextRule("x" + std::to_string(i), "field { field: 'surface' regex: '^s" + std::to_string(i) + "-' }");
  EXPECT_THAT(WarningsOf(rules), ElementsAre(HasSubstr("Objective Ranking: too much to follow, not checked")));
}

TEST(Lint, NothingIsSaidToBeImpossibleThatMayBeMissed) {
  const std::string text_and_order =
      "all { conditions { field { field: 'app_version' prefix { texts: '4.' } } } "
      "conditions { field { field: 'app_version' version { min: '5.0.0' } } } }";
  EXPECT_THAT(WarningsOf(kObjective + ContextRule("r", text_and_order)),
              ElementsAre(HasSubstr("some values may be left out")));
}

TEST(LintAgainst, LoweringAShiftMovesUsersBack) {
  EXPECT_THAT(MovesOf(kObjective + Shift(100'000), kObjective + Shift(50'000)),
              ElementsAre("traffic shift canary: is lowered from 10 % to 5 %: users move back from ranker@2"));
  EXPECT_THAT(MovesOf(kObjective + Shift(100'000), kObjective + Shift(200'000)), IsEmpty());
  EXPECT_THAT(
      MovesOf(kObjective + Shift(100'000), kObjective),
      ElementsAre(
          "Objective Ranking: traffic shift canary, at 10 %, is gone: users move back from ranker@2 to ranker"));
}

TEST(LintAgainst, AnotherSeedOrUnitDrawsAnew) {
  EXPECT_THAT(MovesOf(kObjective + Shift(100'000), kObjective + Shift(200'000, "seed: 'x'")),
              ElementsAre("traffic shift canary: its seed was canary and is x: who is shifted is drawn anew"));
  EXPECT_THAT(MovesOf(kObjective + Experiment("1", ""), kObjective + Experiment("1", "unit: 'account'")),
              ElementsAre("experiment 1: its unit was user and is account: everybody in it gets a cell anew"));
  EXPECT_THAT(MovesOf(kObjective + Experiment("1", ""), kObjective + Experiment("1", "hash_version: 2")),
              ElementsAre("experiment 1: its hash version was 0 and is 2: everybody is drawn anew in it"));
}

TEST(LintAgainst, OtherWeightsMoveUsersBetweenCells) {
  EXPECT_THAT(MovesOf(kObjective + Experiment("1", ""), kObjective + Experiment("1", "", 600'000)),
              ElementsAre("experiment 1: its cells' weights move 10 % of its users from one cell to another"));
}

TEST(LintAgainst, AnExperimentThatDoesNotRunMovesNobody) {
  const std::string later = "start_unix_ms: " + std::to_string(kNow + 1000);
  EXPECT_THAT(MovesOf(kObjective + Experiment("1", later), kObjective + Experiment("1", later + " seed: 'x'")),
              IsEmpty());
}

TEST(LintAgainst, WhoIsNotMeantAnyMoreMovesBack) {
  const std::string us = "condition { " + In("country", "US") + "} ";
  const std::string both = "condition { field { field: 'country' in { texts: 'CA' texts: 'US' } } } ";
  EXPECT_THAT(
      MovesOf(kObjective + Shift(100'000), kObjective + Shift(100'000, us)),
      ElementsAre("traffic shift canary: does not apply any more where country is not US: users there move back "
                  "from ranker@2"));
  EXPECT_THAT(MovesOf(kObjective + Experiment("1", both), kObjective + Experiment("1", us)),
              ElementsAre("experiment 1: does not apply any more where country is CA: its users there leave it"));
  EXPECT_THAT(MovesOf(kObjective + Experiment("1", us), kObjective + Experiment("1", both)), IsEmpty());
  EXPECT_THAT(MovesOf(kObjective + Shift(100'000, us), kObjective + Shift(100'000)), IsEmpty());
}

TEST(LintAgainst, AConditionOfTimeIsLookedAtAsItIsNow) {
  const auto until = [](int64_t time) { return "condition { time { to_unix_ms: " + std::to_string(time) + " } } "; };
  EXPECT_THAT(MovesOf(kObjective + Shift(100'000), kObjective + Shift(100'000, until(kNow + 1))), IsEmpty());
  EXPECT_THAT(MovesOf(kObjective + Shift(100'000), kObjective + Shift(100'000, until(kNow))),
              ElementsAre("traffic shift canary: does not apply any more at this time: users there move back from "
                          "ranker@2"));
}

TEST(LintAgainst, ConditionsThatAreTooMuchToFollowMayLeaveSomebodyOut) {
  const auto surfaces = [](const std::string& begin) {
    std::string all;
    for (int i = 0; i < 7; ++i)
      all += "conditions { field { field: 'surface' regex: '^" + begin + std::to_string(i) + "-' } } ";
    return "condition { any { " + all + "} } ";
  };
  EXPECT_THAT(MovesOf(kObjective + Shift(100'000, surfaces("a")), kObjective + Shift(100'000, surfaces("b"))),
              ElementsAre(HasSubstr("may not apply any more to some requests")));
}

TEST(LintAgainst, AnObjectiveThatARuleIsNoLongerForIsNamed) {
  const std::string both =
      kObjective +
      "objectives { name: 'Search' default_model { name: 'ranker' } fallback_models { name: 'popular' } } ";
  EXPECT_THAT(MovesOf(both + Experiment("1", "objectives: 'Search' "), both + Experiment("1", "")),
              ElementsAre("experiment 1: is not for Objective Search any more: its users there leave it"));
  EXPECT_THAT(
      MovesOf(both + Shift(100'000, "objectives: 'Search' "), both + Shift(100'000)),
      ElementsAre("traffic shift canary: is not for Objective Search any more, where it was at 10 %: users move "
                  "back from ranker@2 to ranker"));
}

TEST(LintAgainst, AShiftToAnotherModelMovesItsUsers) {
  std::string to_3 = Shift(100'000);
  to_3.replace(to_3.find("'2'"), 3, "'3'");
  EXPECT_THAT(MovesOf(kObjective + Shift(100'000), kObjective + to_3),
              ElementsAre("traffic shift canary: its model was ranker@2 and is ranker@3: its users, 10 %, move"));
}

}  // namespace
}  // namespace signalbox::effect
