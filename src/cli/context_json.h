// Request contexts as JSON.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "decide/request_context.h"

namespace signalbox::cli {

// Reads
//
//   {"objective": "ContinueWatchingRanking", "user": "u1", "country": "US", "device": "tv", "locale": "en-US",
//    "surface": "home", "tenant": "web", "attributes": {"plan": "basic"}}
//
// of which only `objective` must be there. Allocation-free but for errors. Not thread-safe; one for each thread.
class ContextReader {
 public:
  // A context is some hundred bytes; this is what is refused without being parsed.
  static constexpr size_t kBytesMax = 1U << 20;
  static constexpr size_t kAttributesMax = 64;

  ContextReader();
  ~ContextReader();
  ContextReader(const ContextReader&) = delete;
  ContextReader& operator=(const ContextReader&) = delete;

  // 64 bytes behind the end of `json` must be readable; their content means nothing. What is returned is good until the
  // next call. INVALID_ARGUMENT, for whoever wrote the line: not JSON or not UTF-8, nested too deep, larger than
  // kBytesMax, a field that is not known, stands twice or is not text, no Objective, more than kAttributesMax
  // attributes.
  absl::StatusOr<decide::RequestContext> Read(std::string_view json);

 private:
  struct Parser;

  std::unique_ptr<Parser> parser_;
};

}  // namespace signalbox::cli
