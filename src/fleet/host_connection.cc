#include "fleet/host_connection.h"

#include "api/headers.h"
#include "fleet/load_report.h"

namespace signalbox::fleet {
namespace {

// An index of ten thousand models is below 2 MiB; the answer to a sample request is an example, not a batch.
constexpr int kAnswerBytesMax = 16 << 20;
// TCP, HTTP/2 and the resolving of the name.
constexpr int kConnectMsMax = 2'000;
// A host that is started again is found soon; one that is gone costs a SYN a second.
constexpr int kReconnectMsFirst = 200;
constexpr int kReconnectMsMax = 1'000;
// Of a machine that vanished. Hosts hear from us every second or two: pings are sent only when they do not answer.
constexpr int kKeepaliveMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 3'000;

// More is no name.
constexpr size_t kInstanceBytesMax = 128;

std::string_view View(const grpc::string_ref& text) { return {text.data(), text.size()}; }

std::string_view Find(const std::multimap<grpc::string_ref, grpc::string_ref>& metadata, std::string_view name) {
  const auto found = metadata.find(grpc::string_ref(name.data(), name.size()));
  return found == metadata.end() ? std::string_view() : View(found->second);
}

}  // namespace

// Hears of each change of the channel's state until the connection is let go.
class HostConnection::StateWatch : public CallLoop::Event {
 public:
  explicit StateWatch(HostConnection& owner) : owner_(&owner) { Watch(); }
  void Abandon() { owner_ = nullptr; }

  void Proceed(bool) override {
    if (owner_ == nullptr) {
      delete this;
      return;
    }
    const bool lost = state_ == GRPC_CHANNEL_READY;
    HostConnection& owner = *owner_;
    if (lost) ++owner.losses_;
    Watch();
    if (lost) owner.on_lost_();  // last: it may let go of the connection
  }

 private:
  void Watch() {
    // The channel's end is a change as well; nothing else ends the waiting.
    state_ = owner_->channel_->GetState(/*try_to_connect=*/false);
    owner_->channel_->NotifyOnStateChange(state_, gpr_inf_future(GPR_CLOCK_MONOTONIC), &owner_->loop_.queue(),
                                          static_cast<CallLoop::Event*>(this));
  }

  HostConnection* owner_;
  grpc_connectivity_state state_ = GRPC_CHANNEL_IDLE;
};

HostConnection::HostConnection(CallLoop& loop, const std::string& address, std::function<void()> on_lost)
    : loop_(loop), on_lost_(std::move(on_lost)) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kAnswerBytesMax);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMsMax);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMsFirst);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMsMax);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  // A connection of its own, whoever else in this process talks to that address.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel_ = grpc::CreateCustomChannel("dns:///" + address, grpc::InsecureChannelCredentials(), arguments);
  stub_ = inference::GRPCInferenceService::NewStub(channel_);
  watch_ = new StateWatch(*this);
}

HostConnection::~HostConnection() {
  watch_->Abandon();
  for (AnyCall* call : calls_) call->Abandon();
}

void HostConnection::Prepare(grpc::ClientContext& context, std::chrono::milliseconds timeout) {
  context.set_deadline(After(timeout));
  context.AddMetadata(std::string(kLoadFormatHeader), "text");
  context.AddMetadata(std::string(headers::kTraffic), "synthetic");
}

std::string HostConnection::StatedInstance(const grpc::ClientContext& context) {
  return std::string(Find(context.GetServerInitialMetadata(), headers::kHostInstance).substr(0, kInstanceBytesMax));
}

std::optional<double> HostConnection::ReportedSaturation(const grpc::ClientContext& context) {
  std::string_view report = Find(context.GetServerTrailingMetadata(), kLoadHeader);
  if (report.empty()) report = Find(context.GetServerInitialMetadata(), kLoadHeader);
  return Saturation(report);
}

}  // namespace signalbox::fleet
