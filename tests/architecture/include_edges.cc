#include "tests/architecture/include_edges.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>

namespace signalbox::architecture {
namespace {

constexpr const char* kTests = "tests";

// The folder of a path like "src/decide/decide.cc", "decide/decide.h" or "api/headers.h".
std::string FolderOf(const std::string& path) {
  const std::string inside = path.starts_with("src/") ? path.substr(4) : path;
  const std::string folder = inside.substr(0, inside.find('/'));
  // What protoc makes of api/. Of the Open Inference Protocol it goes by the name of a folder of ours.
  const bool is_generated = folder == "signalbox" || inside.starts_with("inference/open_inference.");
  return is_generated ? "api" : folder;
}

bool IsTest(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename();
  return name.ends_with("_test.cc") || name.starts_with("test_") || path.starts_with("tests/");
}

// The folder of ours that `header`, as included by `file`, is in; empty for the standard's and other libraries'.
std::string FolderOfInclude(const Table& table, const std::string& file, const std::string& header) {
  std::string path = header;
  if (header.starts_with(".")) {
    path = (std::filesystem::path(file).parent_path() / header).lexically_normal();
  }
  if (path.find('/') == std::string::npos) return "";
  const std::string folder = FolderOf(path);
  return table.allowed.contains(folder) ? folder : "";
}

// What is wrong with `file` including `header`, or nothing.
std::string Objection(const Table& table, const std::string& file, const std::string& header) {
  const std::string from = FolderOf(file);
  const std::string to = FolderOfInclude(table, file, header);
  const bool is_test = IsTest(file);
  if (!is_test) {
    if (const auto row = table.not_in.find(from); row != table.not_in.end() && row->second.contains(header)) {
      return fmt::format("{} must do without {}", from, header);
    }
    if (!to.empty() && IsTest(header)) return fmt::format("{} is for tests only", header);
  }
  if (to.empty() || to == from) return "";
  const std::set<std::string>& allowed = table.allowed.at(is_test ? kTests : from);
  if (allowed.contains("*") || allowed.contains(to)) return "";
  return fmt::format("{} -> {} is not allowed; {} may include: {}", from, to,
                     is_test ? "a test outside of src/" + to : from,
                     allowed.empty() ? "nothing of ours" : fmt::format("{}", fmt::join(allowed, " ")));
}

void CheckFile(const Table& table, const SourceFile& file, std::vector<std::string>& violations) {
  static const std::regex include(R"(^\s*#\s*include\s*["<]([^">]+)[">])");
  if (!table.allowed.contains(FolderOf(file.path))) {
    violations.push_back(fmt::format("{}: the folder {} has no row in tests/architecture/allowed_edges.txt", file.path,
                                     FolderOf(file.path)));
    return;
  }
  std::istringstream lines(file.text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::smatch match;
    if (!std::regex_search(line, match, include)) continue;
    const std::string objection = Objection(table, file.path, match[1]);
    if (!objection.empty()) {
      violations.push_back(fmt::format("{}:{}: #include \"{}\": {}", file.path, number, match[1].str(), objection));
    }
  }
}

}  // namespace

absl::StatusOr<Table> ParseTable(const std::string& text) {
  Table table;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.empty() || line.starts_with('#')) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) {
      return absl::InvalidArgumentError(
          fmt::format("line {}: expected 'folder: folder ...', found '{}'", number, line));
    }
    std::istringstream words(line.substr(colon + 1));
    const std::set<std::string> entries{std::istream_iterator<std::string>(words), {}};
    const std::string key = line.substr(0, colon);
    if (key.starts_with("not in ")) {
      table.not_in[key.substr(7)].insert(entries.begin(), entries.end());
    } else if (!table.allowed.emplace(key, entries).second) {
      return absl::InvalidArgumentError(fmt::format("line {}: {} already has a row", number, key));
    }
  }
  if (!table.allowed.contains(kTests)) return absl::InvalidArgumentError("there is no row 'tests:'");
  for (const auto& [folder, entries] : table.allowed) {
    for (const std::string& entry : entries) {
      if (entry != "*" && !table.allowed.contains(entry)) {
        return absl::InvalidArgumentError(fmt::format("row {}: there is no row for {}", folder, entry));
      }
    }
  }
  return table;
}

std::vector<std::string> Violations(const Table& table, const std::vector<SourceFile>& files) {
  std::vector<std::string> violations;
  for (const SourceFile& file : files) CheckFile(table, file, violations);
  return violations;
}

std::vector<SourceFile> ReadSourceFiles(const std::string& root) {
  std::vector<SourceFile> files;
  for (const char* folder : {"api", "src", "client"}) {
    const std::filesystem::path top = std::filesystem::path(root) / folder;
    if (!std::filesystem::exists(top)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(top)) {
      const std::string extension = entry.path().extension();
      if (extension != ".cc" && extension != ".h") continue;
      std::ifstream stream(entry.path());
      files.push_back({std::filesystem::relative(entry.path(), root).string(),
                       std::string(std::istreambuf_iterator<char>(stream), {})});
    }
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

}  // namespace signalbox::architecture
