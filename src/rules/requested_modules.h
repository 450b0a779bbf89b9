// What a module imports, as the engine's parser sees it.
#pragma once

#include <span>
#include <vector>

#include "rules/import_graph.h"
#include "rules/source_lines.h"
#include "rules/spidermonkey.h"

namespace signalbox::rules {

// Whether `file` can be a module at all: one that says nothing of imports and exports is not worth a parser. Files of
// tests always are.
bool MayBeModule(const SourceFile& file);

// Appends the imports of `module`, each path once. False with an exception pending, or when stopped.
bool ReadImports(JSContext* context, JS::HandleObject module, const SourceLines& lines, std::vector<Import>& imports);

// Of each of `files`, nothing where a file cannot be parsed as a module. Nothing is run. In an engine of its own,
// within `limits`; what was not seen when one of these was reached is missing.
std::vector<std::vector<Import>> ParseImports(std::span<const SourceFile> files, const Limits& limits);

}  // namespace signalbox::rules
