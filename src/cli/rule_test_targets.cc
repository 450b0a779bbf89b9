#include "cli/rule_test_targets.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/status.h"
#include "cli/rule_folder.h"

namespace signalbox::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTestEnding = ".test.js";
constexpr std::string_view kRuleEnding = ".js";

bool IsTest(std::string_view path) { return path.ends_with(kTestEnding); }

// home.js -> home.test.js
std::string TestOf(std::string path) {
  if (path.ends_with(kRuleEnding)) path.resize(path.size() - kRuleEnding.size());
  return path + std::string(kTestEnding);
}
std::string RulesOf(std::string path) {
  path.resize(path.size() - kTestEnding.size());
  return path + std::string(kRuleEnding);
}

bool IsFile(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

absl::StatusOr<TestTarget> InFolder(const std::string& path) {
  ASSIGN_OR_RETURN(RuleFolder folder, ListRuleFolder(path));
  return TestTarget{std::move(folder.rule_files), std::move(folder.test_files)};
}

absl::StatusOr<TestTarget> ForTest(const std::string& test) {
  if (const std::string rules = RulesOf(test); IsFile(rules)) return TestTarget{{rules}, {test}};
  const fs::path folder = fs::path(test).parent_path();
  ASSIGN_OR_RETURN(TestTarget target, InFolder(folder.empty() ? "." : folder.string()));
  target.test_files = {test};
  return target;
}

absl::Status CheckTarget(const TestTarget& target, const std::string& where) {
  if (target.rule_files.empty())
    return absl::InvalidArgumentError(fmt::format("{}: there are no rule files (.js) to be tested", where));
  if (!target.test_files.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{}: there are no tests; write them into {}", where, TestOf(target.rule_files[0])));
}

}  // namespace

absl::StatusOr<std::vector<TestTarget>> FindTestTargets(const std::vector<std::string>& paths) {
  std::vector<TestTarget> targets;
  TestTarget named;
  std::vector<std::string> tests;
  for (const std::string& path : paths) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (status.type() == fs::file_type::not_found)
      return absl::NotFoundError(fmt::format("{}: there is no such file or folder", path));
    if (error) return absl::InternalError(fmt::format("{}: {}", path, error.message()));
    if (fs::is_directory(status)) {
      ASSIGN_OR_RETURN(targets.emplace_back(), InFolder(path));
      RETURN_IF_ERROR(CheckTarget(targets.back(), path));
    } else if (IsTest(path)) {
      tests.push_back(path);
    } else {
      named.rule_files.push_back(path);
    }
  }
  if (named.rule_files.empty()) {
    for (const std::string& test : tests) {
      ASSIGN_OR_RETURN(targets.emplace_back(), ForTest(test));
      RETURN_IF_ERROR(CheckTarget(targets.back(), test));
    }
    return targets;
  }
  named.test_files = tests;
  for (const std::string& rules : named.rule_files) {
    const std::string beside = TestOf(rules);
    if (IsFile(beside) && std::find(tests.begin(), tests.end(), beside) == tests.end())
      named.test_files.push_back(beside);
  }
  RETURN_IF_ERROR(CheckTarget(named, named.rule_files[0]));
  targets.insert(targets.begin(), std::move(named));
  return targets;
}

}  // namespace signalbox::cli
