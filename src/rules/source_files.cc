// Reading rule files, with what they import.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "rules/import_graph.h"
#include "rules/requested_modules.h"
#include "rules/rule_tests.h"
#include "rules/rules.h"
#include "rules/source_folder.h"
#include "rules/suggestion.h"

namespace signalbox::rules {
namespace {

namespace fs = std::filesystem;

// Empty, or why `path` may not be read: it is a link to somewhere else. Where that cannot be told, reading it fails.
std::string WhyOutside(const std::string& path, const std::string& folder) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) return "";
  const fs::path real_folder = fs::canonical(folder, error);
  if (error || LiesBelow(real_folder.string(), real.string())) return "";
  return fmt::format("{} is a symbolic link that leads out of the folder that the files of the rule set lie in", path);
}

// For a file that is not there: the name beside it that it was probably meant to have.
std::string FileBeside(const std::string& path) {
  constexpr size_t kNamesMax = 1000;
  std::vector<std::string> names;
  std::error_code error;
  const fs::path folder = fs::path(NormalPath(path)).parent_path();
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end && names.size() < kNamesMax;
       entry.increment(error)) {
    if (const std::string name = entry->path().filename().string(); !IsTestFile(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return DidYouMean(fs::path(path).filename().string(), names);
}

class SourceReader {
 public:
  SourceReader(std::vector<std::string> given, std::string folder, const Limits& limits)
      : limits_(limits), given_(std::move(given)), folder_(std::move(folder)) {}

  absl::StatusOr<std::vector<SourceFile>> Read() {
    for (const std::string& path : given_) ReadOne(path);
    for (const std::string& path : given_) seen_.insert(NormalPath(path));
    for (size_t begin = 0; failure_.ok() && begin < files_.size() && !IsTooMuch();) {
      const size_t end = files_.size();
      ReadImportsOf(begin, end);
      begin = end;
    }
    if (!failure_.ok()) return absl::Status(failure_.code(), messages_);
    return std::move(files_);
  }

 private:
  // Whoever evaluates them says so.
  bool IsTooMuch() const { return files_.size() > limits_.files_max || bytes_ > limits_.source_bytes_total_max; }

  void ReadOne(const std::string& path) {
    absl::StatusOr<std::string> text = ReadFile(path, limits_.source_bytes_max);
    if (!text.ok()) return Fail(text.status());
    bytes_ += text->size();
    files_.push_back({path, *std::move(text)});
  }

  void Fail(const absl::Status& status) {
    if (failure_.ok()) failure_ = status;
    messages_ += fmt::format("{}{}", messages_.empty() ? "" : "\n", Message(status));
  }

  // One step away from the files that are there: breadth first, so that a rule set has one order.
  void ReadImportsOf(size_t begin, size_t end) {
    const std::vector<std::vector<Import>> imports =
        ParseImports(std::span<const SourceFile>(files_).subspan(begin, end - begin), limits_);
    for (size_t i = begin; i < end; ++i) {
      for (const Import& import : imports[i - begin]) {
        // What is wrong with a path is told, with its place, when the files are evaluated.
        const absl::StatusOr<std::string> path = ImportedPath(files_[i].path, import.specifier, folder_);
        if (!path.ok() || !seen_.insert(NormalPath(*path)).second) continue;
        ReadImported(*path);
        if (IsTooMuch()) return;
      }
    }
  }

  void ReadImported(const std::string& path) {
    if (std::string why = WhyOutside(path, folder_); !why.empty()) {
      files_.push_back({path, "", std::move(why)});
      return;
    }
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (fs::exists(status) && !fs::is_regular_file(status)) {
      files_.push_back(
          {path, "",
           fmt::format("{} is {}, expected a file", path, fs::is_directory(status) ? "a folder" : "no regular file")});
      return;
    }
    if (fs::exists(status) || status.type() == fs::file_type::none) return ReadOne(path);
    files_.push_back({path, "", fmt::format("there is no file {}{}", path, FileBeside(path))});
  }

  const Limits& limits_;
  std::vector<std::string> given_;
  std::string folder_;
  std::vector<SourceFile> files_;
  std::set<std::string> seen_;  // NormalPath
  size_t bytes_ = 0;
  absl::Status failure_;
  std::string messages_;
};

}  // namespace

absl::StatusOr<std::vector<SourceFile>> ReadSourceFiles(const std::vector<std::string>& paths, const Limits& limits) {
  std::vector<std::string> given;
  std::copy_if(paths.begin(), paths.end(), std::back_inserter(given),
               [](const std::string& path) { return !IsTestFile(path); });
  if (given.empty()) given = paths;
  std::string folder = FolderOf(given);
  return SourceReader(std::move(given), std::move(folder), limits).Read();
}

absl::StatusOr<std::vector<SourceFile>> ReadTestFile(const std::string& path,
                                                     const std::vector<std::string>& rule_files, const Limits& limits) {
  std::vector<std::string> all = rule_files;
  all.push_back(path);
  return SourceReader({path}, FolderOf(all), limits).Read();
}

}  // namespace signalbox::rules
