#include "fleet/registration.h"

#include <fmt/format.h>
#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "base/printable.h"
#include "base/status.h"
#include "fleet/address.h"
#include "fleet/call_loop.h"
#include "signalbox/v1/registration.grpc.pb.h"

namespace signalbox::fleet {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using Stub = v1::HostRegistration::Stub;

constexpr size_t kReasonBytesMax = 1'000;
// Of what a control plane may ask for: no busy loop, and no lease that nobody looks at.
constexpr milliseconds kRenewMin{100};
constexpr milliseconds kRenewMax{60'000};

// Another control plane would say the same.
bool IsRefusal(grpc::StatusCode code) {
  return code == grpc::StatusCode::ALREADY_EXISTS || code == grpc::StatusCode::INVALID_ARGUMENT ||
         code == grpc::StatusCode::FAILED_PRECONDITION;
}

std::string Reason(const std::string& control, const grpc::Status& status) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) return control + ": no answer";
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    return control + ": it is no control plane that hosts can join";
  }
  return fmt::format("{}: {}", control, EscapeControlCharacters(status.error_message().substr(0, kReasonBytesMax)));
}

class GrpcRegistration : public Registration {
 public:
  GrpcRegistration(RegistrationOptions options, std::vector<std::string> controls, OnChange on_change)
      : options_(std::move(options)),
        controls_(std::move(controls)),
        on_change_(std::move(on_change)),
        random_(std::random_device{}()) {
    for (const std::string& control : controls_) stubs_.push_back(Connect(control));
    thread_ = std::thread([this] { Run(); });
  }

  ~GrpcRegistration() override { Stop(/*cancel=*/true); }

  RegistrationStatus status() const override {
    std::lock_guard lock(mutex_);
    return status_;
  }

  absl::Status Leave(milliseconds timeout) override {
    // A renewal that is cancelled may be carried out all the same, and after the good-bye.
    Stop(/*cancel=*/false);
    if (!asked_) return absl::OkStatus();
    const Clock::time_point deadline = Clock::now() + timeout;
    std::string reason;
    for (size_t i = 0; i < controls_.size(); ++i) {
      const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
      if (left <= milliseconds(0)) break;
      const size_t at = (current_ + i) % controls_.size();
      grpc::ClientContext context;
      // One that hangs leaves the others their part of the time.
      context.set_deadline(After(left / (controls_.size() - i)));
      v1::HostLease lease;
      const grpc::Status status = stubs_[at]->Leave(&context, *asked_, &lease);
      if (status.ok()) return absl::OkStatus();
      reason = Reason(controls_[at], status);
    }
    return absl::UnavailableError(
        fmt::format("no control plane has heard that host {} leaves: {}", asked_->id(), reason));
  }

 private:
  static std::unique_ptr<Stub> Connect(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2'000);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
    return v1::HostRegistration::NewStub(
        grpc::CreateCustomChannel("dns:///" + address, grpc::InsecureChannelCredentials(), arguments));
  }

  void Run() {
    milliseconds retry = options_.retry_first;
    while (!stopping()) {
      const std::optional<milliseconds> renew_within = Renew();
      if (renew_within) {
        retry = options_.retry_first;
        // At about half of the time: one that is lost can be repeated, and hosts that began together drift apart.
        Pause(Part(*renew_within, 0.4, 0.6));
      } else {
        Pause(Part(retry, 0.5, 1.0));
        retry = std::min(2 * retry, options_.retry_max);
      }
    }
  }

  // How long the lease is good for; nullopt: there is none.
  std::optional<milliseconds> Renew() {
    const absl::StatusOr<v1::HostIdentity> host = options_.identity();
    if (!host.ok()) {
      Note(false, std::string(Message(host.status())));
      return std::nullopt;
    }
    std::string trouble;
    for (size_t i = 0; i < controls_.size() && !stopping(); ++i) {
      const size_t at = (current_ + i) % controls_.size();
      v1::HostLease lease;
      asked_ = *host;
      const grpc::Status status = Register(at, *host, lease);
      if (status.ok()) {
        current_ = at;
        Note(true, "");
        return std::clamp(milliseconds(lease.renew_within_ms()), kRenewMin, kRenewMax);
      }
      if (stopping()) break;
      trouble += fmt::format("{}{}", trouble.empty() ? "" : "; ", Reason(controls_[at], status));
      if (IsRefusal(status.error_code())) break;
    }
    if (!stopping()) Note(false, std::move(trouble));
    return std::nullopt;
  }

  grpc::Status Register(size_t at, const v1::HostIdentity& host, v1::HostLease& lease) {
    grpc::ClientContext context;
    context.set_deadline(After(options_.call_timeout));
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return grpc::Status::CANCELLED;
      call_ = &context;
      status_.control = controls_[at];
    }
    grpc::Status status = stubs_[at]->Register(&context, host, &lease);
    std::lock_guard lock(mutex_);
    call_ = nullptr;
    return status;
  }

  void Note(bool registered, std::string trouble) {
    RegistrationStatus now;
    {
      std::lock_guard lock(mutex_);
      if (registered) ++status_.renewals;
      const bool is_other = registered && std::exchange(taken_by_, status_.control) != status_.control;
      const bool changed = is_other || status_.registered != registered || status_.trouble != trouble;
      status_.registered = registered;
      status_.trouble = std::move(trouble);
      if (!changed) return;
      now = status_;
    }
    on_change_(now);
  }

  void Stop(bool cancel) {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      if (cancel && call_ != nullptr) call_->TryCancel();
      changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
  }

  bool stopping() const {
    std::lock_guard lock(mutex_);
    return stopping_;
  }

  milliseconds Part(milliseconds whole, double from, double to) {
    const double part = std::uniform_real_distribution<double>(from, to)(random_);
    return milliseconds(static_cast<int64_t>(static_cast<double>(whole.count()) * part));
  }

  void Pause(milliseconds pause) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, pause, [this] { return stopping_; });
  }

  const RegistrationOptions options_;
  const std::vector<std::string> controls_;
  const OnChange on_change_;
  std::mt19937_64 random_;  // of the thread, as the next three until it has ended
  std::vector<std::unique_ptr<Stub>> stubs_;
  size_t current_ = 0;
  std::optional<v1::HostIdentity> asked_;  // for a lease, the last time; who has not heard the answer may have one

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // guarded by mutex_, as are the next two
  RegistrationStatus status_;
  std::string taken_by_;                 // the control plane of the last renewal that succeeded; of the thread
  grpc::ClientContext* call_ = nullptr;  // under way, for Stop()
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Registration>> Registration::Start(RegistrationOptions options, OnChange on_change) {
  ASSIGN_OR_RETURN(std::vector<std::string> controls, ReadAddresses("control plane", options.control));
  // Kept until the process ends: when the last user of gRPC goes, its threads are waited for, up to 10 s.
  [[maybe_unused]] static const bool kKeepGrpc = (grpc_init(), true);
  return std::make_unique<GrpcRegistration>(std::move(options), std::move(controls), std::move(on_change));
}

std::string RandomInstance() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

}  // namespace signalbox::fleet
