// Which rules `signalbox rules test` tests by which files.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace signalbox::cli {

struct TestTarget {
  std::vector<std::string> rule_files;  // one rule set
  std::vector<std::string> test_files;
};

// Rule files make one rule set, tested by the files of tests beside them (home.test.js beside home.js) and by those
// that are given. Without rule files, a file of tests is for the one it is named after, or else for all of its folder.
// Each folder is a rule set of its own. NOT_FOUND names a path that does not exist; INVALID_ARGUMENT says where no
// tests are.
absl::StatusOr<std::vector<TestTarget>> FindTestTargets(const std::vector<std::string>& paths);

}  // namespace signalbox::cli
