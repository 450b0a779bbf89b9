// Decisions for many request contexts: one JSON object a line in, one a line out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/context_json.h"
#include "decide/decide.h"
#include "decide/snapshot.h"

namespace signalbox::cli {

// One JSON object without a newline:
//
//   {"objective":"TitleSearch","model":"ranker@2","routing_key":"rk-...","experiment":"12345","cell":"2",
//    "fallbacks":["popular"],"reason":"experiment"}
//
// with null for experiment and cell where the request takes part in no experiment. `decision` has an answer.
std::string DecisionJson(const decide::Decision& decision);

// Not thread-safe; several may share a snapshot, which must outlive them.
class LineResolver {
 public:
  explicit LineResolver(const decide::Snapshot& snapshot);

  // Appends one line, newline included, to `out`: the decision (DecisionJson) for the request context in `line`
  // (context_json.h), or `{"line":NUMBER,"error":"..."}` for a context that is broken or names no Objective of the
  // snapshot; then the result is false. 64 bytes behind the end of `line` must be readable. Nothing is allocated for a
  // line whose answer has been given before, but what `out` grows.
  bool Resolve(std::string_view line, uint64_t number, std::string& out);

 private:
  void AppendText(const decide::Decision& decision, std::string& out);

  const decide::Snapshot& snapshot_;
  ContextReader reader_;
  struct KnownText {
    const decide::Answer* const* fallbacks = nullptr;  // those of the decision that it was made of
    std::string text;
  };
  // By answer index. The text of a decision that follows from its answer and fallbacks never changes, so it is made
  // once, when it is first given; any other is written anew.
  std::vector<KnownText> texts_;
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
