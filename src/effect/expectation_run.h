// Runs what tests expect of rules (rules/rule_tests.h) against decisions.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "decide/snapshot.h"
#include "rules/rule_tests.h"

namespace signalbox::effect {

struct ExpectationRunOptions {
  // Of the generated users: another one, other users. The same seed gives the same users in every process.
  uint64_t seed = 1;
  // Users of every distribution; 0: as each says.
  uint32_t users = 0;
};

struct FailedExpectation {
  rules::SourcePlace place;
  std::string expectation;  // `.model('ranker@2')`
  std::string expected;     // "ranker@2"
  std::string received;     // "ranker@1, default"
  // The steps of the decision, a line each. Only with the first failure of a request; empty for distributions.
  std::vector<std::string> why;
};

// What a distribution came to, whether as expected or not.
struct MeasuredShare {
  rules::SourcePlace place;
  std::string expectation;
  double expected = 0;   // percent
  double tolerance = 0;  // percentage points
  uint32_t users = 0;
  uint32_t matching = 0;
  bool is_as_expected = false;
};

struct TestOutcome {
  std::vector<FailedExpectation> failures;
  std::vector<MeasuredShare> shares;
  size_t expectations = 0;
  std::chrono::nanoseconds took{0};
  // And nothing is wrong with the test itself.
  bool passed = false;
};

// The rules as tests meet them: without a placement, and every shadow with a sample rate above 0 has all requests of
// which its condition holds, so that what is expected of one does not depend on a draw. INVALID_ARGUMENT as of
// Snapshot::Compile.
absl::StatusOr<std::shared_ptr<const decide::Snapshot>> CompileForTests(v1::RuleSet rule_set);

// `snapshot` is one of CompileForTests. Thread-safe. Takes about a microsecond for each user of a distribution.
TestOutcome RunExpectations(const decide::Snapshot& snapshot, const rules::RuleTest& test,
                            const ExpectationRunOptions& options = {});

}  // namespace signalbox::effect
