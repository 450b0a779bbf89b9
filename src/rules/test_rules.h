// Rule files for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/status.h"
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

// The rules, one a line from line 2 on, beside an Objective `Home` with the default model `base`.
inline std::string BesideHome(const std::string& rules) {
  return "export default [{objective: Objectives.Home, defaultModel: {name: 'base'}},\n" + rules + "\n]";
}
inline std::vector<std::string> ProblemsBesideHome(const std::string& rules) { return Problems(BesideHome(rules)); }

inline v1::RuleSet ReadBesideHome(const std::string& rules) {
  const auto rule_set = Evaluate("default", std::vector<SourceFile>{{"rules.js", BesideHome(rules)}});
  EXPECT_TRUE(rule_set.ok()) << Message(rule_set.status());
  return rule_set.ok() ? *rule_set : v1::RuleSet();
}

}  // namespace signalbox::rules
