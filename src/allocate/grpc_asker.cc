#include "allocate/grpc_asker.h"

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "signalbox/v1/allocator.grpc.pb.h"

namespace signalbox::allocate {
namespace {

constexpr int kAnswerBytesMax = 64 << 10;
constexpr int kReconnectMsMax = 2'000;

Result ResultOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::NOT_FOUND:
      return Result::kNotFound;
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::OUT_OF_RANGE:
      return Result::kRefused;
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return Result::kUnauthorised;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return Result::kRateLimited;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return Result::kTimeout;
    case grpc::StatusCode::UNAVAILABLE:
      return Result::kUnreachable;
    case grpc::StatusCode::UNIMPLEMENTED:
    case grpc::StatusCode::INTERNAL:
      return Result::kBadAnswer;
    default:
      return Result::kServerError;
  }
}

// Of gRPC's retry proposal (A6): how long the server wants to be left alone.
std::optional<std::chrono::milliseconds> Pushback(const grpc::ClientContext& context) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find("grpc-retry-pushback-ms");
  if (found == trailers.end()) return std::nullopt;
  const std::string text(found->second.data(), found->second.size());
  const long long pushback = std::atoll(text.c_str());
  return pushback > 0 ? std::optional(std::chrono::milliseconds(pushback)) : std::nullopt;
}

class GrpcAsker : public Asker {
 public:
  GrpcAsker(const PlatformOptions& options, Post post) : token_(options.token), post_(std::move(post)) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kAnswerBytesMax);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMsMax);
    // A connection of its own, whoever else in this process talks to that address.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = v1::Allocator::NewStub(
        grpc::CreateCustomChannel("dns:///" + options.address, grpc::InsecureChannelCredentials(), arguments));
  }

  ~GrpcAsker() override {
    std::unique_lock lock(mutex_);
    for (Call* call : calls_) call->context.TryCancel();
    none_left_.wait(lock, [this] { return calls_.empty(); });
  }

  void Ask(const Inquiry& inquiry, std::chrono::milliseconds timeout, Done done) override {
    auto* call = new Call;
    call->done = std::move(done);
    call->context.set_deadline(std::chrono::system_clock::now() + timeout);
    if (!token_.empty()) call->context.AddMetadata("authorization", "Bearer " + token_);
    call->request.set_flag(inquiry.flag);
    call->request.set_unit(inquiry.unit);
    for (const auto& [name, value] : inquiry.context) {
      if (name == kSegments) {
        for (std::string& word : WordsOf(value)) call->request.add_segments(std::move(word));
      } else {
        (*call->request.mutable_context())[name] = value;
      }
    }
    {
      std::lock_guard lock(mutex_);
      calls_.insert(call);
    }
    stub_->async()->Allocate(&call->context, &call->request, &call->response,
                             [this, call](const grpc::Status& status) { OnStatus(call, status); });
  }

  void SetToken(std::string token) override { token_ = std::move(token); }

 private:
  struct Call {
    grpc::ClientContext context;
    v1::AllocateRequest request;
    v1::AllocateResponse response;
    Done done;
  };

  static Answer AnswerOf(const Call& call, const grpc::Status& status) {
    if (!status.ok()) {
      // Also what the client's own limit makes of a giant answer; the message tells.
      const bool too_large = status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED &&
                             status.error_message().find("larger than max") != std::string::npos;
      if (too_large) return {.result = Result::kTooLarge};
      return {.result = ResultOf(status.error_code()), .retry_after = Pushback(call.context)};
    }
    const std::string& cell = call.response.cell();
    if (cell.empty()) return {.result = Result::kNoCell};
    if (cell.size() > kCellBytesMax) return {.result = Result::kBadAnswer};
    return {.result = Result::kCell, .cell = cell};
  }

  // On a thread of gRPC's.
  void OnStatus(Call* call, const grpc::Status& status) {
    post_([done = std::move(call->done), answer = AnswerOf(*call, status)] { done(answer); });
    std::lock_guard lock(mutex_);
    calls_.erase(call);
    delete call;
    none_left_.notify_all();
  }

  std::string token_;
  const Post post_;
  std::unique_ptr<v1::Allocator::Stub> stub_;
  std::mutex mutex_;
  std::set<Call*> calls_;
  std::condition_variable none_left_;
};

}  // namespace

std::unique_ptr<Asker> MakeGrpcAsker(const PlatformOptions& options, Post post) {
  return std::make_unique<GrpcAsker>(options, std::move(post));
}

}  // namespace signalbox::allocate
