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

}  // namespace signalbox::control
