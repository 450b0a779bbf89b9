#include "host/host.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include "base/status.h"
#include "host/inference_service.h"
#include "host/repository.h"

namespace signalbox::host {
namespace {

// kRowsMax rows of long titles fit; a body that is larger is not a ranking request.
constexpr int kRequestBytesMax = 16 << 20;
// Per connection. A proxy sends a host's whole load over one connection a worker; each stream may hold a request of the
// size above.
constexpr int kStreamsPerConnectionMax = 1000;
// Proxies and load balancers probe idle connections; gRPC's default of five minutes would close those that do it more
// often.
constexpr int kPingIntervalMinMs = 5'000;

// How often WaitUntilQuiet looks.
constexpr std::chrono::milliseconds kQuietCheckInterval{10};

std::string RandomInstance() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

std::pair<std::string, std::string> SplitModelId(const std::string& id) {
  const size_t at = id.rfind('@');
  if (at == std::string::npos) return {id, ""};
  return {id.substr(0, at), id.substr(at + 1)};
}

absl::Status CheckLoad(const std::vector<std::string>& load) {
  if (load.empty()) return absl::InvalidArgumentError("--load: expected all, none, or models as name or name@version");
  for (const std::string& id : load) {
    if ((id == "all" || id == "none") && load.size() > 1) {
      return absl::InvalidArgumentError(
          fmt::format("--load: \"{}\" stands alone, it was given with {} others", id, load.size() - 1));
    }
    if (id.empty() || id.front() == '@' || id.back() == '@') {
      return absl::InvalidArgumentError(fmt::format("--load: \"{}\", expected name or name@version", id));
    }
  }
  return absl::OkStatus();
}

class GrpcHost : public Host {
 public:
  GrpcHost(std::unique_ptr<Repository> repository, HostOptions options)
      : options_(std::move(options)),
        repository_(std::move(repository)),
        instance_(options_.instance.empty() ? RandomInstance() : options_.instance),
        service_(*repository_, loader_, instance_) {}

  ~GrpcHost() override { Stop(std::chrono::milliseconds(0)); }

  absl::Status Listen() {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    builder.AddListeningPort(options_.listen, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    builder.SetMaxReceiveMessageSize(kRequestBytesMax);
    // Two hosts on one port would each get a part of the requests, and one of them the wrong ones.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kPingIntervalMinMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) {
      return absl::UnavailableError(fmt::format(
          "cannot listen on {}: expected HOST:PORT with an address of this machine and a port that nobody has",
          options_.listen));
    }
    address_ = fmt::format("{}:{}", options_.listen.substr(0, options_.listen.rfind(':')), port_);
    server_->GetHealthCheckService()->SetServingStatus(false);
    return absl::OkStatus();
  }

  // On the loader's thread, so that the host already answers that it is alive and loading.
  void BeginLoading() {
    loader_.Add([this] {
      LoadResult result{.ready = false, .failures = LoadModels()};
      result.ready = !stopping_ && (LoadsNone() || HasLoadedModel());
      service_.SetReady(result.ready);
      server_->GetHealthCheckService()->SetServingStatus(result.ready);
      std::lock_guard lock(mutex_);
      load_result_ = std::move(result);
      loaded_changed_.notify_all();
    });
  }

  const std::string& address() const override { return address_; }
  int port() const override { return port_; }
  const std::string& instance() const override { return instance_; }

  std::optional<LoadResult> WaitUntilLoaded(std::chrono::milliseconds timeout) override {
    std::unique_lock lock(mutex_);
    loaded_changed_.wait_for(lock, timeout, [this] { return load_result_.has_value(); });
    return load_result_;
  }

  bool WaitUntilQuiet(std::chrono::milliseconds quiet, std::chrono::milliseconds timeout) const override {
    const auto begin = std::chrono::steady_clock::now();
    while (true) {
      const auto now = std::chrono::steady_clock::now();
      if (now - std::max(begin, service_.last_busy()) >= quiet) return true;
      if (now - begin >= timeout) return false;
      std::this_thread::sleep_for(kQuietCheckInterval);
    }
  }

  void Stop(std::chrono::milliseconds grace) override {
    if (server_ == nullptr) return;
    // Before the server: a load that runs still needs it to say that it is ready, and a call waiting for a load waits
    // for the loader.
    stopping_ = true;
    repository_->StopLoading();
    loader_.Stop();
    service_.Stop();
    server_->GetHealthCheckService()->SetServingStatus(false);
    server_->Shutdown(std::chrono::system_clock::now() + grace);
    server_->Wait();
    server_.reset();
  }

 private:
  bool LoadsNone() const { return options_.load.front() == "none"; }

  bool HasLoadedModel() const {
    const std::vector<ModelIndexEntry> index = repository_->Index();
    return std::any_of(index.begin(), index.end(), [](const auto& entry) { return entry.state == ModelState::kReady; });
  }

  std::vector<std::string> LoadModels() {
    std::vector<std::string> failures;
    if (LoadsNone()) return failures;
    auto note = [&](const absl::Status& status) {
      if (!status.ok()) failures.emplace_back(Message(status));
    };
    if (options_.load.front() == "all") {
      note(repository_->LoadAll());
      return failures;
    }
    for (const std::string& id : options_.load) {
      auto [name, version] = SplitModelId(id);
      note(repository_->Load(name, version));
    }
    return failures;
  }

  const HostOptions options_;
  std::unique_ptr<Repository> repository_;
  Loader loader_;
  const std::string instance_;
  InferenceService service_;
  std::unique_ptr<grpc::Server> server_;
  std::atomic<bool> stopping_ = false;
  std::string address_;
  int port_ = 0;

  std::mutex mutex_;
  std::condition_variable loaded_changed_;
  std::optional<LoadResult> load_result_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Host>> Host::Start(HostOptions options) {
  RETURN_IF_ERROR(CheckLoad(options.load));
  ASSIGN_OR_RETURN(std::unique_ptr<Repository> repository, Repository::Open(options.repository, options.memory_bytes));
  auto host = std::make_unique<GrpcHost>(std::move(repository), std::move(options));
  RETURN_IF_ERROR(host->Listen());
  host->BeginLoading();
  return host;
}

}  // namespace signalbox::host
