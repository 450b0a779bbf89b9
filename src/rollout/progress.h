// How far a rollout is, in words and in its record.
#pragma once

#include <string>

#include "assign/assignment.h"
#include "rollout/book.h"
#include "rollout/controller.h"
#include "rollout/host_facts.h"
#include "rollout/placement_draft.h"
#include "rollout/wake.h"

namespace signalbox::rollout {

// Where the models that it needs and that were not there already are to be, and how far each host of these shards is.
void WriteProgress(Book& book, const Additions& shards, const Placed& placed, const HostFacts& hosts);

// The assignment's explanation of a model that it has not placed, in one sentence.
std::string WhyUnplaced(const std::string& model, const assign::Result& result);

// Steady time by which it must be validated.
int64_t RolloutDeadline(const Book& book, const ControllerOptions& options, int64_t now_unix_ms, WrittenTimes& times,
                        const Wake& wake);

}  // namespace signalbox::rollout
