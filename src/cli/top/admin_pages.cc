#include "cli/top/admin_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/duration_text.h"
#include "base/status.h"

namespace signalbox::cli {

struct AdminPages::Exchange {
  ~Exchange() { curl_easy_cleanup(easy); }

  CURL* easy = nullptr;
  Proxy* proxy = nullptr;
  std::optional<TrafficPage> page;
  absl::Status page_status;
  std::chrono::milliseconds timeout{0};
  // The page before this one, as counters stood.
  std::optional<TrafficValues> before;
  Clock::time_point before_at;
};

AdminPages::AdminPages(const std::vector<std::string>& addresses) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  multi_ = curl_multi_init();
  proxies_.resize(addresses.size());
  for (size_t i = 0; i < addresses.size(); ++i) {
    proxies_[i].address = addresses[i];
    proxies_[i].good_at = Clock::now();
    proxies_[i].status = absl::UnavailableError("asked for the first time");
    auto exchange = std::make_unique<Exchange>();
    CURL* easy = exchange->easy = curl_easy_init();
    exchange->proxy = &proxies_[i];
    curl_easy_setopt(easy, CURLOPT_URL, fmt::format("http://{}/metrics", addresses[i]).c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    // A connection that is kept takes one of the few threads that a proxy has for its pages.
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    // A name that takes long to look up must not hold up the others when its time is over.
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &AdminPages::OnBody);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange.get());
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange.get());
    exchanges_.push_back(std::move(exchange));
  }
}

AdminPages::~AdminPages() {
  for (const auto& exchange : exchanges_) curl_multi_remove_handle(multi_, exchange->easy);
  exchanges_.clear();
  curl_multi_cleanup(multi_);
}

void AdminPages::Start(std::chrono::milliseconds timeout) {
  for (const auto& exchange : exchanges_) {
    exchange->page.emplace();
    exchange->page_status = absl::OkStatus();
    exchange->timeout = timeout;
    curl_easy_setopt(exchange->easy, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
    curl_multi_add_handle(multi_, exchange->easy);
  }
  under_way_ = exchanges_.size();
}

bool AdminPages::Work() {
  int running = 0;
  curl_multi_perform(multi_, &running);
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* easy = message->easy_handle;
    const CURLcode code = message->data.result;
    char* exchange = nullptr;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &exchange);
    curl_multi_remove_handle(multi_, easy);
    Finish(*reinterpret_cast<Exchange*>(exchange), code);
    --under_way_;
  }
  return under_way_ == 0;
}

void AdminPages::Wait(std::chrono::milliseconds timeout, std::span<const int> others) {
  std::vector<curl_waitfd> files;
  for (const int file : others) files.push_back({.fd = file, .events = CURL_WAIT_POLLIN, .revents = 0});
  curl_multi_poll(multi_, files.data(), static_cast<unsigned>(files.size()),
                  static_cast<int>(std::clamp<int64_t>(timeout.count(), 0, 60'000)), nullptr);
}

size_t AdminPages::OnBody(char* data, size_t size, size_t count, void* exchange) {
  auto& one = *static_cast<Exchange*>(exchange);
  long http_status = 0;
  curl_easy_getinfo(one.easy, CURLINFO_RESPONSE_CODE, &http_status);
  // What stands in the page of an error is nobody's metrics.
  if (http_status == 200) one.page_status = one.page->Add({data, size * count});
  return one.page_status.ok() ? size * count : 0;
}

void AdminPages::Finish(Exchange& exchange, CURLcode code) {
  Proxy& proxy = *exchange.proxy;
  const Clock::time_point now = Clock::now();
  long http_status = 0;
  curl_easy_getinfo(exchange.easy, CURLINFO_RESPONSE_CODE, &http_status);
  proxy.rates = {};
  if (!exchange.page_status.ok()) {
    proxy.status = absl::UnavailableError(fmt::format("its /metrics, {}", Message(exchange.page_status)));
  } else if (code == CURLE_OPERATION_TIMEDOUT) {
    proxy.status =
        absl::UnavailableError(fmt::format("no whole answer within {}", DurationText(exchange.timeout.count())));
  } else if (code != CURLE_OK) {
    proxy.status = absl::UnavailableError(curl_easy_strerror(code));
  } else if (http_status != 200) {
    proxy.status = absl::UnavailableError(
        fmt::format("/metrics answers with HTTP status {}, expected 200: is it a proxy's --admin?", http_status));
  } else if (auto values = exchange.page->Finish(); !values.ok()) {
    proxy.status = absl::UnavailableError(fmt::format("its /metrics, {}", Message(values.status())));
  } else {
    proxy.status = absl::OkStatus();
    proxy.good_at = now;
    const TrafficValues* before = exchange.before ? &*exchange.before : nullptr;
    proxy.rates = Rates(before, *values, std::chrono::duration<double>(now - exchange.before_at).count());
    exchange.before = *std::move(values);
    exchange.before_at = now;
  }
  exchange.page.reset();
}

}  // namespace signalbox::cli
