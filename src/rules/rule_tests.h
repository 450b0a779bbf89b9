// Tests beside the rules: what a file NAME.test.js expects of decisions, as plain data.
//
// A file of tests runs in the same sandbox as rules, within the same limits, and decides nothing: it says for which
// requests which decisions are expected. Who compares them with the rules: effect/expectation_run.h.
//
// For authors: docs/rules.md and api/rules-test.d.ts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "rules/rules.h"

namespace signalbox::rules {

// What one file may ask for.
inline constexpr size_t kTestsMax = 10'000;
inline constexpr size_t kExpectationsMax = 100'000;
inline constexpr uint32_t kUsersMax = 1'000'000;        // of one distribution
inline constexpr uint64_t kUsersTotalMax = 20'000'000;  // of all of them

struct SourcePlace {
  std::string file;
  uint32_t line = 0;
  uint32_t column = 0;
};

// What a request is to say. Text fields that it does not have are empty.
struct TestedContext {
  std::string objective;
  std::string user;
  std::string country;
  std::string locale;
  std::string device;
  std::string surface;
  std::string tenant;
  std::string traffic_type;  // "live", "synthetic", "replay", "shadow"; empty: live
  std::string app_version;
  std::string segments;  // separated by spaces
  std::vector<std::pair<std::string, std::string>> attributes;
  int64_t now_unix_ms = 0;
  std::string override_model;
  std::vector<std::pair<std::string, std::string>> override_cells;  // experiment, cell
};

struct Expectation {
  enum class Kind : uint8_t {
    kModel,         // id
    kCell,          // experiment, cell
    kNoCell,        // experiment
    kReason,        // name
    kParameter,     // key, value
    kFallbacks,     // ids, all of them in order
    kShadow,        // id
    kPolicy,        // name
    kOverride,      // id of the rule
    kStaticAnswer,  // -
  };
  Kind kind = Kind::kModel;
  std::vector<std::string> arguments;
  // Of a distribution: of the users, in percent.
  double share = 0;
  double tolerance = 0;
  SourcePlace place;
};
// As it is written: `.cell("12345", "2")`.
std::string Text(const Expectation& expectation);

// `expect(context)`, or `distribution(context, {users})`, with all that is chained to it.
struct ExpectedDecision {
  TestedContext context;
  // Of a distribution: how many. 0: one request, as it is.
  uint32_t users = 0;
  SourcePlace place;
  std::vector<Expectation> expectations;
};

struct RuleTest {
  std::string name;
  SourcePlace place;
  std::vector<ExpectedDecision> decisions;
  // What is wrong with the test itself; then it cannot pass.
  std::vector<Diagnostic> problems;
};

struct TestFile {
  std::string path;
  std::vector<RuleTest> tests;
  // What keeps the file from being run. Then there are no tests.
  std::vector<Diagnostic> problems;
};

// Reads the file of tests `path` and what it imports, which lies in the folder that `rule_files` and it lie in. The
// first one of the result is the file of tests. Errors as of ReadSourceFiles.
absl::StatusOr<std::vector<SourceFile>> ReadTestFile(const std::string& path,
                                                     const std::vector<std::string>& rule_files,
                                                     const Limits& limits = {});

// Runs the first of `files`, which may import the others. As Evaluate in all else.
TestFile EvaluateTests(std::span<const SourceFile> files, const Limits& limits = {});

}  // namespace signalbox::rules
