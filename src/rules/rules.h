// From a researcher's JavaScript to a checked rule set.
//
// Rule files run once, here, in a SpiderMonkey sandbox that has no I/O, no clock and no randomness: the same sources
// give the same bytes. What they return is data; it is checked as a whole, and what comes out is a v1::RuleSet. No
// JavaScript runs when requests are answered.
//
// For authors: docs/rules.md and api/rules.d.ts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "signalbox/v1/rules.pb.h"

namespace signalbox::rules {

struct SourceFile {
  std::string path;  // as shown in messages
  std::string text;  // UTF-8
  // Why there is no text: this file is imported by another and does not exist. Empty for one that does.
  std::string absent = {};
};

// What one Evaluate call, or the reading before it, may take.
struct Limits {
  // A file of rules is some kilobytes; a megabyte holds thousands of them. More is data that belongs elsewhere.
  size_t source_bytes_max = 4U << 20;
  // All files of a rule set together.
  size_t source_bytes_total_max = 16U << 20;
  size_t files_max = 256;
  // Of the JavaScript engine, for all files together. The published example takes about 2 MiB.
  size_t heap_bytes_max = 64U << 20;
  // CPU time of the evaluating thread for all files together, so that a busy machine does not fail a good rule set.
  std::chrono::milliseconds time_max{2000};
};

// One thing that is wrong. Lines and columns count from 1 (columns in UTF-16 units, as editors do); 0 where there is no
// such place.
struct Diagnostic {
  std::string file;
  uint32_t line = 0;
  uint32_t column = 0;
  std::string message;
};

// `rules/home.js:14:9: experiment 12345: weights add up to 1.1, ...`
std::string Format(const Diagnostic& diagnostic);

struct Evaluation {
  v1::RuleSet rule_set;  // of no meaning unless `diagnostics` is empty
  // Everything that is wrong in any of the files, sorted by file, line and column.
  std::vector<Diagnostic> diagnostics;
};

// Reads files whole, and after them those that they import, and those that these import, as far as they lie in the
// folder that all of `paths` lie in (symbolic links that lead out of it are not followed). What an import leads to and
// does not exist is in the result as `absent`. Files of tests (NAME.test.js) are left out, as they are no rules, unless
// they are all there is.
//
// A file that is larger than `limits.source_bytes_max` is refused by its size, before it is read.
// The error names every file that could not be read, one a line, and has the code of the first: NOT_FOUND,
// PERMISSION_DENIED, INTERNAL, or INVALID_ARGUMENT for one that is too large.
absl::StatusOr<std::vector<SourceFile>> ReadSourceFiles(const std::vector<std::string>& paths,
                                                        const Limits& limits = {});

// Evaluates `files` in order as one rule set. Rules stand in the result in the order in which they were declared, with
// their source locations. Imports lead to others of `files`; every one of `files` is part of the rule set, and one that
// another imports need not have rules.
//
// Thread-safe: every call has an engine of its own on a thread of its own and returns when that has ended, at latest a
// little after `limits.time_max`. Hostile input is refused with a diagnostic. Error messages are for the author of the
// rules.
Evaluation EvaluateWithDiagnostics(std::string_view namespace_name, std::span<const SourceFile> files,
                                   const Limits& limits = {});

// The same. INVALID_ARGUMENT holds every diagnostic, one a line.
absl::StatusOr<v1::RuleSet> Evaluate(std::string_view namespace_name, std::span<const SourceFile> files,
                                     const Limits& limits = {});

}  // namespace signalbox::rules
