// Which of a script's top-level names are those of rules.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules/spidermonkey.h"

namespace signalbox::rules {

// define...Rule or define...Rules, of letters, digits, '_' and '$'.
bool IsRuleName(std::string_view name);

// The own properties of `object` whose names begin with "define": of a script's global object (`function`, `var`), of
// its lexical environment (`const`, `let`, `class`), or of what a module exports. Not all of them once stopped.
std::vector<std::string> NamesThatDefine(JSContext* context, JS::HandleObject object);

}  // namespace signalbox::rules
