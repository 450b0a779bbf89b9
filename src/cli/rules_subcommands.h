// The commands under `signalbox rules` that work on a store. One file each.
#pragma once

#include "cli/commands.h"

namespace signalbox::cli {

void AddRulesDiff(CLI::App& rules, Outcome& outcome);      // rules_diff_command.cc
void AddRulesHistory(CLI::App& rules, Outcome& outcome);   // rules_history_command.cc
void AddRulesPin(CLI::App& rules, Outcome& outcome);       // rules_pin_command.cc
void AddRulesPublish(CLI::App& rules, Outcome& outcome);   // rules_publish_command.cc
void AddRulesRollback(CLI::App& rules, Outcome& outcome);  // rules_rollback_command.cc
void AddRulesShow(CLI::App& rules, Outcome& outcome);      // rules_show_command.cc
void AddRulesSimulate(CLI::App& rules, Outcome& outcome);  // rules_simulate_command.cc
void AddRulesTest(CLI::App& rules, Outcome& outcome);      // rules_test_command.cc
void AddRulesWatch(CLI::App& rules, Outcome& outcome);     // rules_watch_command.cc

}  // namespace signalbox::cli
