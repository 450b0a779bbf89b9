#include "fleet/watched_host.h"

#include <fmt/format.h>

#include <utility>

#include "base/status.h"

namespace signalbox::fleet {
namespace {

using std::chrono::milliseconds;
using Stub = inference::GRPCInferenceService::Stub;

constexpr int kFailuresMax = 2;
constexpr int kSuccessesToComeBack = 2;
// Then it is probed as seldom as those that are well.
constexpr int kQuickProbesMax = 8;
// A load report older than this says nothing of now.
constexpr std::chrono::seconds kReportAgeMax{30};

bool IsRefused(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE &&
         status.error_message().find("Connection refused") != std::string::npos;
}

}  // namespace

WatchedHost::WatchedHost(CallLoop& loop, KnownHost known, const FleetOptions& options, std::string unstated_instance,
                         std::mt19937_64& random, Listener listener)
    : loop_(loop),
      options_(options),
      unstated_instance_(std::move(unstated_instance)),
      random_(random),
      listener_(std::move(listener)),
      connection_(std::make_unique<HostConnection>(loop, known.address, [this] { OnLost(); })),
      next_probe_(loop) {
  Describe(std::move(known));
  BeginProbe();
}

void WatchedHost::Update(KnownHost known) {
  const bool is_other_process = known.instance != known_.instance;
  Describe(std::move(known));
  // Who registers has just started: whether it is the one that answers is to be known soon.
  if (is_other_process && !probing_) BeginProbe();
}

void WatchedHost::Describe(KnownHost known) {
  known_ = std::move(known);
  observed_.id = known_.id;
  observed_.address = known_.address;
  observed_.shard = known_.shard;
  observed_.memory_bytes = known_.memory_bytes;
  observed_.cores = known_.cores;
}

std::string WatchedHost::InstanceOf(const std::string& stated) const {
  if (!stated.empty()) return stated;
  return fmt::format("{}#{}", known_.instance.empty() ? unstated_instance_ : known_.instance, connection_->losses());
}

void WatchedHost::BeginProbe() {
  next_probe_.Cancel();
  probing_ = true;
  probe_ = {
      .number = NextIndexNumber(), .losses = connection_->losses(), .answers_missing = 2, .ready = {}, .index = {}};
  connection_->Call<inference::ServerReadyRequest, inference::ServerReadyResponse>(
      &Stub::PrepareAsyncServerReady, {}, options_.probe_timeout,
      [this](HostAnswer<inference::ServerReadyResponse> answer) {
        probe_.ready = std::move(answer);
        if (--probe_.answers_missing == 0) EndProbe();
      });
  connection_->Call<inference::RepositoryIndexRequest, inference::RepositoryIndexResponse>(
      &Stub::PrepareAsyncRepositoryIndex, {}, options_.probe_timeout,
      [this](HostAnswer<inference::RepositoryIndexResponse> answer) {
        probe_.index = std::move(answer);
        if (--probe_.answers_missing == 0) EndProbe();
      });
}

void WatchedHost::EndProbe() {
  probing_ = false;
  NoteSaturation(probe_.ready.saturation ? probe_.ready.saturation : probe_.index.saturation);
  JudgeProbe();
  ScheduleProbe();
}

void WatchedHost::JudgeProbe() {
  if (!probe_.ready.status.ok()) return FailOfCall("ServerReady", probe_.ready.status);
  if (!probe_.ready.response.ready()) return Fail("it says that it is not ready", /*is_certain=*/true);
  if (!probe_.index.status.ok()) return FailOfCall("RepositoryIndex", probe_.index.status);
  if (probe_.losses != connection_->losses() || probe_.ready.instance != probe_.index.instance) {
    return Fail("the connection was lost during the probe", /*is_certain=*/false);
  }
  const std::string& stated = probe_.ready.instance;
  if (!known_.instance.empty() && !stated.empty() && stated != known_.instance) {
    return Fail(fmt::format("the process that answers at {} says that it is {}, the one that registered was {}",
                            known_.address, HostText(stated), known_.instance),
                /*is_certain=*/true);
  }
  Succeed();
}

void WatchedHost::Succeed() {
  stated_instance_ = probe_.ready.instance;
  failures_ = 0;
  ++successes_;
  const absl::StatusOr<HostIndex> index = TakeIndex(probe_.number, probe_.index);
  if (!index.ok()) return Fail(std::string(Message(index.status())), /*is_certain=*/true);
  const bool is_alive = observed_.alive || !was_away_ || successes_ >= kSuccessesToComeBack;
  bool changed = observed_.alive != is_alive;
  observed_.alive = is_alive;
  std::string trouble = is_alive ? "" : "it was away, and answers again: one more probe must succeed";
  changed |= std::exchange(observed_.trouble, trouble) != trouble;
  Publish(changed);
}

void WatchedHost::FailOfCall(const char* call, const grpc::Status& status) {
  const bool is_certain = IsRefused(status) || status.error_code() == grpc::StatusCode::UNIMPLEMENTED;
  std::string reason = fmt::format("{}: {}", call, HostText(status.error_message()));
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    reason = fmt::format("no answer to {} within {} ms", call, options_.probe_timeout.count());
  } else if (IsRefused(status)) {
    reason = fmt::format("nothing listens at {}: connection refused", known_.address);
  } else if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    reason = fmt::format("it does not implement {}, without which its models cannot be managed", call);
  }
  Fail(std::move(reason), is_certain);
}

void WatchedHost::Fail(std::string trouble, bool is_certain) {
  successes_ = 0;
  ++failures_;
  // One that was never judged is not condemned by less than one that is alive: until then it keeps its place.
  const bool has_credit = observed_.alive || observed_.trouble.empty();
  if (!is_certain && failures_ < kFailuresMax && has_credit) return;
  was_away_ = true;
  const bool changed = observed_.alive || observed_.trouble != trouble;
  observed_.alive = false;
  observed_.trouble = std::move(trouble);
  Publish(changed);
}

void WatchedHost::ScheduleProbe() {
  const bool is_quick = (failures_ > 0 && failures_ <= kQuickProbesMax) || (failures_ == 0 && !observed_.alive);
  milliseconds pause = options_.probe_again;
  if (!is_quick) {
    pause = milliseconds(std::uniform_int_distribution<int64_t>(options_.probe_interval_min.count(),
                                                                options_.probe_interval_max.count())(random_));
  }
  next_probe_.Set(pause, [this] { BeginProbe(); });
}

void WatchedHost::OnLost() {
  if (!probing_) BeginProbe();
}

void WatchedHost::NoteSaturation(const std::optional<double>& saturation) {
  const auto now = std::chrono::steady_clock::now();
  const double before = observed_.saturation;
  if (saturation) {
    observed_.saturation = *saturation;
    reported_at_ = now;
  } else if (now - reported_at_ > kReportAgeMax) {
    observed_.saturation = -1;
  }
  if (observed_.saturation != before) listener_.seen(*this, /*is_news=*/false);
}

absl::StatusOr<HostIndex> WatchedHost::TakeIndex(uint64_t number,
                                                 const HostAnswer<inference::RepositoryIndexResponse>& answer) {
  absl::StatusOr<HostIndex> index = ReadIndex(answer.response, bare_names_);
  // What was asked for before the one that is known may have been answered before it, too.
  if (!index.ok() || number < index_number_) return index;
  index_number_ = number;
  stated_instance_ = answer.instance;
  const std::string before = std::exchange(observed_.instance, instance());
  bool changed = before != observed_.instance;
  if (!IsSame(*index, observed_.index)) {
    observed_.index = *index;
    changed = true;
  }
  Publish(changed);
  return index;
}

void WatchedHost::Execute(rollout::HostCommand command) {
  const std::string model = command.model;
  std::string refusal;
  absl::StatusCode code = absl::StatusCode::kResourceExhausted;
  if (runs_.contains(model)) {
    code = absl::StatusCode::kAlreadyExists;
    refusal = "another command for this model is under way there";
  } else if (runs_.size() >= options_.commands_per_host_max) {
    refusal = fmt::format("{} commands are under way there, the limit", runs_.size());
  }
  if (!refusal.empty()) {
    return listener_.done(ResultOf(command, absl::Status(code, fmt::format("{}: {}", CommandText(command), refusal))));
  }
  commands_[model] = command;
  CommandRun& run = *(runs_[model] = MakeCommandRun(*this, std::move(command)));
  run.Start();
}

void WatchedHost::Finish(rollout::CommandResult result) {
  commands_.erase(result.model);
  const auto run = runs_.extract(result.model);  // destroyed at the end: it is the caller
  listener_.done(std::move(result));
}

void WatchedHost::Retire() {
  next_probe_.Cancel();
  connection_.reset();  // with what would call the runs
  runs_.clear();
  for (const auto& [model, command] : std::exchange(commands_, {})) {
    listener_.done(ResultOf(command, absl::AbortedError(fmt::format("{}: the host is not one of the fleet any more",
                                                                    CommandText(command)))));
  }
}

void WatchedHost::Publish(bool changed) {
  if (changed) listener_.seen(*this, /*is_news=*/true);
}

}  // namespace signalbox::fleet
