// Where the rules of a file stand in its text, told from the syntax tree.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/rule_value.h"
#include "rules/source_lines.h"

struct JSContext;

namespace signalbox::rules {

// Of all files of a rule set, in order: making a syntax tree takes about as much time as its text has microseconds for
// bytes, and hundreds of times the memory. In what comes after, which a program wrote and nobody reads by line and
// column, only functions have a place.
constexpr size_t kMappedBytesMax = 256 << 10;

struct SourceMap {
  struct Function {
    std::string name;
    SourceNode node;  // of what it returns; its own place is the function's
  };
  std::vector<Function> functions;     // with the name of a rule, in order
  std::vector<std::string> others;     // the other top-level functions, for messages
  std::optional<SourceNode> exported;  // what stands after `export default`
};

// Takes the size of the text from `budget_bytes`. Where that is used up, or the parser cannot tell, functions are
// searched in the text: at the beginning of a line. No exception is pending afterwards.
SourceMap MapSource(JSContext* context, const SourceLines& lines, bool is_module, size_t& budget_bytes);

}  // namespace signalbox::rules
