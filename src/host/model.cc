#include "host/model.h"

#include <fmt/format.h>

#include "base/status.h"

namespace signalbox::host {
namespace {

absl::StatusOr<std::unique_ptr<const Model>> MakeModel(VersionFolder folder) {
  switch (folder.workflow.kind()) {
    case v1::Workflow::TITLE_RANKING:
      return MakeTitleRanker(std::move(folder));
    case v1::Workflow::ARRIVAL_DELAY:
      return MakeArrivalDelay(std::move(folder));
    default:
      return absl::InvalidArgumentError("kind is not set; expected TITLE_RANKING or ARRIVAL_DELAY");
  }
}

absl::Status AnswerSample(const Model& model) {
  inference::ModelInferResponse response;
  return model.Infer(model.workflow().sample_request(), {}, response);
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Model>> LoadModel(const std::string& path) {
  ASSIGN_OR_RETURN(VersionFolder folder, ReadVersionFolder(path));
  absl::StatusOr<std::unique_ptr<const Model>> model = MakeModel(std::move(folder));
  if (!model.ok()) {
    return absl::FailedPreconditionError(fmt::format("{}/{}: {}", path, kWorkflowFile, Message(model.status())));
  }
  // The first prediction also makes XGBoost settle its configuration, which it does not do thread-safely.
  if (absl::Status status = AnswerSample(**model); !status.ok()) {
    return absl::FailedPreconditionError(
        fmt::format("{}: cannot answer its own sample request: {}", path, Message(status)));
  }
  return model;
}

}  // namespace signalbox::host
