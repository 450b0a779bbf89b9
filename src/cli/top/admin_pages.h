// The /metrics of several proxies, asked at the same time from one thread.
#pragma once

#include <curl/curl.h>
#include <curl/multi.h>

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/top/traffic_view.h"

namespace signalbox::cli {

// Not thread-safe.
class AdminPages {
 public:
  using Clock = std::chrono::steady_clock;

  // What a proxy said last, as rates; or why it did not.
  struct Proxy {
    std::string address;
    absl::Status status = absl::UnavailableError("not asked yet");
    TrafficValues rates;
    Clock::time_point good_at;  // its last good answer, or the start
  };

  // "HOST:PORT" each.
  explicit AdminPages(const std::vector<std::string>& addresses);
  ~AdminPages();
  AdminPages(const AdminPages&) = delete;
  AdminPages& operator=(const AdminPages&) = delete;

  // Asks all of them. Not while a round is under way. Each whole exchange ends after `timeout`, however slowly it goes.
  void Start(std::chrono::milliseconds timeout);
  // Does what can be done now. True when the round is over.
  bool Work();
  // Returns when there is something to do, `timeout` is over, or one of `others` can be read.
  void Wait(std::chrono::milliseconds timeout, std::span<const int> others);

  const std::vector<Proxy>& proxies() const { return proxies_; }

 private:
  struct Exchange;

  static size_t OnBody(char* data, size_t size, size_t count, void* exchange);
  void Finish(Exchange& exchange, CURLcode code);

  CURLM* multi_;
  std::vector<Proxy> proxies_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;  // of proxies_, in their order
  size_t under_way_ = 0;
};

}  // namespace signalbox::cli
