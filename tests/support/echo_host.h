// A gRPC C++ server that knows nothing of signalbox: it takes any method and answers with what it received. For tests
// only.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace signalbox::testing {

// What a method does follows from how its path ends:
//   Stream    each message comes back at once
//   Fail      INVALID_ARGUMENT "no such film: 100%"
//   Hang      nothing, until the client gives up
//   Download  "COUNT SIZE" in the first message: so many messages of so many bytes come back
//   Swallow   the number of bytes received comes back
//   else      the messages come back once the client has ended
// Every answer has the initial metadata `host-name`, and the trailing metadata `got-NAME` for each header `NAME` that
// begins with `sb-`, or is `grpc-timeout`, `te`, `traceparent` or begins with `my-`.
class EchoHost {
 public:
  // Listens on a free port of 127.0.0.1; `port` asks for a certain one, to come back after an end.
  explicit EchoHost(std::string name = "echo", int port = 0);
  ~EchoHost();
  EchoHost(const EchoHost&) = delete;
  EchoHost& operator=(const EchoHost&) = delete;

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  // Calls that have begun, and those that ended because the client cancelled or its deadline passed.
  int calls() const { return calls_; }
  int cancelled() const { return cancelled_; }
  // From now on every call is answered with this status and nothing else; 0: as it was.
  void FailWith(int grpc_status) { fail_with_ = grpc_status; }
  // From now on every answer has this trailing metadata `endpoint-load-metrics`.
  void ReportLoad(const std::string& report);
  // What the last call asked for with `endpoint-load-metrics-format`.
  std::string load_format() const;
  // GOAWAY, then waits for calls in flight at most so long.
  void Shutdown(std::chrono::milliseconds grace);

 private:
  class Call;
  class Service : public grpc::CallbackGenericService {
   public:
    explicit Service(EchoHost& host) : host_(host) {}
    grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;

   private:
    EchoHost& host_;
  };

  const std::string name_;
  std::atomic<int> calls_{0};
  std::atomic<int> cancelled_{0};
  std::atomic<int> fail_with_{0};
  mutable std::mutex mutex_;
  std::string load_report_;  // guarded by mutex_
  std::string load_format_;  // the same
  int port_ = 0;
  Service service_;
  std::unique_ptr<grpc::Server> server_;
};

// A call of any method with messages as bytes.
struct Reply {
  grpc::Status status;
  std::string message;  // the first; see messages for all
  std::vector<std::string> messages;
  std::multimap<std::string, std::string> headers;
  std::multimap<std::string, std::string> trailers;

  std::string header(const std::string& name) const;
  std::string trailer(const std::string& name) const;
};

struct CallOptions {
  std::multimap<std::string, std::string> headers;
  std::chrono::milliseconds timeout{20'000};
  bool gzip = false;
};

// A gRPC C++ client. Thread-safe.
class EchoClient {
 public:
  explicit EchoClient(int port);
  // Sends `message`, ends, and reads everything.
  Reply Unary(const std::string& method, const std::string& message, const CallOptions& options = {});

  // A stream whose steps the test takes one by one.
  class Stream {
   public:
    bool Write(const std::string& message);
    bool WritesDone();
    bool Read(std::string& message);
    Reply Finish();
    void Cancel() { context_.TryCancel(); }

   private:
    friend class EchoClient;
    bool Next();
    grpc::ClientContext context_;
    grpc::CompletionQueue queue_;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  };
  std::unique_ptr<Stream> Open(const std::string& method, const CallOptions& options = {});

 private:
  std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
};

grpc::ByteBuffer ToBuffer(const std::string& bytes);
std::string ToString(const grpc::ByteBuffer& buffer);

}  // namespace signalbox::testing
