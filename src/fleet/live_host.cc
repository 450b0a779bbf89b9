#include "fleet/live_host.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include "api/headers.h"
#include "fleet/call_loop.h"
#include "fleet/host_index.h"
#include "fleet/registration.h"

namespace signalbox::fleet {

LiveHost::LiveHost(std::string address) : address_(std::move(address)) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  stub_ = inference::GRPCInferenceService::NewStub(
      grpc::CreateCustomChannel("dns:///" + address_, grpc::InsecureChannelCredentials(), arguments));
}

absl::StatusOr<std::string> LiveHost::Instance(std::chrono::milliseconds timeout) {
  grpc::ClientContext context;
  context.set_deadline(After(timeout));
  inference::ServerLiveResponse response;
  const grpc::Status status = stub_->ServerLive(&context, inference::ServerLiveRequest(), &response);
  if (!status.ok() || !response.live()) {
    life_.clear();
    std::string reason = "it says that it does not live";
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      reason = fmt::format("no answer to ServerLive within {} ms", timeout.count());
    } else if (!status.ok()) {
      reason = "ServerLive: " + HostText(status.error_message());
    }
    return absl::UnavailableError(fmt::format("host {}: {}", address_, reason));
  }
  const auto& metadata = context.GetServerInitialMetadata();
  const auto stated = metadata.find(grpc::string_ref(headers::kHostInstance.data(), headers::kHostInstance.size()));
  if (stated != metadata.end()) return std::string(stated->second.data(), stated->second.size());
  if (life_.empty()) life_ = RandomInstance();
  return life_;
}

}  // namespace signalbox::fleet
