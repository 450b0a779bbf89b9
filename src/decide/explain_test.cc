// Why a request goes where it goes, for each kind of rule: one sentence for each way that it can end.
#include "decide/explain.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "decide/test_snapshot.h"

namespace signalbox::decide {
namespace {

using ::testing::HasSubstr;

constexpr char kAlways[] = "condition { all {} } ";
constexpr char kOnTv[] = "condition { field { field: 'device' in { texts: 'tv' } } } ";

struct Case {
  std::string rules;
  RequestContext context = {};
  StepOutcome outcome = StepOutcome::kTaken;
  std::string why;  // of the last step that is not the default model's
};

// Of an Objective `Home` with the default model m.
void Check(StepKind kind, const std::vector<Case>& cases) {
  for (Case each : cases) {
    SCOPED_TRACE(each.rules);
    const auto snapshot = CompileOrDie(ParseSnapshot(
        "rule_sets { rule_set { namespace: 'team' objectives { name: 'Home' default_model { name: 'm' } } " +
        each.rules + " } }"));
    each.context.objective = "Home";
    const Explanation explanation = ExplainSteps(*snapshot, each.context);
    const Step* last = nullptr;
    for (const Step& step : explanation.steps) {
      if (step.kind == kind) last = &step;
    }
    ASSERT_NE(last, nullptr);
    EXPECT_EQ(Name(last->outcome), Name(each.outcome));
    EXPECT_EQ(last->why, each.why);
    // The page has the same sentence.
    EXPECT_THAT(Explain(*snapshot, each.context), HasSubstr(last->rule + "  "));
    EXPECT_THAT(Explain(*snapshot, each.context), HasSubstr(each.why + "\n"));
  }
}

TEST(ExplainOverride, SaysWhetherTheCallerMayAndDid) {
  const std::string rule = "overrides { id: 'o' objectives: 'Home' users: 'alice' models { name: 'n' } } ";
  const std::string experiment =
      "experiments { id: '1' objectives: 'Home' allocation_ppm: 1 cells { name: 'x' weight_ppm: 1000000 } } ";
  static constexpr std::array<CellName, 1> kCell = {{{"1", "x"}}};
  static constexpr std::array<CellName, 1> kNoSuchCell = {{{"1", "y"}}};
  Check(StepKind::kOverride, {{rule, {}, StepOutcome::kNotAsked, "the request asks for none"},
                              {rule,
                               {.user = "alice", .override_model = "n"},
                               StepOutcome::kTaken,
                               "gives n: the caller may choose it and did"},
                              {rule,
                               {.user = "bob", .override_model = "n"},
                               StepOutcome::kPassed,
                               "does not allow this caller what it asks for"},
                              {rule,
                               {.user = "alice", .override_model = "k"},
                               StepOutcome::kPassed,
                               "does not allow this caller what it asks for"},
                              {rule + experiment,
                               {.user = "alice", .override_cells = kCell},
                               StepOutcome::kTaken,
                               "the caller may choose its cells and did"},
                              {rule + experiment,
                               {.user = "alice", .override_model = "n", .override_cells = kNoSuchCell},
                               StepOutcome::kTaken,
                               "gives n: the caller may choose it and did, but asks for a cell that does not exist"},
                              {rule + "overrides { id: 'p' objectives: 'Home' users: 'alice' } ",
                               {.user = "alice", .override_model = "n"},
                               StepOutcome::kPassed,
                               "another one counts"}});
  Check(StepKind::kExperiment, {{rule + experiment,
                                 {.user = "alice", .override_cells = kCell},
                                 StepOutcome::kTaken,
                                 "cell x leaves the model to the rules below: the caller chose it"}});
}

TEST(ExplainContextRule, SaysWhatItGivesOrWhyItDoesNotHold) {
  const auto rule = [](const std::string& rest) { return "context_rules { id: 'c' objectives: 'Home' " + rest + "} "; };
  const std::string policy = "policies { name: 'p' limits { burst: 1 } } ";
  Check(StepKind::kContextRule,
        {{rule(std::string(kOnTv) + "model { name: 'n' } "),
          {.device = "tv"},
          StepOutcome::kTaken,
          "gives n: device is \"tv\" holds"},
         {rule("model { name: 'n' } "), {}, StepOutcome::kTaken, "gives n: holds always"},
         {rule(std::string(kOnTv) + "model { name: 'n' } "),
          {.device = "phone"},
          StepOutcome::kPassed,
          "device is \"tv\" does not hold: the request has device \"phone\""},
         {rule(std::string(kOnTv) + "model { name: 'n' } "),
          {},
          StepOutcome::kPassed,
          "device is \"tv\" does not hold: the request has no device"},
         {policy + rule(std::string(kOnTv) + "model { name: 'n' } policy: 'p' parameters { key: 'a' value: '1' } "),
          {.device = "tv"},
          StepOutcome::kTaken,
          "gives n, policy p, parameters: device is \"tv\" holds"},
         {"context_rules { id: 'b' objectives: 'Home' model { name: 'k' } } " + policy +
              rule("model { name: 'n' } policy: 'p' "),
          {},
          StepOutcome::kTaken,
          "gives policy p: holds always; the model is chosen, n is not needed"},
         {"context_rules { id: 'b' objectives: 'Home' model { name: 'k' } } " + rule("model { name: 'n' } "),
          {},
          StepOutcome::kPassed,
          "holds always; the model is chosen, n is not needed"}});
}

// With the model n, for everybody.
std::string Experiment(const std::string& rest, const std::string& id = "1") {
  return "experiments { id: '" + id +
         "' objectives: 'Home' allocation_ppm: 1000000 cells { name: 'x' weight_ppm: 1000000 model { name: 'n' } } " +
         rest + "} ";
}

TEST(ExplainExperiment, SaysWhoGaveTheCell) {
  static constexpr std::array<CellName, 1> kGiven = {{{"1", "x"}}};
  static constexpr std::array<CellName, 1> kUnknown = {{{"1", "y"}}};
  const auto remote = [](const std::string& rest) {
    return Experiment("remote { platform: 'gb' ttl_ms: 1000 deadline_ms: 1 " + rest + "} ");
  };
  Check(
      StepKind::kExperiment,
      {{Experiment("forced_cells { key: 'u' value: 'x' } "),
        {.user = "u"},
        StepOutcome::kTaken,
        "cell x gives n: the rules force this user into it"},
       {remote(""), {.user = "u", .remote_cells = kGiven}, StepOutcome::kTaken, "cell x gives n: platform gb gave it"},
       {remote("fallback: CELL fallback_cell: 'x' "),
        {.user = "u", .remote_cells = kUnknown},
        StepOutcome::kTaken,
        "cell x gives n: platform gb gave no cell of it; its fallback is this one"},
       {remote("fallback: NO_PART "),
        {.user = "u"},
        StepOutcome::kPassed,
        "platform gb gave no cell, and then nobody takes part"}});
  const auto snapshot = CompileOrDie(ParseSnapshot(
      "rule_sets { rule_set { namespace: 'team' objectives { name: 'Home' default_model { name: 'm' } } " + remote("") +
      " } }"));
  EXPECT_THAT(Explain(*snapshot, {.objective = "Home", .user = "u"}),
              HasSubstr("cell x gives n: platform gb gave no cell of it; everybody takes part; among the cells at "));
}

TEST(ExplainExperiment, SaysWhyNobodyIsInIt) {
  const std::string in_layer = "layer: 'l' layer_begin_ppm: 0 layer_end_ppm: 1000000 ";
  Check(StepKind::kExperiment,
        {{Experiment(kOnTv),
          {.user = "u"},
          StepOutcome::kPassed,
          "device is \"tv\" does not hold: the request has no device"},
         {Experiment("unit: 'account' unit: 'device' "),
          {.user = "u"},
          StepOutcome::kNotAsked,
          "the request has no account or device"},
         {Experiment("start_unix_ms: 5 "),
          {.user = "u"},
          StepOutcome::kPassed,
          "it runs at certain times, and the request has no time"},
         {Experiment("start_unix_ms: 5 "), {.user = "u", .now_unix_ms = 4}, StepOutcome::kPassed, "it has not started"},
         {Experiment("end_unix_ms: 5 "), {.user = "u", .now_unix_ms = 5}, StepOutcome::kPassed, "it has ended"},
         {"context_rules { id: 'c' objectives: 'Home' model { name: 'k' } } " + Experiment(""),
          {.user = "u"},
          StepOutcome::kNotAsked,
          "the model is chosen"},
         {Experiment("") + Experiment("", "2"),
          {.user = "u"},
          StepOutcome::kNotAsked,
          "another experiment with models has the user: 1"},
         {"layers { id: 'l' } " + Experiment("") + Experiment(in_layer, "2"),
          {.user = "u"},
          StepOutcome::kNotAsked,
          "another experiment with models has the user: 1"}});
  // With a draw in the sentence, whose number is the hash's business.
  const auto page = [](const std::string& rules) {
    return Explain(*CompileOrDie(ParseSnapshot(
                       "rule_sets { rule_set { namespace: 'team' objectives { name: 'Home' default_model { name: 'm' "
                       "} } " +
                       rules + " } }")),
                   {.objective = "Home", .user = "u"});
  };
  EXPECT_THAT(page("holdouts { id: 'h' share_ppm: 1000000 } " + Experiment("")),
              HasSubstr("holdout h has the user, which falls at "));
  EXPECT_THAT(page("holdouts { id: 'h' share_ppm: 1000000 } " + Experiment("")),
              HasSubstr(", everybody is held out\n"));
  EXPECT_THAT(page("layers { id: 'l' } " + Experiment("layer: 'l' layer_end_ppm: 1 ")),
              HasSubstr(" %, it has 0 % to 0.0001 %\n"));
}

TEST(ExplainTrafficShift, SaysWhoIsShifted) {
  const auto shift = [](const std::string& rest) {
    return "traffic_shifts { id: 's' objectives: 'Home' to { name: 'n' } " + rest + "} ";
  };
  Check(StepKind::kTrafficShift,
        {{shift("share_ppm: 1000000 unit: 'account' "), {}, StepOutcome::kNotAsked, "the request has no account"},
         {shift("share_ppm: 1000000 " + std::string(kOnTv)),
          {.user = "u", .device = "phone"},
          StepOutcome::kPassed,
          "device is \"tv\" does not hold: the request has device \"phone\""},
         {shift("share_ppm: 1000000 from { name: 'k' } "),
          {.user = "u"},
          StepOutcome::kPassed,
          "shifts from a model that is not the default model here"},
         {"context_rules { id: 'c' objectives: 'Home' model { name: 'k' } " + std::string(kAlways) + "} " +
              shift("share_ppm: 1000000 "),
          {.user = "u"},
          StepOutcome::kNotAsked,
          "the model is chosen"}});
}

TEST(ExplainShadow, SaysWhetherTheRequestIsCopied) {
  const auto shadow = [](const std::string& rest) {
    return "shadows { id: 's' objectives: 'Home' model { name: 'n' } " + rest + "} ";
  };
  Check(StepKind::kShadow, {{shadow("share_ppm: 1000000 " + std::string(kOnTv)),
                             {},
                             StepOutcome::kPassed,
                             "device is \"tv\" does not hold: the request has no device"}});
  const auto page = [&](uint32_t share_ppm) {
    return Explain(*CompileOrDie(ParseSnapshot(
                       "rule_sets { rule_set { namespace: 'team' objectives { name: 'Home' default_model { name: 'm' "
                       "} } " +
                       shadow(fmt::format("share_ppm: {} ", share_ppm)) + " } }")),
                   {.objective = "Home", .random = 5});
  };
  EXPECT_THAT(page(1'000'000), HasSubstr("copies to n: the request falls at "));
  EXPECT_THAT(page(1'000'000), HasSubstr(" %, everybody is copied\n"));
  EXPECT_THAT(page(0), HasSubstr(" %, nobody is copied\n"));
}

}  // namespace
}  // namespace signalbox::decide
