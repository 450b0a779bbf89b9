// A folder with a store, rule files and the commands that work on them, run as a user runs them.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/file.h"
#include "base/test_folder.h"
#include "tests/support/real_processes.h"

namespace signalbox {

class RulesFolder {
 public:
  std::string StorePath() const { return folder_.File("store.db"); }
  std::string Spec() const { return "sqlite:" + StorePath(); }
  std::string File(const std::string& name) const { return folder_.File(name); }
  const std::string& path() const { return folder_.path(); }

  // Rules of one Objective, told apart by `mark`. The file's path.
  std::string WriteRules(const std::string& mark, const std::string& objective = "Ranking") const {
    const std::string text = fmt::format(
        "export default [{{objective: Objectives.{}, defaultModel: {{name: 'ranker', version: 1}},\n"
        "  parameters: {{mark: '{}'}}}}];\n",
        objective, mark);
    EXPECT_TRUE(WriteFileAtomically(folder_.File("rules.js"), text).ok());
    return folder_.File("rules.js");
  }

  // "rules <arguments> --store ...".
  std::string Command(const std::string& arguments) const {
    return fmt::format("'{}' rules {} --store '{}'", SignalboxProgram(), arguments, Spec());
  }
  CommandResult Run(const std::string& arguments) const { return RunShell(Command(arguments)); }
  // The same with --json; a discarded value when the output is not JSON.
  nlohmann::json RunJson(const std::string& arguments) const {
    const CommandResult result = Run(arguments + " --json");
    nlohmann::json json = nlohmann::json::parse(result.output, nullptr, /*allow_exceptions=*/false);
    EXPECT_TRUE(json.is_object()) << result.output;
    return json;
  }

 private:
  TestFolder folder_;
};

}  // namespace signalbox
