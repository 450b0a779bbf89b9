#include "fleet/command_steps.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/host_extensions.h"
#include "base/status.h"

namespace signalbox::fleet {
namespace {

using std::chrono::milliseconds;
using Stub = inference::GRPCInferenceService::Stub;

constexpr milliseconds kShortCallMax{5'000};
// A call whose deadline is the command's ends about then.
constexpr milliseconds kTimerSlack{50};

const char* Name(rollout::CommandKind kind) {
  switch (kind) {
    case rollout::CommandKind::kLoad:
      return "load";
    case rollout::CommandKind::kDryRun:
      return "dry run";
    case rollout::CommandKind::kUnload:
      return "unload";
  }
  return "command";
}

}  // namespace

rollout::CommandResult ResultOf(const rollout::HostCommand& command, absl::Status status) {
  return {.kind = command.kind,
          .host = command.host,
          .instance = command.instance,
          .model = command.model,
          .status = std::move(status),
          .seconds = 0,
          .note = ""};
}

std::string CommandText(const rollout::HostCommand& command) {
  return fmt::format("host {} ({}): {} of {}", command.host, command.address, Name(command.kind), command.model);
}

std::unique_ptr<CommandRun> MakeCommandRun(CommandHost& host, rollout::HostCommand command) {
  switch (command.kind) {
    case rollout::CommandKind::kLoad:
      return MakeLoadRun(host, std::move(command));
    case rollout::CommandKind::kDryRun:
      return MakeDryRun(host, std::move(command));
    case rollout::CommandKind::kUnload:
      return MakeUnloadRun(host, std::move(command));
  }
  return nullptr;
}

CommandSteps::CommandSteps(CommandHost& host, rollout::HostCommand command, milliseconds timeout_default)
    : host_(host),
      command_(std::move(command)),
      name_(SplitModelId(command_.model).first),
      version_(SplitModelId(command_.model).second),
      timeout_(command_.timeout > milliseconds(0) ? command_.timeout : timeout_default),
      deadline_(std::chrono::steady_clock::now() + timeout_),
      losses_at_start_(host.connection().losses()) {
  if (version_.empty()) host_.WantBareName(name_);
}

void CommandSteps::Done(absl::Status status, double seconds, std::string note) {
  rollout::CommandResult result = ResultOf(command_, std::move(status));
  result.seconds = seconds;
  result.note = std::move(note);
  host_.Finish(std::move(result));
}

void CommandSteps::Fail(absl::StatusCode code, std::string_view reason) {
  Done(absl::Status(code, fmt::format("{}: {}", CommandText(command_), reason)));
}

void CommandSteps::FailOfCall(std::string_view call, const grpc::Status& status) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return Fail(absl::StatusCode::kDeadlineExceeded,
                time_left() > kTimerSlack
                    ? fmt::format("no answer to {} within {} ms", call, kShortCallMax.count())
                    : fmt::format("no answer to {} within the {} ms that it may take", call, timeout_.count()));
  }
  Fail(static_cast<absl::StatusCode>(status.error_code()),
       fmt::format("{}: {}", call, HostText(status.error_message())));
}

bool CommandSteps::MayGoOn() {
  if (host_.instance() != command_.instance) {
    Fail(absl::StatusCode::kAborted, fmt::format("it is another process now ({}) than the one it was meant for ({})",
                                                 host_.instance(), command_.instance));
    return false;
  }
  if (time_left() > milliseconds(0)) return true;
  Fail(absl::StatusCode::kDeadlineExceeded, fmt::format("not done within {} ms", timeout_.count()));
  return false;
}

bool CommandSteps::LostHost() const {
  return host_.connection().losses() != losses_at_start_ || host_.instance() != command_.instance;
}

void CommandSteps::AskForIndex(std::function<void(const HostIndex&)> next) {
  if (!MayGoOn()) return;
  const uint64_t number = host_.NextIndexNumber();
  host_.connection().Call<inference::RepositoryIndexRequest, inference::RepositoryIndexResponse>(
      &Stub::PrepareAsyncRepositoryIndex, {}, short_timeout(),
      [this, number, next = std::move(next)](const HostAnswer<inference::RepositoryIndexResponse>& answer) {
        if (!answer.status.ok()) return FailOfCall("RepositoryIndex", answer.status);
        absl::StatusOr<HostIndex> index = host_.TakeIndex(number, answer);
        if (!index.ok()) return Fail(index.status().code(), Message(index.status()));
        if (MayGoOn()) next(*index);
      });
}

void CommandSteps::AskForExtensions(std::function<void(bool)> next) {
  if (!MayGoOn()) return;
  host_.connection().Call<inference::ServerMetadataRequest, inference::ServerMetadataResponse>(
      &Stub::PrepareAsyncServerMetadata, {}, short_timeout(),
      [this, next = std::move(next)](const HostAnswer<inference::ServerMetadataResponse>& answer) {
        const bool unknown = answer.status.error_code() == grpc::StatusCode::UNIMPLEMENTED;
        if (!answer.status.ok() && !unknown) return FailOfCall("ServerMetadata", answer.status);
        const auto& extensions = answer.response.extensions();
        next(std::find(extensions.begin(), extensions.end(), extensions::kSingleVersions) != extensions.end());
      });
}

milliseconds CommandSteps::time_left() const {
  return std::chrono::ceil<milliseconds>(deadline_ - std::chrono::steady_clock::now());
}

milliseconds CommandSteps::short_timeout() const { return std::min(time_left(), kShortCallMax); }

}  // namespace signalbox::fleet
