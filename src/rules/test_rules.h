// Rule files for tests.
#pragma once

#include <string>
#include <vector>

#include "rules/rules.h"

namespace signalbox::rules {

inline std::vector<std::string> Problems(const std::vector<SourceFile>& files, const Limits& limits = {}) {
  std::vector<std::string> problems;
  for (const Diagnostic& diagnostic : EvaluateWithDiagnostics("default", files, limits).diagnostics)
    problems.push_back(Format(diagnostic));
  return problems;
}

// What is wrong with the file "rules.js".
inline std::vector<std::string> Problems(const std::string& text, const Limits& limits = {}) {
  return Problems(std::vector<SourceFile>{{"rules.js", text}}, limits);
}

}  // namespace signalbox::rules
