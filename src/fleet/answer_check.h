// Whether a model answered as it is declared to.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "inference/open_inference.pb.h"
#include "signalbox/v1/fleet.pb.h"

namespace signalbox::fleet {

using OutputContracts = google::protobuf::RepeatedPtrField<v1::OutputContract>;

// What the metadata of a model promises.
OutputContracts ContractOf(const inference::ModelMetadataResponse& metadata);

// FAILED_PRECONDITION, with the output, what was found and what was expected, unless all of this holds:
//
// - the answer is of the model that was asked, where it says of which;
// - each output of the contract is there once, with its datatype, and with its shape: as many dimensions, -1 stands for
//   any number, a contract without a shape for any shape;
// - there is an output at all;
// - each output, promised or not, has as many elements as its shape says, raw or typed;
// - no floating-point number (FP16, BF16, FP32, FP64) is NaN or infinite: a sample is chosen to be answered.
//
// Further outputs are no mistake, nor are datatypes that the protocol does not define: of these the elements are not
// counted.
absl::Status CheckAnswer(std::string_view model_name, std::string_view model_version, const OutputContracts& contract,
                         const inference::ModelInferResponse& answer);

}  // namespace signalbox::fleet
