// Whether files may be run at all, and how what is wrong with them is told.
#pragma once

#include <span>
#include <vector>

#include "rules/rules.h"

namespace signalbox::rules {

// Sizes, numbers, and whether each is text.
std::vector<Diagnostic> CheckSources(std::span<const SourceFile> files, const Limits& limits);

// As RunWithEngine tells why it ended: with the place as editors count.
Diagnostic Placed(Diagnostic ended, std::span<const SourceFile> files);

// By file, line and column, and not more than help anybody.
void SortAndShorten(std::vector<Diagnostic>& diagnostics);

}  // namespace signalbox::rules
