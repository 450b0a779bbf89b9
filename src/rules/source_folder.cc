#include "rules/source_folder.h"

#include <algorithm>
#include <filesystem>

namespace signalbox::rules {
namespace {

namespace fs = std::filesystem;

fs::path Absolute(const std::string& file) {
  std::error_code error;  // of a working directory that is gone
  fs::path path = fs::absolute(file, error);
  return (error ? fs::path(file) : path).lexically_normal();
}

fs::path CommonFolder(std::span<const std::string> files) {
  fs::path common;
  for (const std::string& file : files) {
    const fs::path folder = Absolute(file).parent_path();
    if (common.empty()) {
      common = folder;
      continue;
    }
    fs::path shared;
    for (auto a = common.begin(), b = folder.begin(); a != common.end() && b != folder.end() && *a == *b; ++a, ++b) {
      shared /= *a;
    }
    common = shared;
  }
  return common;
}

template <typename Rules>
void NameBelow(const fs::path& folder, Rules& rules) {
  for (auto& rule : rules) {
    std::string& file = *rule.mutable_source()->mutable_file();
    file = Absolute(file).lexically_relative(folder).generic_string();
  }
}

}  // namespace

std::string NormalPath(const std::string& path) { return Absolute(path).string(); }

std::string FolderOf(std::span<const std::string> files) { return CommonFolder(files).string(); }

bool LiesBelow(std::string_view folder, std::string_view path) {
  if (!path.starts_with(folder)) return false;
  return folder.ends_with('/') || path.size() == folder.size() || path[folder.size()] == '/';
}

void NameSourcesBelowTheirFolder(v1::RuleSet& rules, const std::vector<std::string>& files) {
  const fs::path folder = CommonFolder(files);
  NameBelow(folder, *rules.mutable_objectives());
  NameBelow(folder, *rules.mutable_context_rules());
  NameBelow(folder, *rules.mutable_experiments());
  NameBelow(folder, *rules.mutable_layers());
  NameBelow(folder, *rules.mutable_holdouts());
  NameBelow(folder, *rules.mutable_traffic_shifts());
  NameBelow(folder, *rules.mutable_shadows());
  NameBelow(folder, *rules.mutable_ensembles());
  NameBelow(folder, *rules.mutable_overrides());
  NameBelow(folder, *rules.mutable_policies());
}

}  // namespace signalbox::rules
