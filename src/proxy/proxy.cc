#include "proxy/proxy.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

#include "balance/balancer.h"
#include "base/status.h"
#include "proxy/host_address.h"
#include "proxy/limit_families.h"
#include "proxy/process_limits.h"
#include "proxy/retired_routes.h"
#include "proxy/routes.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

constexpr uint32_t kWorkersMax = 256;
// How often Drain and SetSnapshot look whether the workers are done.
constexpr std::chrono::milliseconds kPollInterval{1};

uint32_t CoresOfThisProcess() {
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return std::max(1U, std::thread::hardware_concurrency());
  return static_cast<uint32_t>(CPU_COUNT(&cores));
}

// Each worker has a listener of its own on the same port; the kernel spreads connections over them.
absl::StatusOr<int> Listen(const HostAddress& address) {
  const int socket = ::socket(address.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  const bool ok = socket >= 0 && setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
                  setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0 &&
                  bind(socket, reinterpret_cast<const sockaddr*>(&address.address), address.length) == 0 &&
                  listen(socket, SOMAXCONN) == 0;
  if (ok) return socket;
  absl::Status status =
      absl::UnavailableError(fmt::format("cannot listen on {}: {}", address.text, std::strerror(errno)));
  if (socket >= 0) close(socket);
  return status;
}

void SetPort(HostAddress& address, int port) {
  const auto network_order = htons(static_cast<uint16_t>(port));
  if (address.address.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(&address.address)->sin6_port = network_order;
  } else {
    reinterpret_cast<sockaddr_in*>(&address.address)->sin_port = network_order;
  }
}

// With SO_REUSEPORT a second process of the same user could take half of our connections without either noticing:
// refuse to start beside one.
absl::Status CheckNobodyListens(const HostAddress& address) {
  const int socket = ::socket(address.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  absl::Status status;
  if (bind(socket, reinterpret_cast<const sockaddr*>(&address.address), address.length) != 0) {
    status = absl::UnavailableError(fmt::format("cannot listen on {}: {}", address.text, std::strerror(errno)));
  }
  close(socket);
  return status;
}

class ProxyImpl : public Proxy {
 public:
  explicit ProxyImpl(balance::Settings settings) : balancer_(std::move(settings)) {}

  ~ProxyImpl() override {
    for (auto& worker : workers_) worker->Stop();
    {
      std::lock_guard lock(keeper_mutex_);
      stopped_ = true;
    }
    keeper_stop_.notify_all();
    if (keeper_.joinable()) keeper_.join();
  }

  absl::Status Init(const Options& options, telemetry::Telemetry& telemetry) {
    const uint32_t count = options.workers == 0 ? CoresOfThisProcess() : options.workers;
    if (count > kWorkersMax) {
      return absl::InvalidArgumentError(fmt::format("{} workers: expected 1 to {}", count, kWorkersMax));
    }
    ASSIGN_OR_RETURN(HostAddress address, ParseListenAddress(options.listen));
    RETURN_IF_ERROR(CheckNobodyListens(address));
    allocator_ = options.allocator;
    telemetry::ShadowRecords* records = options.shadow_records;
    if (records == nullptr) {
      ASSIGN_OR_RETURN(unread_records_, telemetry::ShadowRecords::Create({}));
      records = unread_records_.get();
    }
    comparer_ = std::make_unique<ShadowComparer>(*records);
    for (uint32_t index = 0; index < count; ++index) {
      ASSIGN_OR_RETURN(const int listener, Listen(address));
      port_ = PortOf(listener);
      SetPort(address, port_);
      workers_.push_back(std::make_unique<Worker>(index, listener, telemetry.AddWorker(), retired_, limits_,
                                                  allocator_ == nullptr ? nullptr : &allocator_->AddWorker(),
                                                  options.shadow_limits, *records, *comparer_));
      workers_.back()->Use(balancer_.settings(), options.asks_for_load);
      RETURN_IF_ERROR(workers_.back()->Start());
    }
    keeper_ = std::thread([this] { KeepBalance(); });
    return absl::OkStatus();
  }

  int port() const override { return port_; }

  std::vector<std::string> SetSnapshot(std::shared_ptr<const decide::Snapshot> snapshot) override {
    std::lock_guard lock(mutex_);
    std::vector<std::string> failures = UnknownPlatforms(*snapshot);
    Put(std::make_shared<const RoutePlan>(std::move(snapshot), plan_.get(), balancer_));
    for (const HostAddress& host : plan_->hosts) {
      if (!host.status.ok()) failures.emplace_back(Message(host.status));
    }
    // It is in effect, with the addresses that were known; now those who look names up may take their time.
    if (auto renewed = plan_->Renewed(); renewed != nullptr) Put(std::move(renewed));
    return failures;
  }

  void SetProxies(uint32_t live) override { limits_.table.SetProxies(live); }

  std::vector<prometheus::MetricFamily> Collect() const override { return CollectLimits(limits_, workers_); }

  bool Drain(std::chrono::milliseconds timeout) override {
    const auto end = std::chrono::steady_clock::now() + timeout;
    for (auto& worker : workers_) worker->Drain();
    while (requests_open() > 0 || client_connections() > 0) {
      if (std::chrono::steady_clock::now() >= end) return requests_open() == 0;
      std::this_thread::sleep_for(kPollInterval);
    }
    return true;
  }

  std::chrono::milliseconds stalled_for() const override {
    std::chrono::milliseconds longest{0};
    for (const auto& worker : workers_) longest = std::max(longest, worker->stalled_for());
    return longest;
  }

  int64_t oldest_version_in_use() const override {
    std::lock_guard lock(plans_mutex_);
    while (!plans_in_use_.empty() && plans_in_use_.front().plan.expired()) plans_in_use_.pop_front();
    return plans_in_use_.empty() ? 0 : plans_in_use_.front().version;
  }

  const prometheus::Collectable& host_metrics() const override { return balancer_; }

  uint64_t requests_open() const override { return Sum(&Worker::requests_open); }
  uint64_t client_connections() const override { return Sum(&Worker::client_connections); }
  uint64_t system_allocations() const override { return Sum(&Worker::system_allocations); }
  uint64_t memory_bytes() const override { return Sum(&Worker::memory_bytes); }

 private:
  // Returns when all workers use it, so that "in effect" means in effect. Plans that overtake each other are not told
  // apart, and need not be: the mutex is held.
  void Put(std::shared_ptr<const RoutePlan> plan) {
    {
      std::lock_guard lock(plans_mutex_);
      while (!plans_in_use_.empty() && plans_in_use_.front().plan.expired()) plans_in_use_.pop_front();
      plans_in_use_.push_back({plan->snapshot->version(), plan});
    }
    plan_ = std::move(plan);
    balancer_.Keep(plan_->groups, std::chrono::steady_clock::now());
    ++plans_;
    for (auto& worker : workers_) worker->SetSnapshot(plan_);
    for (auto& worker : workers_) {
      while (worker->snapshots_taken() < plans_) std::this_thread::sleep_for(kPollInterval);
    }
  }

  // Hosts are ejected, return and become warm on a thread of its own: no request waits for it.
  void KeepBalance() {
    pthread_setname_np(pthread_self(), "balancer");
    std::unique_lock lock(keeper_mutex_);
    while (!keeper_stop_.wait_for(lock, balance::kTickInterval, [this] { return stopped_; })) {
      balancer_.Tick(std::chrono::steady_clock::now());
    }
  }

  uint64_t Sum(uint64_t (Worker::*count)() const) const {
    uint64_t sum = 0;
    for (const auto& worker : workers_) sum += (worker.get()->*count)();
    return sum;
  }

  // One message for each experiment whose platform nobody has declared to this process.
  std::vector<std::string> UnknownPlatforms(const decide::Snapshot& snapshot) const {
    std::vector<std::string> messages;
    for (const auto& published : snapshot.proto().rule_sets()) {
      for (const v1::Experiment& experiment : published.rule_set().experiments()) {
        const std::string& platform = experiment.remote().platform();
        if (!experiment.has_remote() || (allocator_ != nullptr && allocator_->Knows(platform))) continue;
        messages.push_back(
            fmt::format("experiment {} of namespace {} asks the platform \"{}\", which this proxy does not know: its "
                        "fallback counts; "
                        "start the proxy with --platform {}=...",
                        experiment.id(), published.rule_set().namespace_(), platform, platform));
      }
    }
    return messages;
  }

  int port_ = 0;
  allocate::Allocator* allocator_ = nullptr;
  std::mutex mutex_;
  std::shared_ptr<const RoutePlan> plan_;
  uint64_t plans_ = 0;
  struct PlanInUse {
    int64_t version = 0;
    std::weak_ptr<const RoutePlan> plan;
  };
  mutable std::mutex plans_mutex_;
  mutable std::deque<PlanInUse> plans_in_use_;  // guarded by plans_mutex_; oldest first, those at its front may be gone
  RetiredRoutes retired_;
  balance::Balancer balancer_;
  std::mutex keeper_mutex_;
  std::condition_variable keeper_stop_;
  bool stopped_ = false;  // guarded by keeper_mutex_
  ProcessLimits limits_;  // outlives what its workers' requests hold
  std::unique_ptr<telemetry::ShadowRecords> unread_records_;
  std::unique_ptr<ShadowComparer> comparer_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::thread keeper_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Proxy>> Proxy::Start(const Options& options, telemetry::Telemetry& telemetry) {
  auto proxy = std::make_unique<ProxyImpl>(options.balance);
  RETURN_IF_ERROR(proxy->Init(options, telemetry));
  return proxy;
}

}  // namespace signalbox::proxy
