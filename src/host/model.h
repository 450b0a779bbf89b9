// A model: a workflow with everything it needs in memory, ready to answer.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "host/request_parameters.h"
#include "host/tensor.h"
#include "host/version_folder.h"
#include "inference/open_inference.pb.h"

namespace signalbox::host {

// Immutable and thread-safe.
class Model {
 public:
  virtual ~Model() = default;

  const v1::Workflow& workflow() const { return workflow_; }
  virtual std::span<const TensorSpec> inputs() const = 0;
  virtual std::span<const TensorSpec> outputs() const = 0;

  // Features, trained part, post-processing. Adds outputs and parameters to `response`; name, version and id are the
  // caller's to fill. The contents of `response` after an error are not defined. INVALID_ARGUMENT for what is wrong
  // with the request.
  virtual absl::Status Infer(const inference::ModelInferRequest& request, const RequestMetadata& metadata,
                             inference::ModelInferResponse& response) const = 0;

 protected:
  explicit Model(v1::Workflow workflow) : workflow_(std::move(workflow)) {}

 private:
  v1::Workflow workflow_;
};

// Makes the model of a version folder and lets it answer the workflow's sample request. FAILED_PRECONDITION says what
// is wrong with the folder.
absl::StatusOr<std::unique_ptr<const Model>> LoadModel(const std::string& path);

// The two kinds; LoadModel chooses.
absl::StatusOr<std::unique_ptr<const Model>> MakeTitleRanker(VersionFolder folder);
absl::StatusOr<std::unique_ptr<const Model>> MakeArrivalDelay(VersionFolder folder);

}  // namespace signalbox::host
