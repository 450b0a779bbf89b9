// Why each model is where it is: what the leading control plane knows, left in the store for those who ask.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "rollout/controller.h"
#include "signalbox/v1/rollout.pb.h"
#include "store/store.h"

namespace signalbox::control {

inline constexpr std::string_view kExplanationRecord = "placement-explained";

// Fits into a record: of a large fleet, refusals are left out until it does.
v1::PlacementExplanation Explanation(const rollout::PlacementView& view, const std::string& leader);

// NOT_FOUND: no control plane has led in this store.
absl::StatusOr<v1::PlacementExplanation> ReadExplanation(store::Store& store);

// Whose view it is and how old it can be: "as control-1, which leads, sees it, at most 2 s late", or that the one that
// wrote it does not lead any more.
absl::StatusOr<std::string> WitnessText(store::Store& store, const v1::PlacementExplanation& explanation);

// What is to be said of a model (an id, or a name) that no explanation is there of: which rules name it and what has
// become of their rollout, or that none do.
absl::StatusOr<std::string> WhyNotExplained(store::Store& store, const std::string& model);

}  // namespace signalbox::control
