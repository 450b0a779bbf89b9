#include "tests/support/echo_host.h"

#include <gtest/gtest.h>

#include <mutex>
#include <sstream>

namespace signalbox::testing {

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string out;
  if (!buffer.Dump(&slices).ok()) return out;
  for (const grpc::Slice& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

// One call at the host. Reads and writes alternate where the method streams, else all reads come first.
class EchoHost::Call : public grpc::ServerGenericBidiReactor {
 public:
  Call(EchoHost& host, grpc::GenericCallbackServerContext& context) : host_(host), method_(context.method()) {
    ++host_.calls_;
    context.AddInitialMetadata("host-name", host.name_);
    for (const auto& [key, value] : context.client_metadata()) {
      const std::string name(key.data(), key.size());
      if (name.starts_with("sb-") || name.starts_with("my-") || name == "te" || name == "traceparent") {
        context.AddTrailingMetadata("got-" + name, std::string(value.data(), value.size()));
      }
    }
    const auto left = context.deadline() - std::chrono::system_clock::now();
    context.AddTrailingMetadata("deadline-ms",
                                std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(left).count()));
    {
      std::lock_guard lock(host_.mutex_);
      if (!host_.load_report_.empty()) context.AddTrailingMetadata("endpoint-load-metrics", host_.load_report_);
      const auto format = context.client_metadata().find("endpoint-load-metrics-format");
      host_.load_format_ =
          format == context.client_metadata().end() ? "" : std::string(format->second.data(), format->second.size());
    }
    if (const int status = host_.fail_with_; status != 0) {
      Finish({static_cast<grpc::StatusCode>(status), "as it was told"});
    } else if (method_.ends_with("Fail")) {
      Finish({grpc::StatusCode::INVALID_ARGUMENT, "no such film: 100%"});
    } else if (method_.ends_with("Hang")) {
      StartSendInitialMetadata();
    } else {
      StartRead(&received_);
    }
  }

  void OnReadDone(bool ok) override {
    if (ok) {
      OnMessage(ToString(received_));
    } else {
      ended_ = true;
      if (method_.ends_with("Swallow")) to_send_.push_back(std::to_string(bytes_));
      WriteNext();
    }
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    if (method_.ends_with("Stream") && !ended_) return StartRead(&received_);
    WriteNext();
  }

  void OnCancel() override {
    ++host_.cancelled_;
    if (method_.ends_with("Hang")) Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

 private:
  void OnMessage(std::string message) {
    bytes_ += message.size();
    if (method_.ends_with("Stream")) {
      sending_ = ToBuffer(message);
      return StartWrite(&sending_);
    }
    if (method_.ends_with("Download")) {
      std::istringstream(message) >> downloads_ >> download_bytes_;
    } else if (!method_.ends_with("Swallow")) {
      to_send_.push_back(std::move(message));
    }
    StartRead(&received_);
  }

  void WriteNext() {
    if (downloads_ > 0) {
      --downloads_;
      sending_ = ToBuffer(std::string(download_bytes_, 'd'));
      return StartWrite(&sending_);
    }
    if (sent_ == to_send_.size()) return Finish(grpc::Status::OK);
    sending_ = ToBuffer(to_send_[sent_++]);
    StartWrite(&sending_);
  }

  EchoHost& host_;
  const std::string method_;
  grpc::ByteBuffer received_;
  grpc::ByteBuffer sending_;
  std::vector<std::string> to_send_;
  size_t sent_ = 0;
  size_t bytes_ = 0;
  size_t downloads_ = 0;
  size_t download_bytes_ = 0;
  bool ended_ = false;
};

grpc::ServerGenericBidiReactor* EchoHost::Service::CreateReactor(grpc::GenericCallbackServerContext* context) {
  return new Call(host_, *context);
}

EchoHost::EchoHost(std::string name, int port) : name_(std::move(name)), service_(*this) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(), &port_);
  builder.RegisterCallbackGenericService(&service_);
  builder.SetMaxReceiveMessageSize(-1);
  server_ = builder.BuildAndStart();
  EXPECT_NE(server_, nullptr);
}

void EchoHost::ReportLoad(const std::string& report) {
  std::lock_guard lock(mutex_);
  load_report_ = report;
}

std::string EchoHost::load_format() const {
  std::lock_guard lock(mutex_);
  return load_format_;
}

EchoHost::~EchoHost() { Shutdown(std::chrono::milliseconds(0)); }

void EchoHost::Shutdown(std::chrono::milliseconds grace) {
  server_->Shutdown(std::chrono::system_clock::now() + grace);
  server_->Wait();
}

namespace {

std::string Find(const std::multimap<std::string, std::string>& map, const std::string& name) {
  const auto entry = map.find(name);
  return entry == map.end() ? "" : entry->second;
}

std::multimap<std::string, std::string> Copy(const std::multimap<grpc::string_ref, grpc::string_ref>& map) {
  std::multimap<std::string, std::string> copy;
  for (const auto& [key, value] : map)
    copy.emplace(std::string(key.data(), key.size()), std::string(value.data(), value.size()));
  return copy;
}

}  // namespace

std::string Reply::header(const std::string& name) const { return Find(headers, name); }
std::string Reply::trailer(const std::string& name) const { return Find(trailers, name); }

EchoClient::EchoClient(int port)
    : channel_([&] {
        grpc::ChannelArguments arguments;
        arguments.SetMaxReceiveMessageSize(-1);
        // A connection of its own for each client of a test.
        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials(),
                                         arguments);
      }()),
      stub_(channel_) {}

Reply EchoClient::Unary(const std::string& method, const std::string& message, const CallOptions& options) {
  std::unique_ptr<Stream> stream = Open(method, options);
  std::vector<std::string> messages;
  if (stream->Write(message) && stream->WritesDone()) {
    for (std::string received; stream->Read(received);) messages.push_back(received);
  }
  Reply reply = stream->Finish();
  reply.messages = std::move(messages);
  if (!reply.messages.empty()) reply.message = reply.messages.front();
  return reply;
}

std::unique_ptr<EchoClient::Stream> EchoClient::Open(const std::string& method, const CallOptions& options) {
  auto stream = std::make_unique<Stream>();
  for (const auto& [name, value] : options.headers) stream->context_.AddMetadata(name, value);
  stream->context_.set_deadline(std::chrono::system_clock::now() + options.timeout);
  if (options.gzip) stream->context_.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  stream->call_ = stub_.PrepareCall(&stream->context_, method, &stream->queue_);
  stream->call_->StartCall(stream.get());
  stream->Next();
  return stream;
}

bool EchoClient::Stream::Next() {
  void* tag = nullptr;
  bool ok = false;
  return queue_.Next(&tag, &ok) && ok;
}

bool EchoClient::Stream::Write(const std::string& message) {
  call_->Write(ToBuffer(message), this);
  return Next();
}

bool EchoClient::Stream::WritesDone() {
  call_->WritesDone(this);
  return Next();
}

bool EchoClient::Stream::Read(std::string& message) {
  grpc::ByteBuffer buffer;
  call_->Read(&buffer, this);
  if (!Next()) return false;
  message = ToString(buffer);
  return true;
}

Reply EchoClient::Stream::Finish() {
  Reply reply;
  call_->Finish(&reply.status, this);
  Next();
  reply.headers = Copy(context_.GetServerInitialMetadata());
  reply.trailers = Copy(context_.GetServerTrailingMetadata());
  return reply;
}

}  // namespace signalbox::testing
