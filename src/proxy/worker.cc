#include "proxy/worker.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <random>

#include "base/hash.h"
#include "proxy/client_connection.h"
#include "proxy/host_connection.h"
#include "proxy/run_queue_delay.h"

namespace signalbox::proxy {
namespace {

constexpr int kEventsPerRound = 256;
// New connections in one round, so that a storm of them does not stop those that are there.
constexpr int kAcceptsPerRoundMax = 64;
constexpr std::chrono::milliseconds kCheckInterval{100};
// 64 MiB that stay after a burst.
constexpr size_t kFreeRequestsMax = 4096;

// serverlive and serverready: field 1, a bool. A gRPC message with its prefix.
constexpr std::string_view kYes("\0\0\0\0\2\x08\x01", 7);
constexpr std::string_view kNo("\0\0\0\0\0", 5);
// name "signalbox" alone.
constexpr std::string_view kMetadata("\0\0\0\0\x0b\x0a\x09signalbox", 16);

uint64_t RandomSeed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

}  // namespace

Worker::Worker(uint32_t index, int listener, telemetry::WorkerTelemetry& telemetry, RetiredRoutes& retired,
               ProcessLimits& limits, allocate::WorkerCells* cells, const ShadowLimits& shadow_limits,
               telemetry::ShadowRecords& shadow_records, ShadowComparer& shadow_comparer)
    : index_(index),
      listener_(listener),
      telemetry_(telemetry),
      retired_(retired),
      cells_(cells),
      admission_(limits),
      receive_buffer_(memory_),
      decision_seed_(RandomSeed()),
      shadows_(*this, shadow_limits, shadow_records, shadow_comparer) {
  free_requests_.reserve(kFreeRequestsMax);
  free_attempts_.reserve(kFreeRequestsMax);
}

Worker::~Worker() {
  Stop();
  if (listener_ >= 0) close(listener_);
  if (epoll_ >= 0) close(epoll_);
  if (wake_ >= 0) close(wake_);
}

absl::Status Worker::Start() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (epoll_ < 0 || wake_ < 0)
    return absl::UnavailableError(fmt::format("cannot wait for events: {}", std::strerror(errno)));
  for (int* source : {&listener_, &wake_}) {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = source}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, *source, &event);
  }
  if (cells_ != nullptr) {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = cells_}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, cells_->event(), &event);
  }
  round_began_ = ReadClock();
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void Worker::SetSnapshot(const std::shared_ptr<const RoutePlan>& plan) {
  // Workers that all began with the same host would send it all first requests.
  auto routes = std::make_unique<Routes>(plan, index_);
  {
    // The worker must not wake up to find the lock held by a thread that it has just pushed off the core.
    std::lock_guard lock(mutex_);
    new_routes_.swap(routes);
  }
  eventfd_write(wake_, 1);
}

void Worker::Drain() {
  std::lock_guard lock(mutex_);
  drain_asked_ = true;
  eventfd_write(wake_, 1);
}

void Worker::Stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_asked_ = true;
    eventfd_write(wake_, 1);
  }
  thread_.join();
}

std::chrono::milliseconds Worker::stalled_for() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(ReadClock() -
                                                               round_began_.load(std::memory_order_relaxed));
}

// --- The loop. In each round everything that came is read first and everything that it led to is sent last, so that
// requests that come together travel together.

void Worker::Run() {
  pthread_setname_np(pthread_self(), fmt::format("worker-{}", index_).c_str());
  std::array<epoll_event, kEventsPerRound> events;
  RunQueueDelay starved;
  bool stop = false;
  while (!stop) {
    const int count = epoll_wait(epoll_, events.data(), kEventsPerRound, WaitMilliseconds());
    now_ = ReadClock();
    round_began_.store(now_, std::memory_order_relaxed);
    for (int i = 0; i < count; ++i) {
      void* source = events[i].data.ptr;
      if (source == &listener_) {
        OnListener();
      } else if (source == &wake_) {
        OnWake();
        std::lock_guard lock(mutex_);
        stop = stop_asked_;
      } else if (source == cells_) {
        cells_->Deliver(now_);
      } else if (auto& connection = *static_cast<Connection*>(source); !connection.closed()) {
        connection.OnEvents(events[i].events);
      }
    }
    RunDeadlines();
    if (now_ >= next_check_) CheckConnections();
    FlushDirty();
    FreeTheDead();
    const Time done = ReadClock();
    if (admission_.overload.OnRound(done - now_, done)) admission_.overload.EndInterval(starved.Take(), done);
    system_allocations_.store(memory_.system_allocations(), std::memory_order_relaxed);
    memory_bytes_.store(memory_.bytes(), std::memory_order_relaxed);
  }
  shadows_.Stop();
  // What a host's connection served can look for another host, and connect to it, until all clients are gone.
  while (!connections_.empty()) connections_.first()->Close(absl::UnavailableError("the proxy stops"));
  // The last requests have let go of their routes, which count themselves out at their hosts: those go last.
  FreeTheDead();
  hosts_.clear();
}

int Worker::WaitMilliseconds() const {
  Time until = next_check_;
  if (!deadlines_.empty()) until = std::min(until, deadlines_.first().deadline.at);
  if (!attempt_deadlines_.empty()) until = std::min(until, attempt_deadlines_.first().deadline.at);
  if (!call_deadlines_.empty()) until = std::min(until, call_deadlines_.first().deadline.at);
  if (!shadows_.deadlines().empty()) until = std::min(until, shadows_.deadlines().first().deadline.at);
  if (!remote_deadlines_.empty()) until = std::min(until, remote_deadlines_.first().deadline.at);
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(until - ReadClock()).count();
  return static_cast<int>(std::clamp<int64_t>(wait, 0, kCheckInterval.count()));
}

void Worker::OnListener() {
  for (int accepted = 0; accepted < kAcceptsPerRoundMax; ++accepted) {
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) {
      // Without descriptors the listener would be reported for ever: look at it again with the next check.
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        epoll_ctl(epoll_, EPOLL_CTL_DEL, listener_, nullptr);
        listening_ = false;
      }
      return;
    }
    if (clients_open_ >= kClientConnectionsMax) {
      close(socket);
      continue;
    }
    PrepareSocket(socket);
    clients_open_.fetch_add(1, std::memory_order_relaxed);
    auto* client = new ClientConnection(*this, socket);  // owned by connections_ from Start on
    if (absl::Status status = client->Start(); !status.ok()) client->Close(status);
  }
}

void Worker::OnWake() {
  eventfd_t ignored = 0;
  eventfd_read(wake_, &ignored);
  std::unique_ptr<Routes> routes;
  bool drain = false;
  {
    std::lock_guard lock(mutex_);
    routes = std::move(new_routes_);
    drain = drain_asked_;
  }
  if (routes != nullptr) TakeRoutes(std::move(routes));
  if (drain && !draining_) StartDraining();
}

void Worker::RunDeadlines() {
  // The whole request's first: what would only be tried again for it need not be.
  RunDeadlines(deadlines_);
  RunDeadlines(attempt_deadlines_);
  RunDeadlines(call_deadlines_);
  RunDeadlines(remote_deadlines_);
  RunDeadlines(shadows_.deadlines());
}

template <typename T>
void Worker::RunDeadlines(DeadlineQueue<T>& queue) {
  while (!queue.empty() && queue.first().deadline.at <= now_) {
    T& element = queue.first();
    queue.Remove(element);
    element.OnDeadline();
  }
}

void Worker::FlushDirty() {
  // Sending gives windows back, which can make other connections dirty, but never the same one without end.
  while (Connection* connection = dirty_.PopFront()) connection->Flush();
}

void Worker::CheckConnections() {
  next_check_ = now_ + kCheckInterval;
  delay_ns_.store(admission_.overload.delay().count(), std::memory_order_relaxed);
  for (size_t i = 0; i < limit::kPriorityClasses; ++i) {
    const double share = admission_.overload.share(static_cast<limit::PriorityClass>(i));
    admitted_shares_[i].store(share, std::memory_order_relaxed);
  }
  unix_offset_ = std::chrono::system_clock::now().time_since_epoch() - ReadClock().time_since_epoch();
  for (Connection* connection = connections_.first(); connection != nullptr;) {
    Connection* next = decltype(connections_)::Next(*connection);
    connection->CheckLiveness(now_ms());
    connection = next;
  }
  if (!listening_ && listener_ >= 0) {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = &listener_}};
    listening_ = epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event) == 0;
  }
}

void Worker::FreeTheDead() {
  // Not while anything of this round may refer to them.
  if (routes_unused_) DropUnusedRoutes();
  for (Connection* connection : dead_) delete connection;
  dead_.clear();
}

// --- What connections and requests use.

int64_t Worker::UnixMicroseconds(Time time) const {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch() + unix_offset_).count();
}

uint64_t Worker::Random() {
  // SplitMix64 (Steele, Lea and Flood, 2014): every 64-bit value once before any repeats.
  uint64_t z = decision_seed_ += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

Request& Worker::NewRequest() {
  requests_open_.fetch_add(1, std::memory_order_relaxed);
  if (free_requests_.empty()) return *new Request(*this);
  Request* request = free_requests_.back().release();
  free_requests_.pop_back();
  return *request;
}

void Worker::Free(Request& request) {
  requests_open_.fetch_sub(1, std::memory_order_relaxed);
  std::unique_ptr<Request> owned(&request);
  if (free_requests_.size() < kFreeRequestsMax) free_requests_.push_back(std::move(owned));
}

Attempt& Worker::NewAttempt() {
  if (free_attempts_.empty()) return *new Attempt(*this);
  Attempt* attempt = free_attempts_.back().release();
  free_attempts_.pop_back();
  return *attempt;
}

void Worker::Free(Attempt& attempt) {
  std::unique_ptr<Attempt> owned(&attempt);
  if (free_attempts_.size() < kFreeRequestsMax) free_attempts_.push_back(std::move(owned));
}

Routes* Worker::UseRoutes() {
  if (current_routes_ != nullptr) ++current_routes_->users;
  return current_routes_;
}

void Worker::ReleaseRoutes(Routes& routes) { routes_unused_ |= --routes.users == 0; }

std::string_view Worker::ServerAnswer(BodyKind kind) const {
  switch (kind) {
    case BodyKind::kServerLive:
      return kYes;
    case BodyKind::kServerReady:
      return current_routes_ != nullptr && !draining_ ? kYes : kNo;
    default:
      return kMetadata;
  }
}

void Worker::Watch(Connection& connection, int socket, uint32_t events) {
  epoll_event event{.events = events, .data = {.ptr = &connection}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event);
}

void Worker::ChangeWatch(Connection& connection, int socket, uint32_t events) {
  epoll_event event{.events = events, .data = {.ptr = &connection}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, socket, &event);
}

void Worker::Adopt(Connection& connection) { connections_.PushBack(connection); }

void Worker::Bury(Connection& connection) {
  dirty_.Remove(connection);
  connections_.Remove(connection);
  dead_.push_back(&connection);
}

void Worker::OnClientClosed() { clients_open_.fetch_sub(1, std::memory_order_relaxed); }

// --- Snapshots.

// While it runs requests wait. It looks at hosts alone: models and answers are hundreds of times as many.
void Worker::TakeRoutes(std::unique_ptr<Routes> routes) {
  const RoutePlan& plan = *routes->plan;
  for (size_t place = 0; place < plan.hosts.size(); ++place) {
    Host& host = HostFor(plan.hosts[place], plan.states[place]);
    ++host.routes;
    routes->hosts.push_back(&host);
    shadows_.SetAddress(plan.hosts[place]);
  }
  if (current_routes_ != nullptr) ReleaseRoutes(*current_routes_);
  current_routes_ = routes_.emplace_back(std::move(routes)).get();
  current_routes_->users = 1;
  snapshots_taken_.fetch_add(1, std::memory_order_release);
}

Host& Worker::HostFor(const HostAddress& address, const std::shared_ptr<balance::HostState>& state) {
  std::unique_ptr<Host>& host = hosts_[address.text];
  if (host == nullptr) {
    host = std::make_unique<Host>(*this, address, state);
  } else {
    host->SetAddress(address);
  }
  return *host;
}

void Worker::DropUnusedRoutes() {
  routes_unused_ = false;
  for (std::unique_ptr<Routes>& routes : routes_) {
    if (routes->users > 0) continue;
    for (Host* host : routes->hosts) --host->routes;
    retired_.Add(std::move(routes));
  }
  std::erase(routes_, nullptr);
  absl::erase_if(hosts_, [](const auto& entry) { return entry.second->routes == 0; });
  shadows_.DropHosts([this](const std::string& name) { return hosts_.contains(name); });
}

void Worker::StartDraining() {
  draining_ = true;
  close(std::exchange(listener_, -1));
  listening_ = false;
  for (Connection* connection = connections_.first(); connection != nullptr;
       connection = decltype(connections_)::Next(*connection)) {
    connection->StartDraining();
  }
}

}  // namespace signalbox::proxy
