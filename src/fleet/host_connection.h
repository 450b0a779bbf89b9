// The connection to one host, and the calls over it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>

#include "fleet/call_loop.h"
#include "inference/open_inference.grpc.pb.h"

namespace signalbox::fleet {

// What a call ended with.
template <typename Response>
struct HostAnswer {
  grpc::Status status;
  Response response;
  std::string instance;              // that the host stated of itself; empty: none
  std::optional<double> saturation;  // of its load report
  double seconds = 0;                // from the call's beginning
};

// On the loop's thread. After its destruction nothing that was handed to it is called any more.
class HostConnection {
 public:
  template <typename Request, typename Response>
  using Method = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (inference::GRPCInferenceService::Stub::*)(
      grpc::ClientContext*, const Request&, grpc::CompletionQueue*);

  // Connects with the first call, and again after a loss. `on_lost`: the connection was there and is not any more.
  HostConnection(CallLoop& loop, const std::string& address, std::function<void()> on_lost);
  ~HostConnection();
  HostConnection(const HostConnection&) = delete;
  HostConnection& operator=(const HostConnection&) = delete;

  // How often the connection was lost. What was asked at one number and answered at the same was answered by one
  // process.
  uint64_t losses() const { return losses_; }

  // `method` is the stub's PrepareAsync... of the call. `done` may destroy the connection.
  template <typename Request, typename Response>
  void Call(Method<Request, Response> method, const Request& request, std::chrono::milliseconds timeout,
            std::function<void(HostAnswer<Response>)> done) {
    auto* call = new PendingCall<Response>(*this, std::move(done));  // deletes itself when it comes out of the queue
    Prepare(call->context, timeout);
    calls_.insert(call);
    call->reader = (stub_.get()->*method)(&call->context, request, &loop_.queue());
    call->reader->StartCall();
    call->reader->Finish(&call->answer.response, &call->answer.status, static_cast<CallLoop::Event*>(call));
  }

 private:
  class AnyCall : public CallLoop::Event {
   public:
    virtual void Abandon() = 0;
  };

  template <typename Response>
  class PendingCall : public AnyCall {
   public:
    PendingCall(HostConnection& owner, std::function<void(HostAnswer<Response>)> done)
        : owner_(&owner), done_(std::move(done)) {}

    void Abandon() override {
      owner_ = nullptr;
      context.TryCancel();
    }

    void Proceed(bool) override {
      std::unique_ptr<PendingCall> self(this);
      if (owner_ == nullptr) return;
      owner_->calls_.erase(this);
      answer.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
      answer.instance = StatedInstance(context);
      answer.saturation = ReportedSaturation(context);
      done_(std::move(answer));
    }

    grpc::ClientContext context;
    HostAnswer<Response> answer;
    std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;

   private:
    HostConnection* owner_;  // null: abandoned
    const std::function<void(HostAnswer<Response>)> done_;
    const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  };

  class StateWatch;

  static void Prepare(grpc::ClientContext& context, std::chrono::milliseconds timeout);
  static std::string StatedInstance(const grpc::ClientContext& context);
  static std::optional<double> ReportedSaturation(const grpc::ClientContext& context);

  CallLoop& loop_;
  const std::function<void()> on_lost_;
  uint64_t losses_ = 0;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<inference::GRPCInferenceService::Stub> stub_;
  std::unordered_set<AnyCall*> calls_;
  StateWatch* watch_ = nullptr;  // owns itself, as calls do
};

}  // namespace signalbox::fleet
