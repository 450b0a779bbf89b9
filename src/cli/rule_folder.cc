#include "cli/rule_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/status.h"

namespace signalbox::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRuleEnding = ".js";
constexpr std::string_view kTestEnding = ".test.js";

}  // namespace

absl::StatusOr<RuleFolder> ListRuleFolder(const std::string& folder) {
  RuleFolder files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string path = entry->path().string();
    // Editors put their locks and copies there under such names.
    if (entry->path().filename().string().starts_with('.') || IsFolder(path)) continue;
    if (path.ends_with(kTestEnding)) {
      files.test_files.push_back(path);
    } else if (path.ends_with(kRuleEnding)) {
      files.rule_files.push_back(path);
    }
  }
  if (error) return absl::UnavailableError(fmt::format("list {}: {}", folder, error.message()));
  std::sort(files.rule_files.begin(), files.rule_files.end());
  std::sort(files.test_files.begin(), files.test_files.end());
  return files;
}

bool IsFolder(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

absl::StatusOr<std::vector<std::string>> RuleFilesOf(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    if (!IsFolder(path)) {
      files.push_back(path);
      continue;
    }
    ASSIGN_OR_RETURN(const RuleFolder folder, ListRuleFolder(path));
    if (folder.rule_files.empty())
      return absl::InvalidArgumentError(fmt::format("{}: there are no rule files (.js) in it", path));
    files.insert(files.end(), folder.rule_files.begin(), folder.rule_files.end());
  }
  return files;
}

}  // namespace signalbox::cli
