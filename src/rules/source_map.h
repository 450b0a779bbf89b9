// Where the rules of a file stand in its text, told from the syntax tree.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/rule_value.h"

struct JSContext;

namespace signalbox::rules {

// Larger files, which a program wrote and nobody reads by line and column, get the places of their functions alone: a
// syntax tree takes hundreds of times the memory of its text.
constexpr size_t kMappedBytesMax = 128 << 10;

struct SourceMap {
  struct Function {
    std::string name;
    SourceNode node;  // of what it returns; its own place is the function's
  };
  std::vector<Function> functions;     // named define...Rule or define...Rules, in order
  std::vector<std::string> others;     // the other top-level functions, for messages
  std::optional<SourceNode> exported;  // what stands after `export default`
};

// Nullopt when the text is too large, or the parser cannot tell: then no exception is pending.
std::optional<SourceMap> MapSource(JSContext* context, std::string_view source, bool is_module);

}  // namespace signalbox::rules
