#include "cli/rule_test_report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

namespace signalbox::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string Where(const rules::SourcePlace& place) {
  return fmt::format("{}:{}:{}", place.file, place.line, place.column);
}

double Milliseconds(std::chrono::nanoseconds time) { return std::chrono::duration<double, std::milli>(time).count(); }

// Escape sequences on a terminal, nothing elsewhere.
class Colours {
 public:
  Colours() : on_(isatty(STDOUT_FILENO) == 1) {}
  std::string Good(std::string_view text) const { return With("32", text); }
  std::string Bad(std::string_view text) const { return With("31", text); }
  std::string Faint(std::string_view text) const { return With("2", text); }

 private:
  std::string With(std::string_view code, std::string_view text) const {
    return on_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
  }
  bool on_;
};

std::string ShareText(const effect::MeasuredShare& share) {
  return fmt::format("{} is {:.4f} % ({} of {} users), expected {:g} % +- {:g}", share.expectation,
                     100.0 * share.matching / share.users, share.matching, share.users, share.expected,
                     share.tolerance);
}

void PrintFailure(const effect::FailedExpectation& failure, const Colours& colours) {
  fmt::print("\n      {}  {}\n", failure.expectation, colours.Faint(Where(failure.place)));
  fmt::print("        expected  {}\n", colours.Good(failure.expected));
  fmt::print("        received  {}\n", colours.Bad(failure.received));
  for (size_t i = 0; i < failure.why.size(); ++i)
    fmt::print("        {}       {}\n", i == 0 ? "why" : "   ", colours.Faint(failure.why[i]));
}

Json PlaceJson(const rules::SourcePlace& place) {
  return {{"file", place.file}, {"line", place.line}, {"column", place.column}};
}

Json ProblemsJson(const std::vector<rules::Diagnostic>& problems) {
  Json json = Json::array();
  for (const rules::Diagnostic& problem : problems) {
    json.push_back(
        {{"file", problem.file}, {"line", problem.line}, {"column", problem.column}, {"message", problem.message}});
  }
  return json;
}

Json OutcomeJson(const effect::TestOutcome& outcome) {
  Json json = {{"ok", outcome.passed},
               {"milliseconds", Milliseconds(outcome.took)},
               {"expectations", outcome.expectations},
               {"failures", Json::array()},
               {"shares", Json::array()}};
  for (const effect::FailedExpectation& failure : outcome.failures) {
    Json one = PlaceJson(failure.place);
    one["expectation"] = failure.expectation;
    one["expected"] = failure.expected;
    one["received"] = failure.received;
    one["why"] = failure.why;
    json["failures"].push_back(std::move(one));
  }
  for (const effect::MeasuredShare& share : outcome.shares) {
    Json one = PlaceJson(share.place);
    one["expectation"] = share.expectation;
    one["expected_percent"] = share.expected;
    one["tolerance_percent"] = share.tolerance;
    one["users"] = share.users;
    one["matching"] = share.matching;
    json["shares"].push_back(std::move(one));
  }
  return json;
}

}  // namespace

void TestReport::BeginFile(const rules::TestFile& file) {
  files_.push_back({file.path, file.problems, {}});
  if (!file.problems.empty()) ++broken_files_;
}

void TestReport::Add(const rules::RuleTest& test, effect::TestOutcome outcome) {
  ++(outcome.passed ? passed_ : failed_);
  expectations_ += outcome.expectations;
  files_.back().results.push_back({test.name, test.place, test.problems, std::move(outcome)});
}

void TestReport::Refuse(const TestTarget& target, std::string_view why) {
  refusals_.push_back(fmt::format("the rules of {} cannot be tested:\n{}", fmt::join(target.test_files, ", "), why));
}

bool TestReport::ok() const { return failed_ == 0 && broken_files_ == 0 && refusals_.empty() && passed_ > 0; }

std::string TestReport::Summary() const {
  const size_t tests = passed_ + failed_;
  std::string text = fmt::format("{} test{}: {} passed, {} failed", tests, tests == 1 ? "" : "s", passed_, failed_);
  if (left_out_ > 0) text += fmt::format(", {} left out by the filter", left_out_);
  if (broken_files_ > 0) text += fmt::format("; {} file{} with errors", broken_files_, broken_files_ == 1 ? "" : "s");
  if (!refusals_.empty())
    text += fmt::format("; {} rule set{} with errors", refusals_.size(), refusals_.size() == 1 ? "" : "s");
  return fmt::format("{}; {} expectation{}, seed {}, {:.2f} s", text, expectations_, expectations_ == 1 ? "" : "s",
                     seed_, std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count());
}

bool TestReport::PrintText() const {
  const Colours colours;
  for (const File& file : files_) {
    fmt::print("{}\n", file.path);
    for (const rules::Diagnostic& problem : file.problems) fmt::print("  {}\n", colours.Bad(rules::Format(problem)));
    for (const Result& result : file.results) {
      const effect::TestOutcome& outcome = result.outcome;
      fmt::print("  {} {} {}\n", outcome.passed ? colours.Good("✓") : colours.Bad("✗"), result.name,
                 colours.Faint(fmt::format("({:.1f} ms)", Milliseconds(outcome.took))));
      for (const rules::Diagnostic& problem : result.problems)
        fmt::print("      {}\n", colours.Bad(rules::Format(problem)));
      for (const effect::MeasuredShare& share : outcome.shares) {
        if (share.is_as_expected) fmt::print("      {}\n", colours.Faint(ShareText(share)));
      }
      for (const effect::FailedExpectation& failure : outcome.failures) PrintFailure(failure, colours);
      if (!outcome.failures.empty()) fmt::print("\n");
    }
  }
  for (const std::string& refusal : refusals_) fmt::print("{}\n", colours.Bad(refusal));
  fmt::print("{}\n", ok() ? colours.Good(Summary()) : colours.Bad(Summary()));
  return ok();
}

bool TestReport::PrintJson() const {
  Json json = {{"ok", ok()},          {"seed", seed_},         {"passed", passed_},
               {"failed", failed_},   {"left_out", left_out_}, {"expectations", expectations_},
               {"errors", refusals_}, {"files", Json::array()}};
  for (const File& file : files_) {
    Json tests = Json::array();
    for (const Result& result : file.results) {
      Json test = {{"name", result.name}, {"place", PlaceJson(result.place)}};
      test.update(OutcomeJson(result.outcome));
      test["problems"] = ProblemsJson(result.problems);
      tests.push_back(std::move(test));
    }
    json["files"].push_back(
        {{"path", file.path}, {"problems", ProblemsJson(file.problems)}, {"tests", std::move(tests)}});
  }
  fmt::print("{}\n", json.dump(2, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace));
  return ok();
}

}  // namespace signalbox::cli
