// The other end of a subscription, for tests: says and reads what the test tells it to, and nothing by itself.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "api/distribution.h"
#include "signalbox/v1/distribution.grpc.pb.h"

namespace signalbox::control {

inline std::shared_ptr<grpc::Channel> ConnectTo(int port) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(distribution::kUpdateBytesMax + 4096);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials(), arguments);
}

class TestSubscriber {
 public:
  TestSubscriber(std::shared_ptr<grpc::Channel> channel, const std::string& node_id,
                 std::vector<std::string> scopes = {})
      : stub_(v1::SnapshotDistribution::NewStub(std::move(channel))), scopes_(std::move(scopes)) {
    // So that a test which fails does not hang.
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    stream_ = stub_->Subscribe(&context_);
    Report(node_id, 0);
  }
  ~TestSubscriber() {
    context_.TryCancel();
    if (!finished_) (void)stream_->Finish();
  }
  TestSubscriber(const TestSubscriber&) = delete;
  TestSubscriber& operator=(const TestSubscriber&) = delete;

  // Version 0: the stream ended.
  v1::SnapshotUpdate Read() {
    v1::SnapshotUpdate update;
    if (!stream_->Read(&update)) update.Clear();
    return update;
  }

  void Report(const std::string& node_id, int64_t running_version, const std::string& refusal = "",
              const std::string& running_hash = "") {
    v1::SubscriberStatus report;
    report.set_running_hash(running_hash);
    report.set_node_id(node_id);
    for (const std::string& scope : scopes_) report.add_scopes(scope);
    report.set_running_version(running_version);
    if (!refusal.empty()) report.mutable_refusal()->set_reason(refusal);
    stream_->Write(report);
  }
  void Acknowledge(const v1::SnapshotUpdate& update) { Report("", update.version(), "", update.hash()); }

  grpc::Status Finish() {
    finished_ = true;
    return stream_->Finish();
  }

 private:
  std::unique_ptr<v1::SnapshotDistribution::Stub> stub_;
  const std::vector<std::string> scopes_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SubscriberStatus, v1::SnapshotUpdate>> stream_;
  bool finished_ = false;
};

}  // namespace signalbox::control
