// Which rule file imports which, as plain data: what is wrong with it, and in which order files have to run.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "rules/rule_value.h"
#include "rules/rules.h"

namespace signalbox::rules {

// `import ... from 'SPECIFIER'` or `export ... from 'SPECIFIER'`.
struct Import {
  std::string specifier;
  Place place;
};

// NAME.test.js holds tests of rules, and is never part of a rule set.
bool IsTestFile(std::string_view path);

// Where `specifier` in the file `importer` leads, written as the path of `importer` is. Paths only; no file is asked
// for. INVALID_ARGUMENT when that is no relative path, leads out of `folder` (absolute), or to a test file.
absl::StatusOr<std::string> ImportedPath(const std::string& importer, std::string_view specifier,
                                         const std::string& folder);

class ImportGraph {
 public:
  // `files` outlive this. `imports`: of each file.
  ImportGraph(std::span<const SourceFile> files, std::vector<std::vector<Import>> imports);

  // Imports that lead nowhere, and cycles, each once, with the whole chain.
  const std::vector<Diagnostic>& problems() const { return problems_; }
  // All files, each after those that it imports.
  const std::vector<size_t>& order() const { return order_; }
  // Of `file`, in the order of its imports; only those that lead to a file.
  const std::vector<size_t>& targets(size_t file) const { return targets_[file]; }
  // Whether one of the problems is one of this file's.
  bool is_broken(size_t file) const { return is_broken_[file]; }
  bool is_imported(size_t file) const { return is_imported_[file]; }
  // The file that `specifier` in `importer` leads to. One that is there.
  size_t Target(size_t importer, std::string_view specifier) const;

 private:
  void Resolve();
  void Walk(size_t start);
  void ReportCycle(std::span<const size_t> chain);
  std::string WhyNowhere(size_t importer, const std::string& specifier);

  std::span<const SourceFile> files_;
  std::vector<std::vector<Import>> imports_;
  std::vector<std::vector<size_t>> targets_;  // by file, one for each of its imports that lead somewhere
  std::vector<std::vector<size_t>> used_;     // the index of the import that each of these is
  std::vector<size_t> order_;
  std::vector<bool> is_broken_;
  std::vector<bool> is_imported_;
  std::vector<uint8_t> colours_;
  std::vector<Diagnostic> problems_;
  int suggestions_ = 0;
};

}  // namespace signalbox::rules
