#include "rules/import_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/status.h"
#include "base/string_map.h"
#include "rules/source_folder.h"
#include "rules/suggestion.h"

namespace signalbox::rules {
namespace {

namespace fs = std::filesystem;

// More are not worth the search.
constexpr int kSuggestionsMax = 100;
constexpr size_t kSpecifierBytesMax = 1000;

// As it stands in messages: on one line, and not longer than it is of use.
std::string Shown(std::string_view text) {
  constexpr size_t kShownBytesMax = 120;
  std::string shown;
  for (const char c : text.substr(0, kShownBytesMax)) {
    if (const auto byte = static_cast<unsigned char>(c); byte < 0x20 || byte == 0x7F) {
      shown += fmt::format("\\x{:02x}", byte);
    } else {
      shown += c;
    }
  }
  return text.size() > kShownBytesMax ? shown + "..." : shown;
}

bool IsRelative(std::string_view specifier) { return specifier.starts_with("./") || specifier.starts_with("../"); }

bool HasControlCharacter(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

std::vector<std::string> PathsOf(std::span<const SourceFile> files) {
  std::vector<std::string> paths;
  for (const SourceFile& file : files) paths.push_back(file.path);
  return paths;
}

// "./common.js" for /rules/common.js in /rules/home.js.
std::string SpecifierOf(const std::string& importer, const std::string& target) {
  const std::string relative = fs::path(target).lexically_relative(fs::path(importer).parent_path()).generic_string();
  return IsRelative(relative) ? relative : "./" + relative;
}

enum Colour : uint8_t { kWhite, kGrey, kBlack };

}  // namespace

bool IsTestFile(std::string_view path) { return path.ends_with(".test.js"); }

absl::StatusOr<std::string> ImportedPath(const std::string& importer, std::string_view specifier,
                                         const std::string& folder) {
  if (!IsRelative(specifier) || HasControlCharacter(specifier) || specifier.size() > kSpecifierBytesMax) {
    return absl::InvalidArgumentError(fmt::format(
        "'{}' is no path that begins with './' or '../': rules can only import files beside them", Shown(specifier)));
  }
  std::string path = (fs::path(importer).parent_path() / fs::path(specifier)).lexically_normal().generic_string();
  if (!LiesBelow(folder, NormalPath(path))) {
    return absl::InvalidArgumentError(
        fmt::format("'{}' leads out of the folder that the files of the rule set lie in; put the file beside them, or "
                    "name it together with them",
                    Shown(specifier)));
  }
  if (IsTestFile(path)) {
    return absl::InvalidArgumentError(
        fmt::format("'{}' is a file of tests, which is never part of the rules; put what is shared into a file of "
                    "another name",
                    Shown(specifier)));
  }
  return path;
}

ImportGraph::ImportGraph(std::span<const SourceFile> files, std::vector<std::vector<Import>> imports)
    : files_(files),
      imports_(std::move(imports)),
      targets_(files.size()),
      used_(files.size()),
      is_broken_(files.size()),
      is_imported_(files.size()),
      colours_(files.size(), kWhite) {
  Resolve();
  for (size_t file = 0; file < files_.size(); ++file) Walk(file);
}

size_t ImportGraph::Target(size_t importer, std::string_view specifier) const {
  for (size_t i = 0; i < targets_[importer].size(); ++i) {
    if (imports_[importer][used_[importer][i]].specifier == specifier) return targets_[importer][i];
  }
  return files_.size();
}

void ImportGraph::Resolve() {
  const bool has_imports = std::any_of(imports_.begin(), imports_.end(), [](const auto& of) { return !of.empty(); });
  if (!has_imports) return;
  const std::string folder = FolderOf(PathsOf(files_));
  StringMap<size_t> by_path;
  for (size_t i = 0; i < files_.size(); ++i) by_path.try_emplace(NormalPath(files_[i].path), i);
  for (size_t importer = 0; importer < files_.size(); ++importer) {
    for (size_t i = 0; i < imports_[importer].size(); ++i) {
      const Import& import = imports_[importer][i];
      const absl::StatusOr<std::string> path = ImportedPath(files_[importer].path, import.specifier, folder);
      const auto found = path.ok() ? by_path.find(NormalPath(*path)) : by_path.end();
      if (found != by_path.end() && files_[found->second].absent.empty()) {
        targets_[importer].push_back(found->second);
        used_[importer].push_back(i);
        is_imported_[found->second] = true;
        continue;
      }
      is_broken_[importer] = true;
      std::string why = !path.ok()               ? std::string(Message(path.status()))
                        : found != by_path.end() ? files_[found->second].absent
                                                 : WhyNowhere(importer, import.specifier);
      problems_.push_back(
          {files_[importer].path, import.place.line, import.place.column, fmt::format("import: {}", why)});
    }
  }
}

std::string ImportGraph::WhyNowhere(size_t importer, const std::string& specifier) {
  std::vector<std::string> known;
  if (++suggestions_ <= kSuggestionsMax) {
    const std::string from = NormalPath(files_[importer].path);
    for (size_t i = 0; i < files_.size(); ++i) {
      if (i != importer && files_[i].absent.empty()) known.push_back(SpecifierOf(from, NormalPath(files_[i].path)));
    }
  }
  return fmt::format("there is no file '{}'{}", Shown(specifier), DidYouMean(specifier, known));
}

// Depth first, without recursion: a chain may be as long as there are files.
void ImportGraph::Walk(size_t start) {
  if (colours_[start] != kWhite) return;
  std::vector<size_t> chain = {start};
  std::vector<size_t> next = {0};
  colours_[start] = kGrey;
  while (!chain.empty()) {
    const size_t file = chain.back();
    if (next.back() == targets_[file].size()) {
      colours_[file] = kBlack;
      order_.push_back(file);
      chain.pop_back();
      next.pop_back();
      continue;
    }
    const size_t target = targets_[file][next.back()++];
    if (colours_[target] == kGrey) {
      const auto begin = std::find(chain.begin(), chain.end(), target);
      ReportCycle(std::span<const size_t>(begin, chain.end()));
    } else if (colours_[target] == kWhite) {
      colours_[target] = kGrey;
      chain.push_back(target);
      next.push_back(0);
    }
  }
}

void ImportGraph::ReportCycle(std::span<const size_t> chain) {
  // A file is in one cycle at most, as far as its author is told: others are to be seen when this one is mended.
  const bool is_known = std::any_of(chain.begin(), chain.end(), [&](size_t file) { return is_broken_[file]; });
  for (const size_t file : chain) is_broken_[file] = true;
  if (is_known) return;
  // Told from the file that was given first, wherever the search began.
  const auto first = std::min_element(chain.begin(), chain.end());
  const auto offset = static_cast<size_t>(first - chain.begin());
  std::string steps;
  Place place;
  for (size_t i = 0; i < chain.size(); ++i) {
    const size_t file = chain[(offset + i) % chain.size()];
    const size_t target = chain[(offset + i + 1) % chain.size()];
    const auto at = std::find(targets_[file].begin(), targets_[file].end(), target);
    const Place here = imports_[file][used_[file][static_cast<size_t>(at - targets_[file].begin())]].place;
    if (i == 0) place = here;
    steps += fmt::format("{}{}:{}:{} imports {}", i == 0 ? "" : ", ", files_[file].path, here.line, here.column,
                         files_[target].path);
  }
  problems_.push_back({files_[*first].path, place.line, place.column,
                       fmt::format("imports in a circle: {}; move what these files share into one that imports none "
                                   "of them",
                                   steps)});
}

}  // namespace signalbox::rules
