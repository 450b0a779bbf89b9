// Model hosts that take their time without taking a core: each has so many places, a queue in front of them, and serves
// a request by waiting. So that many hosts can be slow, busy or cold on a machine of two cores.
//
//   timed_hosts SETTINGS.json
//
// Settings: {"responseBytes": 128, "workUs": 5000, "hosts": [{
//   "port": 0           0: any that is free
//   "places": 4         requests that are worked on at once
//   "factor": 1         how much longer than others it takes
//   "coldRequests": 0, "coldFactor": 10   so many requests take so much longer, the first ones
//   "queueMax": 0       what more may wait; beyond it RESOURCE_EXHAUSTED. 0: any number
//   "reportsLoad": 0    1: says in the trailer `endpoint-load-metrics` how many of its places are taken
// }]}. A request says how much work it is in the header `bench-work-us`, else it is `workUs`.
//
// Prints {"ports": [...]}; then for each line that it reads what the hosts have done so far, {"hosts": [{"served": ...,
// "refused": ..., "queueLongest": ...}]}; ends with its standard input.
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <iostream>
#include <map>
#include <memory>
#include <set>

#include "bench/open_loop/event_loop.h"
#include "bench/open_loop/http2_session.h"
#include "bench/open_loop/json_settings.h"

namespace signalbox::bench {
namespace {

const Fields kHeaders = {{":status", "200"}, {"content-type", "application/grpc"}};

class TimedHost : public Http2Session::Owner {
 public:
  TimedHost(EventLoop& loop, const Object& settings, double usual_work_us, const std::string& response)
      : loop_(loop),
        response_(response),
        usual_work_us_(usual_work_us),
        port_(static_cast<int>(Number(settings, "port", 0))),
        places_(static_cast<size_t>(Number(settings, "places", 4))),
        factor_(Number(settings, "factor", 1)),
        cold_requests_(static_cast<uint64_t>(Number(settings, "coldRequests", 0))),
        cold_factor_(Number(settings, "coldFactor", 10)),
        queue_max_(static_cast<size_t>(Number(settings, "queueMax", 0))),
        reports_load_(Number(settings, "reportsLoad", 0) != 0) {
    listener_ = ListenOnLoopback(port_);
    loop_.Watch(listener_, EPOLLIN, [this](uint32_t) { Accept(); });
  }

  int port() const { return port_; }
  std::string Report() const {
    return fmt::format("{{\"served\": {}, \"refused\": {}, \"queueLongest\": {}}}", served_, refused_, queue_longest_);
  }

 private:
  struct Work {
    Http2Session* session;
    int32_t stream;
    double work_us;
  };

  void Accept() {
    for (;;) {
      const int socket = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (socket < 0) return;
      auto session = std::make_unique<Http2Session>(loop_, socket, Http2Session::Role::kServer, *this);
      Http2Session* key = session.get();
      sessions_[key] = std::move(session);
    }
  }

  void OnField(Http2Session& session, int32_t stream, std::string_view name, std::string_view value) override {
    if (name != "bench-work-us") return;
    double work_us = usual_work_us_;
    std::from_chars(value.data(), value.data() + value.size(), work_us);
    work_[{&session, stream}] = work_us;
  }

  void OnEnd(Http2Session& session, int32_t stream) override {
    double work_us = usual_work_us_;
    if (const auto said = work_.extract({&session, stream}); !said.empty()) work_us = said.mapped();
    if (busy_ < places_) return Begin({&session, stream, work_us});
    if (queue_max_ > 0 && queue_.size() >= queue_max_) {
      ++refused_;
      Fields refusal = kHeaders;
      refusal.emplace_back("grpc-status", "8");
      return session.RespondAtOnce(stream, refusal);
    }
    queue_.push_back({&session, stream, work_us});
    queue_longest_ = std::max(queue_longest_, queue_.size());
  }

  void Begin(const Work& work) {
    ++busy_;
    // Work that was begun is done to its end, also when nobody waits for it any more.
    being_served_.insert({work.session, work.stream});
    double us = work.work_us * factor_;
    if (cold_requests_ > 0) {
      --cold_requests_;
      us *= cold_factor_;
    }
    loop_.At(std::chrono::steady_clock::now() + std::chrono::nanoseconds(static_cast<int64_t>(us * 1000)),
             [this, work] { End(work); });
  }

  void End(const Work& work) {
    --busy_;
    if (being_served_.erase({work.session, work.stream}) > 0) {
      ++served_;
      Fields trailers = {{"grpc-status", "0"}};
      if (reports_load_) {
        trailers.emplace_back("endpoint-load-metrics",
                              fmt::format("TEXT application_utilization={:.3f}",
                                          static_cast<double>(busy_) / static_cast<double>(places_)));
      }
      work.session->Respond(work.stream, kHeaders, response_, trailers);
    }
    while (busy_ < places_ && !queue_.empty()) {
      const Work next = queue_.front();
      queue_.pop_front();
      Begin(next);
    }
  }

  void OnStreamClosed(Http2Session& session, int32_t stream, uint32_t) override {
    work_.erase({&session, stream});
    if (being_served_.erase({&session, stream}) > 0) return;
    std::erase_if(queue_, [&](const Work& work) { return work.session == &session && work.stream == stream; });
  }

  void OnClosed(Http2Session& session) override {
    std::erase_if(queue_, [&](const Work& work) { return work.session == &session; });
    std::erase_if(being_served_, [&](const auto& one) { return one.first == &session; });
    std::erase_if(work_, [&](const auto& one) { return one.first.first == &session; });
    loop_.Defer([this, key = &session] { sessions_.erase(key); });
  }

  EventLoop& loop_;
  const std::string& response_;
  const double usual_work_us_;
  int port_;
  int listener_;
  const size_t places_;
  const double factor_;
  uint64_t cold_requests_;
  const double cold_factor_;
  const size_t queue_max_;
  const bool reports_load_;
  size_t busy_ = 0;
  std::deque<Work> queue_;
  std::set<std::pair<Http2Session*, int32_t>> being_served_;
  std::map<std::pair<Http2Session*, int32_t>, double> work_;
  std::map<Http2Session*, std::unique_ptr<Http2Session>> sessions_;
  uint64_t served_ = 0;
  uint64_t refused_ = 0;
  size_t queue_longest_ = 0;
};

// Of fields that no reader of a ModelInferResponse minds: number 15, a varint, two bytes each.
std::string GrpcMessage(uint32_t bytes) {
  bytes -= bytes % 2;
  std::string message(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) message += static_cast<char>(bytes >> shift);
  for (uint32_t i = 0; i < bytes; i += 2) message += "\x78\x01";
  return message;
}

}  // namespace
}  // namespace signalbox::bench

int main(int argc, char** argv) {
  using namespace signalbox::bench;
  if (argc != 2) {
    std::cerr << "usage: timed_hosts SETTINGS.json\n";
    return 2;
  }
  const Object settings = ReadSettings(argv[1]);
  const std::string response = GrpcMessage(static_cast<uint32_t>(Number(settings, "responseBytes", 128)));
  EventLoop loop;
  std::vector<std::unique_ptr<TimedHost>> hosts;
  for (const Value& host : List(settings, "hosts").values()) {
    hosts.push_back(std::make_unique<TimedHost>(loop, host.struct_value(), Number(settings, "workUs", 5000), response));
  }
  std::string ports;
  for (const auto& host : hosts) ports += fmt::format("{}{}", ports.empty() ? "" : ", ", host->port());
  std::cout << "{\"ports\": [" << ports << "]}" << std::endl;
  loop.Watch(STDIN_FILENO, EPOLLIN, [&](uint32_t) {
    char line[256];
    if (read(STDIN_FILENO, line, sizeof(line)) <= 0) return loop.Stop();
    std::string reports;
    for (const auto& host : hosts) reports += (reports.empty() ? "" : ", ") + host->Report();
    std::cout << "{\"hosts\": [" << reports << "]}" << std::endl;
  });
  loop.Run();
  return 0;
}
