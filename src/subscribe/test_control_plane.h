// A control plane for the tests of subscribers: a real gRPC server that says what the test tells it to, also what no
// real control plane would.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/distribution.h"
#include "signalbox/v1/distribution.grpc.pb.h"

namespace signalbox::subscribe {

class TestControlPlane : public v1::SnapshotDistribution::Service {
 public:
  // Port 0 takes a free one.
  explicit TestControlPlane(int port = 0) {
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               static_cast<int>(distribution::kPingIntervalMin.count()));
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    EXPECT_NE(server_, nullptr);
  }

  ~TestControlPlane() override { EndStreams(); }

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // To every stream, those that come later too.
  void Send(v1::SnapshotUpdate update) {
    std::lock_guard lock(mutex_);
    update_ = std::move(update);
    ++generation_;
    changed_.notify_all();
  }

  // Waits for the report number `index` of all streams together.
  v1::SubscriberStatus ReportNumber(size_t index) {
    std::unique_lock lock(mutex_);
    const bool came = changed_.wait_for(lock, std::chrono::seconds(10), [&] { return reports_.size() > index; });
    EXPECT_TRUE(came) << "no report " << index;
    return came ? reports_[index] : v1::SubscriberStatus();
  }

  // Whether a report that names `version` as the oldest in use comes in time.
  bool AwaitOldestInUse(int64_t version, std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] {
      return std::any_of(reports_.begin(), reports_.end(),
                         [&](const auto& report) { return report.oldest_version_in_use() == version; });
    });
  }

 private:
  using Stream = grpc::ServerReaderWriter<v1::SnapshotUpdate, v1::SubscriberStatus>;

  grpc::Status Subscribe(grpc::ServerContext* context, Stream* stream) override {
    std::jthread reader([this, stream] {
      for (v1::SubscriberStatus report; stream->Read(&report);) {
        std::lock_guard lock(mutex_);
        reports_.push_back(report);
        changed_.notify_all();
      }
    });
    uint64_t sent = 0;
    while (true) {
      v1::SnapshotUpdate update;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stopping_ || generation_ != sent; });
        if (stopping_) break;
        sent = generation_;
        update = update_;
      }
      if (!stream->Write(update)) break;
    }
    context->TryCancel();  // ends the reader
    return grpc::Status::OK;
  }

  void EndStreams() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    server_->Shutdown();
    server_->Wait();
  }

  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  uint64_t generation_ = 0;
  v1::SnapshotUpdate update_;
  std::vector<v1::SubscriberStatus> reports_;
};

}  // namespace signalbox::subscribe
