#include "rules/source_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>

#include "rules/source_folder.h"
#include "rules/source_lines.h"
#include "rules/source_text.h"

namespace signalbox::rules {
namespace {

// More help nobody: the first ones are the ones to mend.
constexpr size_t kDiagnosticsMax = 200;

}  // namespace

std::vector<Diagnostic> CheckSources(std::span<const SourceFile> files, const Limits& limits) {
  std::vector<Diagnostic> diagnostics;
  if (files.size() > limits.files_max) {
    diagnostics.push_back(
        {"", 0, 0, fmt::format("{} files in one rule set, expected at most {}", files.size(), limits.files_max)});
  }
  size_t bytes_total = 0;
  std::map<std::string, std::string_view> paths;  // NormalPath, and how it was given first
  for (const SourceFile& file : files) {
    bytes_total += file.text.size();
    if (const auto [first, is_new] = paths.try_emplace(NormalPath(file.path), file.path); !is_new) {
      const std::string as = first->second == file.path ? "" : fmt::format(" (as {} before)", first->second);
      diagnostics.push_back({file.path, 0, 0, fmt::format("given twice{}, expected once", as)});
    }
    if (file.text.size() > limits.source_bytes_max) {
      diagnostics.push_back(
          {file.path, 0, 0, fmt::format("{} bytes, the limit is {}", file.text.size(), limits.source_bytes_max)});
    } else if (const std::optional<Diagnostic> damage = CheckText(file)) {
      diagnostics.push_back(*damage);
    }
  }
  if (bytes_total > limits.source_bytes_total_max) {
    diagnostics.push_back(
        {"", 0, 0,
         fmt::format("{} bytes in all files together, the limit is {}", bytes_total, limits.source_bytes_total_max)});
  }
  return diagnostics;
}

Diagnostic Placed(Diagnostic ended, std::span<const SourceFile> files) {
  for (const SourceFile& file : files) {
    if (file.path != ended.file) continue;
    const Place place = SourceLines(file.text).AtCodePoint(ended.line, ended.column);
    return {file.path, place.line, place.column, std::move(ended.message)};
  }
  return {files.size() == 1 ? files[0].path : "", 0, 0, std::move(ended.message)};
}

void SortAndShorten(std::vector<Diagnostic>& diagnostics) {
  std::stable_sort(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.file, a.line, a.column) < std::tie(b.file, b.line, b.column);
  });
  if (diagnostics.size() <= kDiagnosticsMax) return;
  const size_t left_out = diagnostics.size() - kDiagnosticsMax;
  diagnostics.resize(kDiagnosticsMax);
  diagnostics.push_back({"", 0, 0, fmt::format("... and {} more errors", left_out)});
}

}  // namespace signalbox::rules
