// Sends gRPC requests when they are due, whatever became of those before (an open loop), and measures each from the
// time at which it was *due*: a server, a proxy or this program itself that falls behind makes latencies longer instead
// of making requests fewer, so nothing is left out of the percentiles (no coordinated omission).
//
//   open_loop SETTINGS.json > RESULT.json
//
// Settings beside those of arrivals.h:
//   "port": 8080              on 127.0.0.1, HTTP/2 with prior knowledge
//   "connections": 8          requests go to them in turn
//   "hosts": [{"port": 8081, "places": 4, "factor": 1, "coldRequests": 0, "coldFactor": 10}, ...]
//                             in place of "port": these, each with so many connections, without a proxy between
//   "choice": "turns"         of these hosts: in turn, or as an "oracle" that knows all queues and how fast each is
//                             joins the shortest expected delay
//   "path": "/inference.GRPCInferenceService/ModelInfer", "bodyFile": "...": a gRPC message with its prefix
//   "timeoutMs": 1000         grpc-timeout, and the client gives up by itself; 0: never
//   "classes": [{"name": "high", "share": 0.2, "headers": {"sb-tenant": "a"}, "users": 1000}]
//                             `users`: sb-user is one of so many
//   "warmupSeconds": 2        of the first phase that are in no figure
//   "samplesFile": "..."      one line for each request: due (s), class, outcome, latency (us)
// Each request carries its work as header `bench-work-us`, where arrivals have one (timed_hosts.cc does as it says).
//
// Result: for each phase and class the number of requests by outcome ("0" is OK, other numbers are gRPC statuses,
// "http 503", "timeout", "reset", "connection", "unanswered"), percentiles of the good ones in us from the time that
// they were due, those of the refused, and how late this program itself was.
#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <sstream>

#include "bench/open_loop/arrivals.h"
#include "bench/open_loop/event_loop.h"
#include "bench/open_loop/http2_session.h"
#include "bench/open_loop/json_settings.h"

namespace signalbox::bench {
namespace {

constexpr double kDrainSecondsMax = 10;

struct RequestClass {
  std::string name = "all";
  Fields headers;
  uint64_t users = 0;
};

// One that requests can go to, and what an oracle knows of it.
struct Target {
  int port = 0;
  double places = 1;
  double factor = 1;
  uint64_t cold_requests = 0;
  double cold_factor = 1;
  uint64_t outstanding = 0;
  uint64_t sent = 0;

  // Of a request that comes now, in usual times of service.
  double ExpectedDelay() const {
    const double service = factor * (sent < cold_requests ? cold_factor : 1);
    const double waiting = static_cast<double>(outstanding) + 1 - places;
    return service * (1 + (waiting > 0 ? waiting / places : 0));
  }
};

struct Tally {
  std::map<std::string, uint64_t> outcomes;
  std::vector<double> good_us;
  std::vector<double> other_us;
};

class Generator : public Http2Session::Owner {
 public:
  explicit Generator(const Object& settings)
      : arrivals_(settings),
        by_oracle_(Text(settings, "choice", "turns") == "oracle"),
        timeout_us_(1000 * Number(settings, "timeoutMs", 0)),
        warmup_s_(Number(settings, "warmupSeconds", 0)),
        connections_per_target_(static_cast<size_t>(Number(settings, "connections", 8))) {
    for (const Value& value : List(settings, "hosts").values()) {
      const Object& host = value.struct_value();
      targets_.push_back({.port = static_cast<int>(Number(host, "port", 0)),
                          .places = Number(host, "places", 1),
                          .factor = Number(host, "factor", 1),
                          .cold_requests = static_cast<uint64_t>(Number(host, "coldRequests", 0)),
                          .cold_factor = Number(host, "coldFactor", 10)});
    }
    if (targets_.empty()) targets_.push_back({.port = static_cast<int>(Number(settings, "port", 0))});
    connections_.resize(targets_.size() * connections_per_target_);
    std::ifstream file(Text(settings, "bodyFile", ""), std::ios::binary);
    std::stringstream body;
    body << file.rdbuf();
    body_ = file ? body.str() : std::string(5, '\0');  // an empty message
    fields_ = {{":method", "POST"},
               {":scheme", "http"},
               {":authority", fmt::format("127.0.0.1:{}", targets_.front().port)},
               {":path", Text(settings, "path", "/inference.GRPCInferenceService/ModelInfer")},
               {"content-type", "application/grpc"},
               {"te", "trailers"}};
    if (timeout_us_ > 0) fields_.emplace_back("grpc-timeout", fmt::format("{}m", static_cast<int>(timeout_us_ / 1000)));
    for (const Value& value : List(settings, "classes").values()) {
      RequestClass& made = classes_.emplace_back();
      made.name = Text(value.struct_value(), "name", "all");
      made.users = static_cast<uint64_t>(Number(value.struct_value(), "users", 0));
      for (const auto& [name, field] : Child(value.struct_value(), "headers").fields())
        made.headers.emplace_back(name, field.string_value());
    }
    if (classes_.empty()) classes_.emplace_back();
    tallies_.resize(arrivals_.phases().size(), std::vector<Tally>(classes_.size()));
    if (const std::string name = Text(settings, "samplesFile", ""); !name.empty()) samples_.open(name);
  }

  void Run() {
    for (size_t i = 0; i < connections_.size(); ++i) Connect(i);
    // Connections are there before the first request is due.
    start_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
    ScheduleNext();
    loop_.Run();
  }

  void PrintResult() const {
    fmt::print("{{\"lateUs\": {},\n \"phases\": [", Percentiles(late_us_));
    for (size_t phase = 0; phase < tallies_.size(); ++phase) {
      const Arrivals::Phase& of = arrivals_.phases()[phase];
      fmt::print("{}\n  {{\"rate\": {}, \"seconds\": {}, \"classes\": {{", phase == 0 ? "" : ",", of.rate,
                 of.seconds - (phase == 0 ? warmup_s_ : 0));
      for (size_t i = 0; i < classes_.size(); ++i) {
        const Tally& tally = tallies_[phase][i];
        uint64_t sent = 0;
        std::string outcomes;
        for (const auto& [name, count] : tally.outcomes) {
          sent += count;
          outcomes += fmt::format("{}\"{}\": {}", outcomes.empty() ? "" : ", ", name, count);
        }
        fmt::print("{}\n    \"{}\": {{\"sent\": {}, \"ok\": {}, \"outcomes\": {{{}}}, \"okUs\": {}, \"otherUs\": {}}}",
                   i == 0 ? "" : ",", classes_[i].name, sent, tally.good_us.size(), outcomes,
                   Percentiles(tally.good_us), Percentiles(tally.other_us));
      }
      fmt::print("}}}}");
    }
    fmt::print("]}}\n");
  }

 private:
  struct Call {
    Arrival arrival;
    size_t connection = 0;
    std::string grpc_status = {};
    std::string http_status = {};
    bool timed_out = false;
  };
  struct Connection {
    std::unique_ptr<Http2Session> session;
    std::map<int32_t, Call> calls;
  };

  static std::string Percentiles(std::vector<double> values) {
    if (values.empty()) return "null";
    std::sort(values.begin(), values.end());
    double sum = 0;
    for (const double value : values) sum += value;
    const auto at = [&](double share) {
      const auto rank = static_cast<size_t>(share * static_cast<double>(values.size()));
      return values[std::min(rank, values.size() - 1)];
    };
    return fmt::format(
        "{{\"mean\": {:.0f}, \"p50\": {:.0f}, \"p90\": {:.0f}, \"p99\": {:.0f}, \"p999\": {:.0f}, \"max\": {:.0f}}}",
        sum / static_cast<double>(values.size()), at(0.5), at(0.9), at(0.99), at(0.999), values.back());
  }

  void Connect(size_t i) {
    const int port = TargetOf(i).port;
    connections_[i].session =
        std::make_unique<Http2Session>(loop_, StartConnecting(port), Http2Session::Role::kClient, *this);
    of_session_[connections_[i].session.get()] = i;
  }

  Time Due(const Arrival& arrival) const {
    return start_ + std::chrono::nanoseconds(static_cast<int64_t>(arrival.at_s * 1e9));
  }

  void ScheduleNext() {
    const std::optional<Arrival> next = arrivals_.Next();
    if (!next) return Finish();
    ++open_;
    loop_.At(Due(*next), [this, next] {
      Send(*next);
      ScheduleNext();
    });
  }

  void Send(const Arrival& arrival) {
    const size_t target = by_oracle_ ? ShortestDelay() : next_target_++ % targets_.size();
    ++targets_[target].outstanding;
    ++targets_[target].sent;
    const size_t i = target * connections_per_target_ + next_connection_++ % connections_per_target_;
    if (connections_[i].session->closed()) Connect(i);
    const RequestClass& of = classes_[arrival.request_class];
    Fields fields = fields_;
    fields.insert(fields.end(), of.headers.begin(), of.headers.end());
    if (of.users > 0) fields.emplace_back("sb-user", fmt::format("user-{}", arrival.user % of.users));
    if (arrival.work_us > 0) fields.emplace_back("bench-work-us", fmt::format("{:.0f}", arrival.work_us));
    late_us_.push_back(Since(Due(arrival)));
    const int32_t stream = connections_[i].session->Request(fields, body_);
    if (stream < 0) return Count({.arrival = arrival, .connection = i}, "connection");
    connections_[i].calls[stream] = {.arrival = arrival, .connection = i};
    if (timeout_us_ <= 0) return;
    loop_.At(Due(arrival) + std::chrono::microseconds(static_cast<int64_t>(timeout_us_)),
             [this, i, stream, at = arrival.at_s] {
               const auto found = connections_[i].calls.find(stream);
               // Of another connection, in the same place.
               if (found == connections_[i].calls.end() || found->second.arrival.at_s != at) return;
               found->second.timed_out = true;
               connections_[i].session->Reset(stream);
             });
  }

  static double Since(Time time) {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - time).count();
  }

  void Count(const Call& call, const std::string& outcome) {
    --open_;
    --TargetOf(call.connection).outstanding;
    const double latency_us = Since(Due(call.arrival));
    if (samples_.is_open())
      samples_ << fmt::format("{:.6f}\t{}\t{}\t{:.0f}\n", call.arrival.at_s, classes_[call.arrival.request_class].name,
                              outcome, latency_us);
    if (call.arrival.at_s >= warmup_s_) {
      Tally& tally = tallies_[call.arrival.phase][call.arrival.request_class];
      ++tally.outcomes[outcome];
      (outcome == "0" ? tally.good_us : tally.other_us).push_back(latency_us);
    }
    if (sent_all_ && open_ == 0) loop_.Stop();
  }

  void Finish() {
    sent_all_ = true;
    if (open_ == 0) loop_.Stop();
    const auto drain = std::chrono::duration<double>(timeout_us_ > 0 ? 1 + timeout_us_ / 1e6 : kDrainSecondsMax);
    loop_.At(std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::nanoseconds>(drain), [this] {
      for (Connection& connection : connections_) {
        for (const auto& [stream, call] : connection.calls) Count(call, "unanswered");
      }
      loop_.Stop();
    });
  }

  Target& TargetOf(size_t connection) { return targets_[connection / connections_per_target_]; }
  size_t ShortestDelay() const {
    const auto best = std::min_element(targets_.begin(), targets_.end(), [](const Target& a, const Target& b) {
      return a.ExpectedDelay() < b.ExpectedDelay();
    });
    return static_cast<size_t>(best - targets_.begin());
  }
  Connection& Of(Http2Session& session) { return connections_[of_session_.at(&session)]; }

  void OnField(Http2Session& session, int32_t stream, std::string_view name, std::string_view value) override {
    const auto found = Of(session).calls.find(stream);
    if (found == Of(session).calls.end()) return;
    if (name == "grpc-status") found->second.grpc_status = value;
    if (name == ":status") found->second.http_status = value;
  }

  void OnEnd(Http2Session&, int32_t) override {}

  void OnStreamClosed(Http2Session& session, int32_t stream, uint32_t error_code) override {
    auto calls = Of(session).calls.extract(stream);
    if (calls.empty()) return;
    const Call& call = calls.mapped();
    if (call.timed_out) return Count(call, "timeout");
    if (!call.grpc_status.empty()) return Count(call, call.grpc_status);
    if (!call.http_status.empty() && call.http_status != "200") return Count(call, "http " + call.http_status);
    Count(call, error_code == 0 ? "no status" : "reset");
  }

  void OnClosed(Http2Session& session) override {
    Connection& connection = Of(session);
    for (const auto& [stream, call] : std::exchange(connection.calls, {})) Count(call, "connection");
  }

  EventLoop loop_;
  Arrivals arrivals_;
  const bool by_oracle_;
  std::vector<Target> targets_;
  const double timeout_us_;
  const double warmup_s_;
  std::string body_;
  Fields fields_;
  std::vector<RequestClass> classes_;
  const size_t connections_per_target_;
  std::vector<Connection> connections_;
  std::map<const Http2Session*, size_t> of_session_;
  std::vector<std::vector<Tally>> tallies_;  // by phase and class
  std::vector<double> late_us_;
  std::ofstream samples_;
  Time start_;
  size_t next_target_ = 0;
  size_t next_connection_ = 0;
  size_t open_ = 0;
  bool sent_all_ = false;
};

}  // namespace
}  // namespace signalbox::bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: open_loop SETTINGS.json\n";
    return 2;
  }
  signalbox::bench::Generator generator(signalbox::bench::ReadSettings(argv[1]));
  generator.Run();
  generator.PrintResult();
  return 0;
}
