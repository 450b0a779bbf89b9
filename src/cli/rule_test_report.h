// What `signalbox rules test` prints.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/rule_test_targets.h"
#include "effect/expectation_run.h"
#include "rules/rule_tests.h"

namespace signalbox::cli {

class TestReport {
 public:
  // `seed`: of the generated users.
  explicit TestReport(uint64_t seed) : seed_(seed), start_(std::chrono::steady_clock::now()) {}

  void BeginFile(const rules::TestFile& file);
  // Of the file that was begun last.
  void Add(const rules::RuleTest& test, effect::TestOutcome outcome);
  // A test that the filter leaves out.
  void LeaveOut() { ++left_out_; }
  // The rules of `target` cannot be tested. `why`: one problem a line.
  void Refuse(const TestTarget& target, std::string_view why);

  // These print to the standard output and say whether all is well: a test has run, and none has failed.
  bool PrintText() const;
  bool PrintJson() const;

 private:
  struct Result {
    std::string name;
    rules::SourcePlace place;
    std::vector<rules::Diagnostic> problems;
    effect::TestOutcome outcome;
  };
  struct File {
    std::string path;
    std::vector<rules::Diagnostic> problems;
    std::vector<Result> results;
  };

  bool ok() const;
  std::string Summary() const;

  uint64_t seed_;
  std::chrono::steady_clock::time_point start_;
  std::vector<File> files_;
  std::vector<std::string> refusals_;
  size_t passed_ = 0;
  size_t failed_ = 0;
  size_t left_out_ = 0;
  size_t expectations_ = 0;
  size_t broken_files_ = 0;
};

}  // namespace signalbox::cli
