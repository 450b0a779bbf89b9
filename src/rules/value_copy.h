// From values of the engine to plain data.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "rules/rule_value.h"
#include "rules/spidermonkey.h"

namespace signalbox::rules {

// What one rule set may hold, whatever the rules look like. Far above what any set of real rules needs.
struct CopyBudget {
  size_t values = 500'000;
  size_t text_bytes = 16U << 20;
  // One of them did not suffice. What comes after that is not worth copying.
  bool is_spent = false;
};

// Copies `value` with all that is in it; getters and proxies run. Functions and the like become Unusable. Nullopt when
// something threw (the exception is pending) or the script was stopped; an exception of ours says what was too much:
// too deep (or cyclic), too many values, too much text.
std::optional<RuleValue> CopyValue(JSContext* context, JS::HandleValue value, CopyBudget& budget);

}  // namespace signalbox::rules
