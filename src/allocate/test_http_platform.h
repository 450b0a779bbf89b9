// A platform over HTTP that does as a test likes, and an allocator that asks it. For tests only.
#pragma once

#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "allocate/allocator.h"
#include "allocate/test_platform.h"
#include "allocate/test_worker.h"

namespace signalbox::allocate {

inline constexpr const char* kCellTwo = R"({"key":"f","value":"x","variant":"2","reason":"SPLIT"})";

inline Question For(std::string_view unit, std::string_view platform = "p") {
  return {.platform = platform,
          .flag = "f",
          .unit = unit,
          .context = {},
          .attributes = {},
          .ttl = std::chrono::seconds(300),
          .deadline = std::chrono::seconds(5)};
}

// A platform over HTTP whose answers a test decides.
class HttpPlatform {
 public:
  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

  // `asker` is ended first: what it keeps open would hold the server up.
  HttpPlatform(std::unique_ptr<Allocator>& asker, Handler handler, size_t threads = 8) : asker_(asker) {
    server_.new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
    server_.set_tcp_nodelay(true);
    server_.set_keep_alive_timeout(1);
    server_.Post(".*",
                 [this, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
                   ++asked_;
                   handler(request, response);
                 });
    int listener = -1;
    server_.set_socket_options([&](int socket) { listener = socket; });
    port_ = server_.bind_to_any_port("127.0.0.1");
    // The library's 5 would let only some of many connections that come together in.
    constexpr int kBacklog = 1024;
    listen(listener, kBacklog);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // Before that it could not be stopped.
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~HttpPlatform() {
    gate_.Open();
    asker_.reset();
    Die();
  }
  void Die() {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }

  int port() const { return port_; }
  int asked() const { return asked_; }
  Gate& gate() { return gate_; }

 private:
  std::unique_ptr<Allocator>& asker_;
  Gate gate_;
  httplib::Server server_;
  int port_ = 0;
  std::atomic<int> asked_{0};
  std::thread thread_;
};

inline HttpPlatform::Handler Saying(const std::string& body) {
  return
      [body](const httplib::Request&, httplib::Response& response) { response.set_content(body, "application/json"); };
}

class AllocatorTest : public ::testing::Test {
 protected:
  void Start(int port, std::vector<std::string> attributes = {}, std::string token = "") {
    PlatformOptions options;
    options.name = "p";
    options.address = "http://127.0.0.1:" + std::to_string(port);
    options.attributes = std::move(attributes);
    options.token = std::move(token);
    allocator_ = Allocator::Start({options}, [this](std::string_view line) {
      std::lock_guard lock(log_mutex_);
      log_.emplace_back(line);
    });
  }
  double Questions(Outcome outcome) {
    return MetricOf(*allocator_, "signalbox_allocation_questions_total", {"p", std::string(Name(outcome))});
  }
  double Exchanges(Result result) {
    return MetricOf(*allocator_, "signalbox_allocation_exchanges_total", {"p", std::string(Name(result))});
  }
  std::vector<std::string> log() {
    std::lock_guard lock(log_mutex_);
    return log_;
  }

  std::mutex log_mutex_;
  std::vector<std::string> log_;
  std::unique_ptr<Allocator> allocator_;
};

}  // namespace signalbox::allocate
