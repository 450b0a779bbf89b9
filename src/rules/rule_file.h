// Runs one rule file and takes out what it declares.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rules/rule_value.h"
#include "rules/rules.h"
#include "rules/source_map.h"
#include "rules/value_copy.h"

struct JSContext;

namespace signalbox::rules {

// What the files of one rule set share.
struct RunBudget {
  CopyBudget copied;
  size_t mapped_bytes = kMappedBytesMax;
};

// Runs `file` in a global object of its own and appends its rules to `rules`, in order of declaration, and what is
// wrong to `diagnostics`. Files see nothing of each other. Returns early when the engine was stopped.
void RunRuleFile(JSContext* context, const SourceFile& file, RunBudget& budget, std::vector<DeclaredRule>& rules,
                 std::vector<Diagnostic>& diagnostics);

}  // namespace signalbox::rules
