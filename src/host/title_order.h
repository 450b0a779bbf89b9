// The post-processing of title ranking: from scores to the order that is shown.
#pragma once

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "host/request_parameters.h"
#include "signalbox/v1/workflow.pb.h"

namespace signalbox::host {

struct Candidate {
  const v1::Film* film = nullptr;  // nullptr: a title that the model does not know
  float score = 0;
};

struct OrderPolicy {
  // 0 orders by score alone. 1 gives a film whose genre fills the places above it no more than the last place's worth.
  double genre_diversity = 0;
  // Films that are not rated G or PG come after those that are.
  bool kids = false;
};

// From the request: parameter `genre_diversity` (0 to 1), which a rule or a cell may set, and `surface=kids` in the
// request context.
absl::StatusOr<OrderPolicy> ReadOrderPolicy(const inference::ModelInferRequest& request,
                                            const RequestMetadata& metadata);

// Indices of `candidates` in the order to show: a permutation. By score, ties in the order they were asked in; then the
// policy; unknown titles last, in the order they were asked in.
std::vector<size_t> Order(std::span<const Candidate> candidates, const OrderPolicy& policy);

}  // namespace signalbox::host
