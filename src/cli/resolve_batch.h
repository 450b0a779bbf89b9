// Decisions for many request contexts: one JSON object a line in, one a line out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "cli/context_json.h"
#include "cli/decision_json.h"
#include "decide/decide.h"
#include "decide/snapshot.h"

namespace signalbox::cli {

// Not thread-safe; several may share a snapshot, which must outlive them.
class LineResolver {
 public:
  explicit LineResolver(const decide::Snapshot& snapshot);

  // Appends one line, newline included, to `out`: the decision (decision_json.h) for the request context in `line`
  // (context_json.h), or `{"line":NUMBER,"error":"..."}` for a context that is broken or names no Objective of the
  // snapshot; then the result is false. 64 bytes behind the end of `line` must be readable. Nothing is allocated for a
  // line whose decision has been given before, but what `out` grows.
  bool Resolve(std::string_view line, uint64_t number, std::string& out);

 private:
  const decide::Snapshot& snapshot_;
  ContextReader reader_;
  DecisionTexts texts_;
};

struct BatchCounts {
  uint64_t lines = 0;
  uint64_t failed = 0;
};

// Resolves every line of `input_fd` to `output_fd`, in order. Answers are written in large pieces while input keeps
// coming, and at once when it pauses, so that somebody who writes a line and waits gets the answer. A line that fails
// does not stop the batch. Memory does not grow with the input or with a line. INTERNAL when reading or writing fails.
absl::StatusOr<BatchCounts> ResolveBatch(const decide::Snapshot& snapshot, int input_fd, int output_fd);

}  // namespace signalbox::cli
