// Reads the `#include`s of source files and holds them to a table of what each folder may depend on.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace signalbox::architecture {

struct Table {
  // Folder name -> folders that it may include. "*" allows all. The row `tests` is for test files, wherever they are.
  std::map<std::string, std::set<std::string>> allowed;
  // Folder name -> headers, as they stand between the quotes or brackets, that its files may not include.
  std::map<std::string, std::set<std::string>> not_in;
};

// Parses the format of allowed_edges.txt. The error names the line and what was expected.
absl::StatusOr<Table> ParseTable(const std::string& text);

struct SourceFile {
  std::string path;  // from the root of the repository: "src/decide/decide.cc"
  std::string text;
};

// One line for each edge that `table` does not allow, in the order of the files: file:line, the edge, what is allowed.
std::vector<std::string> Violations(const Table& table, const std::vector<SourceFile>& files);

// The C++ files under api/, src/ and client/ of the repository at `root`, in order of their paths.
std::vector<SourceFile> ReadSourceFiles(const std::string& root);

}  // namespace signalbox::architecture
