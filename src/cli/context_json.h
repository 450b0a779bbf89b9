// Request contexts as JSON.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "decide/request_context.h"

namespace signalbox::cli {

// A line of the decision log: what was asked, and what it came to.
struct LoggedRequest {
  decide::RequestContext context;
  std::string_view model;
  // No model answered, the answer that rules declare did.
  bool is_static_answer = false;
  // Another model was chosen, and could not be reached.
  bool is_fallback = false;
  // Something of it was cut when it was logged: the decision cannot be made again.
  bool is_truncated = false;
};

// Reads
//
//   {"objective": "ContinueWatchingRanking", "user": "u1", "country": "US", "device": "tv", "locale": "en-US",
//    "surface": "home", "tenant": "web", "traffic_type": "live", "app_version": "4.2.1", "segments": ["kids", "vip"],
//    "attributes": {"plan": "basic"}, "now": "2026-11-01T00:00:00Z", "random": "00f1e2d3c4b5a697",
//    "override": {"model": "ranker@3", "cells": {"12345": "2"}}, "remote_cells": {"777": "1"}}
//
// of which only `objective` must be there. `random` is what shadows are drawn by, the decision id of a request.
// Allocation-free but for errors. Not thread-safe; one for each thread.
class ContextReader {
 public:
  // A context is some hundred bytes; this is what is refused without being parsed.
  static constexpr size_t kBytesMax = 1U << 20;
  static constexpr size_t kAttributesMax = 64;
  // Of an override, and of platforms.
  static constexpr size_t kCellsMax = 64;
  // All names together, with a space between them.
  static constexpr size_t kSegmentBytesMax = 4096;

  ContextReader();
  ~ContextReader();
  ContextReader(const ContextReader&) = delete;
  ContextReader& operator=(const ContextReader&) = delete;

  // 64 bytes behind the end of `json` must be readable; their content means nothing. What is returned is good until the
  // next call. INVALID_ARGUMENT, for whoever wrote the line: not JSON or not UTF-8, nested too deep, larger than
  // kBytesMax, a field that is not known, stands twice or is not what it should be, no Objective, more than the limits
  // above.
  absl::StatusOr<decide::RequestContext> Read(std::string_view json);

  // The same of a line of the decision log, whose other keys are passed over, and whose `time` and `decision` are `now`
  // and `random`.
  absl::StatusOr<LoggedRequest> ReadLogged(std::string_view json);

 private:
  struct Parser;

  std::unique_ptr<Parser> parser_;
};

}  // namespace signalbox::cli
