// Folders given where rule files can be: one meaning of them in every command.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace signalbox::cli {

// In the order of their names. What begins with a dot, and what lies in folders below, is left out.
struct RuleFolder {
  std::vector<std::string> rule_files;  // *.js
  std::vector<std::string> test_files;  // *.test.js
};
// UNAVAILABLE: it cannot be listed.
absl::StatusOr<RuleFolder> ListRuleFolder(const std::string& folder);

bool IsFolder(const std::string& path);

// `paths` with the rule files of each folder in its place; what is no folder stays as it is. UNAVAILABLE: a folder
// cannot be listed. INVALID_ARGUMENT: there are no rule files in it.
absl::StatusOr<std::vector<std::string>> RuleFilesOf(const std::vector<std::string>& paths);

}  // namespace signalbox::cli
