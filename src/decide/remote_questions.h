// Which experimentation platforms a request needs an answer from before it can be decided.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/fixed_list.h"
#include "decide/request_context.h"
#include "decide/snapshot.h"

namespace signalbox::decide {

struct CompiledExperiment;

// Of one Objective; rule sets with more are refused.
inline constexpr size_t kRemoteQuestionsMax = 16;

// Lives as long as the snapshot and the context's text.
struct RemoteQuestion {
  std::string_view platform;
  std::string_view flag;
  std::string_view experiment;  // what RequestContext::remote_cells calls the answer
  std::string_view unit;
  uint32_t ttl_ms = 0;
  uint32_t deadline_ms = 0;
  const CompiledExperiment* compiled = nullptr;

  // Whether the experiment has a cell of this name. To another one the decision prefers the fallback.
  bool HasCell(std::string_view cell) const;
};

using RemoteQuestions = FixedList<RemoteQuestion, kRemoteQuestionsMax>;

// Those experiments that the decision can reach: with conditions, times, holdouts and layers as they are for this
// context, and whatever the platforms may answer for the ones before. Answers that the context has already are not
// asked for again. Pure, allocation-free.
RemoteQuestions FindRemoteQuestions(const Snapshot& snapshot, const RequestContext& context);

}  // namespace signalbox::decide
