#include "cli/send/traffic_sender.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "api/headers.h"
#include "base/status.h"
#include "inference/open_inference.grpc.pb.h"

namespace signalbox::cli {
namespace {

using Clock = std::chrono::steady_clock;

// Nobody waits longer for a page; also the longest that Stop takes.
constexpr std::chrono::seconds kDeadline{5};
// Requests that wait for their answers. Each holds some kilobytes; a target that is this far behind does not get more.
constexpr uint64_t kInFlightMax = 5'000;
// A sender that was not run for longer (a laptop that slept) goes on from now instead of sending all at once.
constexpr std::chrono::seconds kCatchUpMax{1};

std::string CodeName(grpc::StatusCode code) { return absl::StatusCodeToString(static_cast<absl::StatusCode>(code)); }

struct Call {
  uint64_t number = 0;  // from 0, in the order of sending
  size_t objective = 0;
  size_t rows = 0;
  Clock::time_point due;
  grpc::ClientContext context;
  inference::ModelInferResponse response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<inference::ModelInferResponse>> reader;

  // From the response's headers; a call that failed early has only trailers.
  std::string Header(std::string_view name) const {
    const grpc::string_ref key(name.data(), name.size());
    for (const auto* metadata : {&context.GetServerInitialMetadata(), &context.GetServerTrailingMetadata()}) {
      if (auto found = metadata->find(key); found != metadata->end())
        return std::string(found->second.data(), found->second.size());
    }
    return {};
  }

  // What is wrong with an answer whose status is OK; empty when nothing is.
  std::string WrongAnswer() const {
    if (response.outputs_size() == 0 || response.outputs(0).shape_size() != 1)
      return "the answer has no output of one dimension";
    if (response.outputs(0).shape(0) != static_cast<int64_t>(rows))
      return fmt::format("the answer has {} rows for {} asked", response.outputs(0).shape(0), rows);
    return {};
  }
};

class OpenLoopSender : public TrafficSender {
 public:
  OpenLoopSender(SenderOptions options, RequestSource source)
      : options_(std::move(options)),
        source_(std::move(source)),
        interval_(
            std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / options_.rate_per_second))),
        start_(Clock::now()) {
    for (int i = 0; i < options_.connections; ++i) {
      grpc::ChannelArguments arguments;
      // Channels with one target share a connection unless they are told not to.
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      stubs_.push_back(inference::GRPCInferenceService::NewStub(
          grpc::CreateCustomChannel(options_.target, grpc::InsecureChannelCredentials(), arguments)));
    }
    thread_ = std::thread([this] { Run(); });
  }

  ~OpenLoopSender() override { Stop(); }

  TrafficReport Report() const override {
    std::lock_guard lock(mutex_);
    TrafficReport report = report_;
    report.duration = stopped_at_.value_or(Clock::now()) - start_;
    return report;
  }

  void Stop() override {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Run() {
    Clock::time_point due = start_;
    while (!stopping_) {
      const Clock::time_point now = Clock::now();
      if (now - due > kCatchUpMax) due = now;
      for (; due <= now && !stopping_; due += interval_) Send(due);
      Wait(due);
    }
    {
      std::lock_guard lock(mutex_);
      stopped_at_ = Clock::now();
    }
    while (!open_.empty()) Wait(Clock::now() + kDeadline);
    queue_.Shutdown();
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) delete static_cast<Call*>(tag);
  }

  void Send(Clock::time_point due) {
    TrafficRequest request = source_.Next();
    const uint64_t number = sent_++;
    {
      std::lock_guard lock(mutex_);
      ++report_.sent;
      if (open_.size() >= kInFlightMax) {
        report_.AddFailure(Objective(request.objective), "", "NOT_SENT",
                           fmt::format("{} requests wait for their answers already", kInFlightMax));
        return;
      }
    }
    auto* call = new Call;  // until its completion comes
    call->number = number;
    call->objective = request.objective;
    call->rows = request.rows;
    call->due = due;
    call->context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    AddHeaders(request, call->context);
    auto& stub = stubs_[number % stubs_.size()];
    call->reader = stub->PrepareAsyncModelInfer(&call->context, request.body, &queue_);
    call->reader->StartCall();
    call->reader->Finish(&call->response, &call->status, call);
    open_.insert(number);
  }

  void AddHeaders(const TrafficRequest& request, grpc::ClientContext& context) const {
    context.AddMetadata(std::string(headers::kUser), request.user);
    context.AddMetadata(std::string(headers::kContext), request.context);
    context.AddMetadata(std::string(headers::kTraffic), options_.traffic_type);
    if (!options_.tenant.empty()) context.AddMetadata(std::string(headers::kTenant), options_.tenant);
  }

  // Takes one completion, or returns at `until`.
  void Wait(Clock::time_point until) {
    void* tag = nullptr;
    bool ok = false;
    const auto deadline = std::chrono::system_clock::now() +
                          std::chrono::duration_cast<std::chrono::system_clock::duration>(until - Clock::now());
    if (queue_.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) return;
    std::unique_ptr<Call> call(static_cast<Call*>(tag));
    open_.erase(call->number);
    Count(*call, Clock::now() - call->due);
  }

  void Count(const Call& call, Clock::duration latency) {
    const std::string model = call.Header(headers::kModel);
    const std::string wrong = call.status.ok() ? call.WrongAnswer() : "";
    std::lock_guard lock(mutex_);
    report_.settled = open_.empty() ? sent_ : *open_.begin();
    if (!call.status.ok()) {
      report_.AddFailure(Objective(call.objective), model, CodeName(call.status.error_code()),
                         call.status.error_message());
    } else if (!wrong.empty()) {
      report_.AddFailure(Objective(call.objective), model, "WRONG_ANSWER", wrong);
    } else {
      report_.AddAnswer(Objective(call.objective), model, call.Header(headers::kReason),
                        call.Header(headers::kSnapshot), latency);
    }
  }

  const std::string& Objective(size_t index) const { return source_.options().objectives[index].objective; }

  const SenderOptions options_;
  RequestSource source_;
  const Clock::duration interval_;
  const Clock::time_point start_;
  std::vector<std::unique_ptr<inference::GRPCInferenceService::Stub>> stubs_;
  grpc::CompletionQueue queue_;
  uint64_t sent_ = 0;
  std::set<uint64_t> open_;  // numbers of the calls that have not ended
  std::atomic<bool> stopping_ = false;

  mutable std::mutex mutex_;
  TrafficReport report_;
  std::optional<Clock::time_point> stopped_at_;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TrafficSender>> TrafficSender::Start(SenderOptions options, RequestSource source) {
  // The comparisons are written so that NaN fails them.
  if (!(options.rate_per_second > 0 && options.rate_per_second <= kRateMax)) {
    return absl::InvalidArgumentError(fmt::format("--rate {}: expected requests per second, more than 0 and at most {}",
                                                  options.rate_per_second, kRateMax));
  }
  if (options.connections < 1 || options.connections > kConnectionsMax) {
    return absl::InvalidArgumentError(
        fmt::format("--connections {}: expected 1 to {}", options.connections, kConnectionsMax));
  }
  if (options.traffic_type != "live" && options.traffic_type != "synthetic") {
    return absl::InvalidArgumentError(
        fmt::format("--traffic-type {}: expected live or synthetic", options.traffic_type));
  }
  return std::make_unique<OpenLoopSender>(std::move(options), std::move(source));
}

}  // namespace signalbox::cli
