// A gRPC host that answers each call as it is told. For tests only.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/echo_host.h"

namespace signalbox::proxy {

class ScriptedHost {
 public:
  // Once the whole request has come, but for `at_once`.
  struct Answer {
    std::string message;       // without a status
    grpc::Status status = {};  // without a message: then trailers are all there is
    std::multimap<std::string, std::string> trailers = {};
    std::chrono::milliseconds after{0};
    bool never = false;    // until the call is cancelled
    bool at_once = false;  // before anything of the request was read
    bool deaf = false;     // reads nothing, and never answers
  };
  // `script` is called with the number of the call, from 0; thread-safe.
  explicit ScriptedHost(std::function<Answer(int call)> script) : script_(std::move(script)), service_(*this) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterCallbackGenericService(&service_);
    builder.SetMaxReceiveMessageSize(-1);
    server_ = builder.BuildAndStart();
  }
  ~ScriptedHost() {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }
  ScriptedHost(const ScriptedHost&) = delete;
  ScriptedHost& operator=(const ScriptedHost&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int calls() const { return calls_; }
  int cancelled() const { return cancelled_; }
  // When each call began, and what each sent.
  std::vector<std::chrono::steady_clock::time_point> times() {
    std::lock_guard lock(mutex_);
    return times_;
  }
  std::vector<std::string> received() {
    std::lock_guard lock(mutex_);
    return received_;
  }
  // Of each call that has begun.
  std::vector<std::multimap<std::string, std::string>> headers() {
    std::lock_guard lock(mutex_);
    return headers_;
  }

 private:
  class Call : public grpc::ServerGenericBidiReactor {
   public:
    Call(ScriptedHost& host, grpc::GenericCallbackServerContext& context)
        : host_(host), answer_(host.script_(host.calls_++)) {
      for (const auto& [name, value] : answer_.trailers) context.AddTrailingMetadata(name, value);
      {
        std::lock_guard lock(host_.mutex_);
        host_.times_.push_back(std::chrono::steady_clock::now());
        auto& headers = host_.headers_.emplace_back();
        for (const auto& [name, value] : context.client_metadata()) {
          headers.emplace(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
        }
      }
      if (answer_.at_once) {
        Answer();
      } else if (!answer_.deaf) {
        StartRead(&message_);
      }
    }

   private:
    void OnReadDone(bool ok) override {
      if (ok) {
        std::vector<grpc::Slice> slices;
        if (message_.Dump(&slices).ok()) {
          for (const grpc::Slice& slice : slices) {
            bytes_.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
          }
        }
        return StartRead(&message_);
      }
      {
        std::lock_guard lock(host_.mutex_);
        host_.received_.push_back(bytes_);
      }
      if (answer_.never) return;
      if (answer_.after.count() == 0) return Answer();
      alarm_.Set(std::chrono::system_clock::now() + answer_.after, [this](bool) { Answer(); });
    }
    void OnWriteDone(bool) override { End(grpc::Status::OK); }
    void OnCancel() override {
      ++host_.cancelled_;
      if (answer_.never || answer_.deaf) End(grpc::Status::CANCELLED);
    }
    void OnDone() override { delete this; }

    void Answer() {
      if (!answer_.status.ok()) return End(answer_.status);
      message_ = testing::ToBuffer(answer_.message);
      StartWrite(&message_);
    }
    void End(const grpc::Status& status) {
      if (!ended_.exchange(true)) Finish(status);
    }

    ScriptedHost& host_;
    ScriptedHost::Answer answer_;
    grpc::ByteBuffer message_;
    std::string bytes_;
    grpc::Alarm alarm_;
    std::atomic<bool> ended_{false};
  };
  class Service : public grpc::CallbackGenericService {
   public:
    explicit Service(ScriptedHost& host) : host_(host) {}
    grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
      return new Call(host_, *context);
    }

   private:
    ScriptedHost& host_;
  };

  std::function<Answer(int)> script_;
  std::atomic<int> calls_{0};
  std::atomic<int> cancelled_{0};
  std::mutex mutex_;
  std::vector<std::chrono::steady_clock::time_point> times_;
  std::vector<std::string> received_;
  std::vector<std::multimap<std::string, std::string>> headers_;
  int port_ = 0;
  Service service_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace signalbox::proxy
