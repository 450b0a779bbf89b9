// Places of rules, in messages.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "rules/rules.h"

namespace signalbox::rules {

// `rules/home.js:14:9`
inline std::string Where(const v1::SourceLocation& source) {
  return fmt::format("{}:{}:{}", source.file(), source.line(), source.column());
}

inline void Report(std::vector<Diagnostic>& diagnostics, const v1::SourceLocation& source, std::string message) {
  diagnostics.push_back({source.file(), source.line(), source.column(), std::move(message)});
}

}  // namespace signalbox::rules
