// The decision: which model answers a request, and what else the data path needs to carry it out.
#pragma once

#include <span>
#include <string>

#include "decide/request_context.h"
#include "decide/snapshot.h"

namespace signalbox::decide {

struct Decision {
  // nullptr when the snapshot has no such Objective. Lives as long as the snapshot.
  const Answer* answer = nullptr;
  // To be tried in this order when the answer's model cannot be reached.
  std::span<const Answer* const> fallbacks;
};

// Pure: no clock, no I/O, no lock, no allocation. The same snapshot and context give the same decision in every
// process, mode and release (golden file: decide_golden.json). Order: experiments by priority, traffic shift, default
// model; the first that yields a model ends the search. The first experiment that the user takes part in is the only
// one that counts; where the user's cell has no model, its parameters go with the model of the shift or the default
// (docs/decisions/0006-one-experiment.md). A context without a user takes no part in experiments and
// traffic shifts: they are sticky by user, and an answer that changes from request to request would be worse than the
// default.
Decision Decide(const Snapshot& snapshot, const RequestContext& context);

// The same decision, and every step on the way to it, taken or not, as a page of text for people. Allocates. As data:
// explain.h.
std::string Explain(const Snapshot& snapshot, const RequestContext& context);

}  // namespace signalbox::decide
