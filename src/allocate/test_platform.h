// Platforms whose answers a test decides. For tests only.
#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "signalbox/v1/allocator.grpc.pb.h"

namespace signalbox::allocate {

// Holds everybody who passes until it is opened.
class Gate {
 public:
  void Pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    most_ = std::max(most_, waiting_);
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    --waiting_;
  }
  void Open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  int waiting() const {
    std::lock_guard lock(mutex_);
    return waiting_;
  }
  int most() const {
    std::lock_guard lock(mutex_);
    return most_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  int most_ = 0;
  bool open_ = false;
};

// One that speaks signalbox.v1.Allocator, on a free port.
class GrpcPlatform : public v1::Allocator::Service {
 public:
  using Handler = std::function<grpc::Status(grpc::ServerContext&, const v1::AllocateRequest&, v1::AllocateResponse&)>;

  explicit GrpcPlatform(Handler handler) : handler_(std::move(handler)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~GrpcPlatform() override { server_->Shutdown(std::chrono::system_clock::now()); }

  grpc::Status Allocate(grpc::ServerContext* context, const v1::AllocateRequest* request,
                        v1::AllocateResponse* response) override {
    ++asked_;
    return handler_(*context, *request, *response);
  }
  int port() const { return port_; }
  int asked() const { return asked_; }

 private:
  Handler handler_;
  int port_ = 0;
  std::atomic<int> asked_{0};
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace signalbox::allocate
