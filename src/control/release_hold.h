// What keeps published rules of a namespace from taking effect although nothing is wrong with them: a pin, a pause, a
// cancellation. With who did it, when and why, and the command that takes it back, for those who wonder.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "signalbox/v1/rollout.pb.h"
#include "store/store.h"

namespace signalbox::control {

// " by ada since 2026-11-21T20:06:28Z ("freeze")": who made the newest release plan such that `holds`; of several plans
// in a row the first. "" where that cannot be read.
std::string WhoSet(store::Store& store, std::string_view namespace_name,
                   const std::function<bool(const v1::ReleasePlan&)>& holds);

// "`signalbox rules unpin --store sqlite:/var/lib/store.db --namespace home`": as it can be pasted.
std::string CommandText(const store::Store& store, std::string_view command, std::string_view namespace_name);

// One sentence each; empty: nothing is in the way of `version`. A rollback goes past a pause. What cannot be read is
// told as a sentence of its own.
std::vector<std::string> ReleaseHolds(store::Store& store, const std::string& namespace_name, int64_t version,
                                      bool is_rollback);

// The same of a plan as it stands, whatever is published: for those who look at a rollout. Also that nobody leads.
std::vector<std::string> ReleaseStateText(store::Store& store, const v1::ReleasePlan& plan);

}  // namespace signalbox::control
