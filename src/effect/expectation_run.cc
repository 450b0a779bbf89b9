#include "effect/expectation_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "base/nearest_name.h"
#include "decide/decide.h"
#include "decide/explain.h"
#include "effect/generated_units.h"
#include "effect/tested_request.h"
#include "signalbox/v1/objective_config.pb.h"

namespace signalbox::effect {
namespace {

using rules::Expectation;
using Kind = rules::Expectation::Kind;

std::string DidYouMean(std::string_view name, const std::vector<std::string_view>& known) {
  const std::string_view nearest = NearestName(name, known);
  return nearest.empty() ? "" : fmt::format(", did you mean \"{}\"?", nearest);
}

// What a model is asked with, overlays included.
v1::ObjectiveConfig ConfigOf(const decide::Decision& decision) {
  std::string bytes(decision.answer->objective_config);
  for (const decide::Overlay* overlay : decision.overlays) bytes += overlay->objective_config;
  v1::ObjectiveConfig config;
  config.ParseFromString(bytes);
  return config;
}

std::string ModelText(const decide::Decision& decision) {
  const decide::Answer& answer = *decision.answer;
  std::string text = fmt::format("{}, {}", answer.model->id, Name(answer.reason));
  if (!answer.experiment.empty()) text += fmt::format(" {} cell {}", answer.experiment, answer.cell);
  return text;
}

std::string CellsText(const decide::Decision& decision) {
  std::string text;
  for (const decide::Enrolment& enrolment : decision.enrolments)
    text += fmt::format("{}cell {} of {}", text.empty() ? "" : ", ", enrolment.cell, enrolment.experiment);
  return text.empty() ? "no experiment" : text;
}

std::optional<std::string_view> CellOf(const decide::Decision& decision, std::string_view experiment) {
  for (const decide::Enrolment& enrolment : decision.enrolments) {
    if (enrolment.experiment == experiment) return enrolment.cell;
  }
  return std::nullopt;
}

std::string ModelIds(std::span<const decide::Answer* const> answers) {
  std::string text;
  for (const decide::Answer* answer : answers) text += (text.empty() ? "" : ", ") + answer->model->id;
  return text.empty() ? "none" : text;
}

// "; no rule names ..." for a misspelled one.
std::string UnknownModel(const decide::Snapshot& snapshot, const std::string& id) {
  if (snapshot.NamesModel(id)) return "";
  std::vector<std::string_view> known;
  for (const auto& model : snapshot.models()) known.push_back(model->id);
  return fmt::format("; no rule names {}{}", id, DidYouMean(id, known));
}

std::string UnknownExperiment(const decide::Snapshot& snapshot, const std::string& id) {
  std::vector<std::string_view> known;
  for (const auto& version : snapshot.proto().rule_sets()) {
    for (const v1::Experiment& experiment : version.rule_set().experiments()) {
      if (experiment.id() == id) return "";
      known.push_back(experiment.id());
    }
  }
  return fmt::format("; there is no experiment {}{}", id, DidYouMean(id, known));
}

class Comparison {
 public:
  Comparison(const decide::Snapshot& snapshot, const decide::Decision& decision)
      : snapshot_(snapshot), decision_(decision) {}

  // Only what distributions have: on the way of each generated user.
  static bool Matches(const decide::Decision& decision, const Expectation& expectation) {
    if (decision.answer == nullptr) return false;
    if (expectation.kind == Kind::kModel) return decision.answer->model->id == expectation.arguments[0];
    return CellOf(decision, expectation.arguments[0]) == expectation.arguments[1];
  }

  // What is expected and what came instead; nothing when they are the same.
  std::optional<FailedExpectation> Compare(const Expectation& expectation) const {
    FailedExpectation failed{expectation.place, Text(expectation), "", "", {}};
    if (CompareInto(expectation, failed)) return std::nullopt;
    return failed;
  }

 private:
  bool CompareInto(const Expectation& expectation, FailedExpectation& failed) const {
    const std::vector<std::string>& arguments = expectation.arguments;
    switch (expectation.kind) {
      case Kind::kModel:
        failed.expected = arguments[0];
        failed.received = ModelText(decision_) + UnknownModel(snapshot_, arguments[0]);
        return decision_.answer->model->id == arguments[0];
      case Kind::kCell:
        failed.expected = fmt::format("cell {} of {}", arguments[1], arguments[0]);
        failed.received = CellsText(decision_) + UnknownExperiment(snapshot_, arguments[0]);
        return CellOf(decision_, arguments[0]) == arguments[1];
      case Kind::kNoCell:
        failed.expected = fmt::format("no part in {}", arguments[0]);
        failed.received = CellsText(decision_) + UnknownExperiment(snapshot_, arguments[0]);
        // A misspelled experiment would pass for ever.
        return !CellOf(decision_, arguments[0]) && UnknownExperiment(snapshot_, arguments[0]).empty();
      case Kind::kReason:
        failed.expected = arguments[0];
        failed.received = Name(decision_.answer->reason);
        return failed.expected == failed.received;
      case Kind::kParameter:
        return CompareParameter(arguments, failed);
      case Kind::kFallbacks:
        failed.expected = arguments.empty() ? "none" : fmt::format("{}", fmt::join(arguments, ", "));
        failed.received = ModelIds(decision_.fallbacks);
        return failed.expected == failed.received;
      case Kind::kShadow:
        return CompareShadow(arguments[0], failed);
      case Kind::kPolicy:
        failed.expected = arguments[0];
        failed.received = decision_.policy == nullptr ? "none" : decision_.policy->name;
        return decision_.policy != nullptr && failed.expected == failed.received;
      case Kind::kOverride:
        failed.expected = arguments[0];
        failed.received = decision_.override_rule.empty() ? "none" : std::string(decision_.override_rule);
        return decision_.override_rule == arguments[0];
      case Kind::kStaticAnswer:
        failed.expected = "a static answer";
        failed.received = "none";
        return decision_.static_answer != nullptr;
    }
    return false;
  }

  bool CompareParameter(const std::vector<std::string>& arguments, FailedExpectation& failed) const {
    const v1::ObjectiveConfig config = ConfigOf(decision_);
    const auto found = config.parameters().find(arguments[0]);
    failed.expected = fmt::format("{} = {}", arguments[0], arguments[1]);
    if (found != config.parameters().end()) {
      failed.received = fmt::format("{} = {}", arguments[0], found->second);
      return found->second == arguments[1];
    }
    std::vector<std::string> keys;
    for (const auto& [key, value] : config.parameters()) keys.push_back(key);
    std::sort(keys.begin(), keys.end());
    failed.received = keys.empty() ? "no parameters" : fmt::format("no such parameter, but {}", fmt::join(keys, ", "));
    return false;
  }

  bool CompareShadow(const std::string& id, FailedExpectation& failed) const {
    failed.expected = id;
    for (const decide::Shadow* shadow : decision_.shadows) {
      if (shadow->id == id) return true;
      failed.received += (failed.received.empty() ? "" : ", ") + std::string(shadow->id);
    }
    if (failed.received.empty()) failed.received = "none";
    return false;
  }

  const decide::Snapshot& snapshot_;
  const decide::Decision& decision_;
};

std::vector<std::string> StepsText(const decide::Explanation& explanation) {
  std::vector<std::string> lines;
  for (const decide::Step& step : explanation.steps) {
    const std::string place = step.place.empty() ? "" : fmt::format(" ({})", step.place);
    lines.push_back(fmt::format("{}: {}, {}{}", Name(step.outcome), step.rule, step.why, place));
  }
  return lines;
}

class TestRun {
 public:
  TestRun(const decide::Snapshot& snapshot, const ExpectationRunOptions& options)
      : snapshot_(snapshot), options_(options) {}

  void Run(const rules::ExpectedDecision& decision) {
    if (decision.users == 0) {
      RunOne(decision);
    } else {
      RunDistribution(decision);
    }
  }

  TestOutcome outcome;

 private:
  void RunOne(const rules::ExpectedDecision& decision) {
    TestedRequest request(decision.context, {});
    const decide::Explanation explanation = ExplainSteps(snapshot_, request.AsGiven());
    outcome.expectations += decision.expectations.size();
    if (explanation.decision.answer == nullptr) return FailAll(decision);
    const Comparison comparison(snapshot_, explanation.decision);
    bool is_explained = false;
    for (const Expectation& expectation : decision.expectations) {
      std::optional<FailedExpectation> failed = comparison.Compare(expectation);
      if (!failed) continue;
      if (!std::exchange(is_explained, true)) failed->why = StepsText(explanation);
      outcome.failures.push_back(*std::move(failed));
    }
  }

  // No such Objective: told once.
  void FailAll(const rules::ExpectedDecision& decision) {
    const std::string& name = decision.context.objective;
    outcome.failures.push_back({decision.place,
                                fmt::format("objective '{}'", name),
                                "an Objective of the rules",
                                decide::WhyNoAnswer(snapshot_, name) + DidYouMean(name, snapshot_.ObjectiveNames()),
                                {}});
  }

  void RunDistribution(const rules::ExpectedDecision& decision) {
    outcome.expectations += decision.expectations.size();
    if (snapshot_.FindObjective(decision.context.objective) == nullptr) return FailAll(decision);
    const uint32_t users = options_.users != 0 ? options_.users : decision.users;
    TestedRequest request(decision.context, UnitFields(snapshot_.proto()));
    std::vector<uint32_t> matching(decision.expectations.size());
    for (uint32_t user = 0; user < users; ++user) {
      const decide::Decision decided = Decide(snapshot_, request.OfUnit(options_.seed, user));
      for (size_t i = 0; i < matching.size(); ++i) {
        if (Comparison::Matches(decided, decision.expectations[i])) ++matching[i];
      }
    }
    for (size_t i = 0; i < matching.size(); ++i) Measure(decision.expectations[i], users, matching[i]);
  }

  void Measure(const Expectation& expectation, uint32_t users, uint32_t matching) {
    const double percent = 100.0 * matching / users;
    // A billionth for the arithmetic: "3 % with a tolerance of 0.2" holds for 3.2 %.
    const bool is_as_expected = std::abs(percent - expectation.share) <= expectation.tolerance + 1e-9;
    const MeasuredShare share{expectation.place, Text(expectation), expectation.share, expectation.tolerance, users,
                              matching,          is_as_expected};
    outcome.shares.push_back(share);
    // A misspelled one would never be more than its 0 %.
    const std::string& name = expectation.arguments[0];
    const std::string unknown =
        expectation.kind == Kind::kModel ? UnknownModel(snapshot_, name) : UnknownExperiment(snapshot_, name);
    if (is_as_expected && unknown.empty()) return;
    outcome.failures.push_back(
        {share.place,
         share.expectation,
         fmt::format("{:g} % +- {:g}", share.expected, share.tolerance),
         fmt::format("{:.4g} % ({} of {} users, seed {}){}", percent, matching, users, options_.seed, unknown),
         {}});
  }

  const decide::Snapshot& snapshot_;
  const ExpectationRunOptions& options_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const decide::Snapshot>> CompileForTests(v1::RuleSet rule_set) {
  constexpr uint32_t kEveryRequestPpm = 1'000'000;
  for (v1::Shadow& shadow : *rule_set.mutable_shadows()) {
    // One that is drawn for no request is drawn for no test.
    if (shadow.share_ppm() > 0) shadow.set_share_ppm(kEveryRequestPpm);
  }
  v1::Snapshot proto;
  *proto.add_rule_sets()->mutable_rule_set() = std::move(rule_set);
  return decide::Snapshot::Compile(std::move(proto));
}

TestOutcome RunExpectations(const decide::Snapshot& snapshot, const rules::RuleTest& test,
                            const ExpectationRunOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  TestRun run(snapshot, options);
  if (test.problems.empty()) {
    for (const rules::ExpectedDecision& decision : test.decisions) run.Run(decision);
  }
  run.outcome.took = std::chrono::steady_clock::now() - start;
  run.outcome.passed = test.problems.empty() && run.outcome.failures.empty();
  return std::move(run.outcome);
}

}  // namespace signalbox::effect
