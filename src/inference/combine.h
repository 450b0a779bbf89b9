// Several models' answers to one request, made into one: Open Inference responses, as ensembles of rules declare it.
//
// Pure: bytes in, bytes out. What does not fit together is an error that names model, tensor and what differs; nothing
// is guessed, as a mean over tensors that mean different things would look like an answer.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace signalbox::combine {

// One member's answer.
struct MemberAnswer {
  std::string_view model;     // model id, for messages and labels
  std::string_view response;  // a serialised inference.ModelInferResponse
  double weight = 1;          // more than 0; only their ratios count
};

// The weighted mean, element by element, as a serialised inference.ModelInferResponse whose model_name is `name`. Every
// answer must have the same output tensors, by name in any order, with the same datatypes and shapes.
//
// Means are computed in long double and rounded once: to the nearest value of the datatype, for integers halves to
// even. A NaN in any answer makes that element NaN. BOOL and BYTES have no mean: they must be equal in all answers. The
// result's `id`, and parameters, are those that all answers have in common; its contents are raw where the first
// answer's are.
//
// FAILED_PRECONDITION: the answers do not fit together. INTERNAL: one is not a valid response.
absl::StatusOr<std::string> Mean(std::string_view name, std::span<const MemberAnswer> answers);

// All answers in one: output tensors are called `MODEL/TENSOR`, parameters `MODEL/KEY`, in the order of `answers`. (A
// model id has no '/', so the first one ends it.) Contents are raw where any answer's are.
//
// INTERNAL: one is not a valid response.
absl::StatusOr<std::string> Labelled(std::string_view name, std::span<const MemberAnswer> answers);

}  // namespace signalbox::combine
