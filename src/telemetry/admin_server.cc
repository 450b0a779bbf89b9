#include "telemetry/admin_server.h"

#include <httplib.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/status.h"
#include "base/unix_time.h"
#include "prometheus/text_serializer.h"
#include "telemetry/log_record.h"

namespace signalbox::telemetry {
namespace {

// Scrapes are few. One thread more than a single stuck client needs would do; four let two scrapers, a probe and a
// person in at once.
constexpr size_t kThreads = 4;
// Connections that wait for a thread. When that many do, no more are accepted, and the rest wait in the kernel.
constexpr size_t kWaitingMax = 16;
constexpr std::chrono::seconds kReadTimeout{5};
constexpr std::chrono::seconds kWriteTimeout{5};
// An idle connection keeps a thread, and keeps the process from ending.
constexpr time_t kKeepAliveSeconds = 1;
// No page reads a body.
constexpr size_t kPayloadBytesMax = 4 << 10;
constexpr std::chrono::seconds kStartWaitMax{5};

constexpr char kTextType[] = "text/plain; charset=utf-8";
constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";
constexpr char kJsonType[] = "application/json";

// The library's own pool queues without end.
class BoundedPool : public httplib::TaskQueue {
 public:
  BoundedPool() {
    for (size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { Run(); });
  }

  void enqueue(std::function<void()> task) override {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return tasks_.size() < kWaitingMax; });
    tasks_.push_back(std::move(task));
    work_.notify_one();
  }

  void shutdown() override {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    while (true) {
      work_.wait(lock, [&] { return stop_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      room_.notify_one();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable room_;
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

struct HostAndPort {
  std::string host;
  int port = 0;
};

std::optional<HostAndPort> ParseAddress(std::string_view address) {
  size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = address.substr(0, colon);
  std::string_view port_text = address.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;
  }
  uint16_t port = 0;
  auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (host.empty() || port_text.empty() || error != std::errc() || end != port_text.data() + port_text.size())
    return std::nullopt;
  return HostAndPort{std::string(host), port};
}

std::string Json(const SnapshotStatus& snapshot, int64_t now_unix_ms) {
  std::string json = "{\"hash\":";
  AppendJsonString(snapshot.hash, json);
  json += fmt::format(",\"version\":{}", snapshot.version);
  if (snapshot.hash.empty()) {
    json += ",\"created\":null,\"age_seconds\":null";
  } else {
    json += ",\"created\":\"";
    AppendTime(snapshot.created_unix_ms * 1000, json);
    json +=
        fmt::format("\",\"age_seconds\":{:.3f}", static_cast<double>(now_unix_ms - snapshot.created_unix_ms) / 1000);
  }
  json += ",\"source\":";
  AppendJsonString(snapshot.source, json);
  json += ",\"node_id\":";
  AppendJsonString(snapshot.node_id, json);
  json += ",\"last_refusal\":";
  AppendJsonString(snapshot.last_refusal, json);
  json += "}\n";
  return json;
}

class AdminServerImpl : public AdminServer {
 public:
  AdminServerImpl(std::vector<const prometheus::Collectable*> collectables, AdminPages pages)
      : collectables_(std::move(collectables)), pages_(std::move(pages)) {
    SetLimits();
    AddPages();
  }

  ~AdminServerImpl() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Listen(const std::string& address) {
    std::optional<HostAndPort> parsed = ParseAddress(address);
    if (!parsed.has_value()) {
      return absl::InvalidArgumentError(
          fmt::format("admin address '{}': expected HOST:PORT or [IPv6]:PORT with a port from 0 to 65535", address));
    }
    errno = 0;
    port_ = parsed->port;
    if (port_ == 0) {
      port_ = server_.bind_to_any_port(parsed->host);
    } else if (!server_.bind_to_port(parsed->host, port_)) {
      port_ = -1;
    }
    if (port_ <= 0) {
      return absl::UnavailableError(fmt::format("admin address '{}': cannot listen: {}", address,
                                                errno == 0 ? "no such address here" : std::strerror(errno)));
    }
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // stop() does nothing before the loop has begun, so it must have begun before this object can be destroyed. The
    // library has no call to wait for that.
    auto deadline = std::chrono::steady_clock::now() + kStartWaitMax;
    while (!server_.is_running() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return absl::OkStatus();
  }

  int port() const override { return port_; }

 private:
  void SetLimits() {
    server_.new_task_queue = [] { return new BoundedPool; };
    server_.set_read_timeout(kReadTimeout);
    server_.set_write_timeout(kWriteTimeout);
    server_.set_keep_alive_timeout(kKeepAliveSeconds);
    server_.set_payload_max_length(kPayloadBytesMax);
    // The library's default adds SO_REUSEPORT, with which two processes share a port and each sees half of the scrapes.
    server_.set_socket_options([](socket_t socket) {
      int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
  }

  void AddPages() {
    std::string names = "/metrics";
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(MetricsText(), kMetricsType);
    });
    AddStatusPage("/healthz", pages_.healthz, names);
    AddStatusPage("/readyz", pages_.readyz, names);
    if (pages_.snapshot) {
      names += " /snapshot";
      server_.Get("/snapshot", [this](const httplib::Request&, httplib::Response& response) {
        SnapshotStatus snapshot = pages_.snapshot();
        response.status = snapshot.hash.empty() ? 503 : 200;
        response.set_content(Json(snapshot, NowUnixMs()), kJsonType);
      });
    }
    if (pages_.shadows) {
      names += " /shadows";
      server_.Get("/shadows", [this](const httplib::Request&, httplib::Response& response) {
        response.set_content(pages_.shadows(), kJsonType);
      });
    }
    server_.set_error_handler([names](const httplib::Request&, httplib::Response& response) {
      if (response.status == 404) response.set_content(fmt::format("no such page; GET one of {}\n", names), kTextType);
    });
  }

  void AddStatusPage(const char* path, const std::function<absl::Status()>& status, std::string& names) {
    if (!status) return;
    names += fmt::format(" {}", path);
    server_.Get(path, [&status](const httplib::Request&, httplib::Response& response) {
      absl::Status result = status();
      response.status = result.ok() ? 200 : 503;
      response.set_content(result.ok() ? "ok\n" : fmt::format("{}\n", Message(result)), kTextType);
    });
  }

  std::string MetricsText() const {
    std::vector<prometheus::MetricFamily> families;
    for (const prometheus::Collectable* collectable : collectables_) {
      for (prometheus::MetricFamily& family : collectable->Collect()) families.push_back(std::move(family));
    }
    return prometheus::TextSerializer().Serialize(families);
  }

  const std::vector<const prometheus::Collectable*> collectables_;
  const AdminPages pages_;
  httplib::Server server_;
  int port_ = -1;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(
    const std::string& address, std::vector<const prometheus::Collectable*> collectables, AdminPages pages) {
  auto server = std::make_unique<AdminServerImpl>(std::move(collectables), std::move(pages));
  RETURN_IF_ERROR(server->Listen(address));
  return server;
}

}  // namespace signalbox::telemetry
