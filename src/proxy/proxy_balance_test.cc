// Which host of several gets a request, through a real proxy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "prometheus/metric_family.h"
#include "proxy/test_proxy.h"
#include "tests/support/echo_host.h"

namespace signalbox::proxy {
namespace {

using ::signalbox::testing::CallOptions;
using ::signalbox::testing::EchoClient;
using ::signalbox::testing::EchoHost;
using ::signalbox::testing::Reply;
using std::chrono::milliseconds;

constexpr int kUnavailable = static_cast<int>(grpc::StatusCode::UNAVAILABLE);

CallOptions Lonely() { return {.headers = {{"sb-objective", "Lonely"}}}; }

// `family` of each host.
std::map<std::string, double> OfHosts(const TestProxy& proxy, const std::string& family) {
  std::map<std::string, double> values;
  for (const prometheus::MetricFamily& one : const_cast<TestProxy&>(proxy)->host_metrics().Collect()) {
    if (one.name != "signalbox_host_" + family) continue;
    for (const prometheus::ClientMetric& metric : one.metric)
      values[metric.label.at(0).value] = metric.gauge.value + metric.counter.value;
  }
  return values;
}

template <typename Condition>
bool ComesTrue(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST(ProxyBalance, CountsEveryRequestToItsEndAfterAStormOfCancellations) {
  EchoHost one("one");
  EchoHost two("two");
  TestProxy proxy(2);
  proxy.Route({one.address(), two.address()});
  const auto outstanding = [&] {
    double sum = 0;
    for (const auto& [host, value] : OfHosts(proxy, "outstanding_requests")) sum += value;
    return sum;
  };
  std::vector<std::unique_ptr<EchoClient>> clients;
  std::vector<std::unique_ptr<EchoClient::Stream>> streams;
  for (int i = 0; i < 4; ++i) clients.push_back(std::make_unique<EchoClient>(proxy.port()));
  for (int i = 0; i < 200; ++i) streams.push_back(clients[i % 4]->Open(i % 2 == 0 ? "/a/Hang" : "/a/Stream", Lonely()));
  EXPECT_TRUE(ComesTrue([&] { return outstanding() == 200; })) << outstanding();
  for (const auto& stream : streams) stream->Cancel();
  for (const auto& stream : streams) stream->Finish();
  EXPECT_TRUE(ComesTrue([&] { return outstanding() == 0; })) << outstanding();
  for (const char* method : {"/a/b", "/a/Fail", "/a/Swallow"}) clients[0]->Unary(method, "x", Lonely());
  clients[0]->Unary("/a/Hang", "x", {.headers = Lonely().headers, .timeout = milliseconds(30)});
  EXPECT_TRUE(ComesTrue([&] { return outstanding() == 0; })) << outstanding();
}

TEST(ProxyBalance, SendsRequestsWhereNoneHang) {
  EchoHost one("one");
  EchoHost two("two");
  TestProxy proxy(1);
  proxy.Route({one.address(), two.address()});
  EchoClient client(proxy.port());
  auto hanging = client.Open("/a/Hang", Lonely());
  ASSERT_TRUE(ComesTrue([&] { return one.calls() + two.calls() == 1; }));
  EchoHost& free = one.calls() == 0 ? one : two;
  std::vector<std::unique_ptr<EchoClient::Stream>> streams;
  for (int i = 0; i < 8; ++i) {
    streams.push_back(client.Open("/a/Hang", Lonely()));
    ASSERT_TRUE(ComesTrue([&] { return one.calls() + two.calls() == i + 2; }));
    EXPECT_GE(free.calls(), 1);
  }
  EXPECT_NEAR(one.calls(), two.calls(), 1) << "of nine that hang";
  hanging->Cancel();
  hanging->Finish();
  for (const auto& stream : streams) stream->Cancel();
  for (const auto& stream : streams) stream->Finish();
}

TEST(ProxyBalance, EjectsAHostThatIsUnavailableAndNotOneThatSaysWhatIsWrongWithRequests) {
  EchoHost good("good");
  EchoHost bad("bad");
  // By default it is given five requests, with pauses between when others are idle.
  TestProxy proxy(Options{.listen = "", .workers = 2, .balance = {.failures_in_succession = 1}});
  proxy.Route({good.address(), bad.address()});
  EchoClient client(proxy.port());
  for (int i = 0; i < 30; ++i) client.Unary("/a/Fail", "x", Lonely());
  EXPECT_EQ(OfHosts(proxy, "ejections_total")[good.address()], 0);
  bad.FailWith(kUnavailable);
  ASSERT_TRUE(ComesTrue([&] {
    client.Unary("/a/b", "x", Lonely());
    return OfHosts(proxy, "ejected")[bad.address()] == 1;
  }));
  const int before = bad.calls();
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(client.Unary("/a/b", "x", Lonely()).status.ok());
  EXPECT_EQ(bad.calls(), before);
  EXPECT_EQ(OfHosts(proxy, "ejected")[good.address()], 0);
}

TEST(ProxyBalance, TellsOfTheLastHostHoweverItFails) {
  EchoHost bad("bad");
  bad.FailWith(kUnavailable);
  TestProxy proxy(1);
  proxy.Route({bad.address()});
  EchoClient client(proxy.port());
  for (int i = 0; i < 20; ++i) client.Unary("/a/b", "x", Lonely());
  EXPECT_EQ(OfHosts(proxy, "ejected")[bad.address()], 0) << "one always stays";
}

TEST(ProxyBalance, ReadsLoadReportsAndKeepsWhatTheClientDidNotAskFor) {
  EchoHost host("host");
  host.ReportLoad("TEXT application_utilization=0.75");
  TestProxy proxy(Options{.listen = "", .workers = 1, .asks_for_load = true});
  proxy.Route({host.address()});
  EchoClient client(proxy.port());
  Reply reply = client.Unary("/a/b", "x", Lonely());
  EXPECT_EQ(host.load_format(), "text");
  EXPECT_EQ(reply.trailer("endpoint-load-metrics"), "");
  EXPECT_EQ(OfHosts(proxy, "utilisation")[host.address()], 0.75);
  CallOptions asks = Lonely();
  asks.headers.emplace("endpoint-load-metrics-format", "json");
  reply = client.Unary("/a/b", "x", asks);
  EXPECT_EQ(host.load_format(), "json") << "what the client wants goes first";
  EXPECT_EQ(reply.trailer("endpoint-load-metrics"), "TEXT application_utilization=0.75");
}

TEST(ProxyBalance, AsksForNoLoadReportsUnlessItIsTold) {
  EchoHost host("host");
  TestProxy proxy(1);
  proxy.Route({host.address()});
  EchoClient client(proxy.port());
  client.Unary("/a/b", "x", Lonely());
  EXPECT_EQ(host.load_format(), "");
}

TEST(ProxyBalance, MovesRequestsFromAHostThatReportsThatItIsFull) {
  EchoHost full("full");
  EchoHost idle("idle");
  full.ReportLoad("TEXT cpu_utilization=1");
  idle.ReportLoad("TEXT cpu_utilization=0.1");
  TestProxy proxy(1);
  proxy.Route({full.address(), idle.address()});
  EchoClient client(proxy.port());
  ASSERT_TRUE(ComesTrue([&] {
    client.Unary("/a/b", "x", Lonely());
    return OfHosts(proxy, "utilisation").size() == 2;
  }));
  const int before = full.calls();
  const int idle_before = idle.calls();
  for (int i = 0; i < 40; ++i) client.Unary("/a/b", "x", Lonely());
  EXPECT_GT(idle.calls() - idle_before, full.calls() - before);
}

// Garbage in place of a report is passed over, wherever it comes from.
TEST(ProxyBalance, LoadReportsThatLieChangeNothingForClients) {
  EchoHost liar("liar");
  EchoHost honest("honest");
  TestProxy proxy(1);
  proxy.Route({liar.address(), honest.address()});
  EchoClient client(proxy.port());
  for (const char* lie : {"TEXT cpu_utilization=-1", "TEXT cpu_utilization=nan", "TEXT cpu_utilization=1e300", "JSON {",
                          "TEXT", "application_utilization=0.1", "TEXT application_utilization=inf"}) {
    liar.ReportLoad(lie);
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(client.Unary("/a/b", "x", Lonely()).status.ok()) << lie;
  }
}

TEST(ProxyBalance, PrefersHostsOfItsOwnZone) {
  EchoHost near("near");
  EchoHost far("far");
  TestProxy proxy(Options{.listen = "", .workers = 1, .balance = {.zone = "a"}});
  v1::Snapshot snapshot = TestProxy::SnapshotProto({near.address(), far.address()});
  v1::Shard& shard = (*snapshot.mutable_placement()->mutable_shards())["s-echo@1"];
  shard.add_zones("a");
  shard.add_zones("b");
  proxy->SetSnapshot(decide::CompileOrDie(std::move(snapshot)));
  EchoClient client(proxy.port());
  for (int i = 0; i < 30; ++i) EXPECT_EQ(client.Unary("/a/b", "x", Lonely()).header("host-name"), "near");
}

TEST(ProxyBalance, SendsAUserToOneHostWhereThePolicySaysSo) {
  std::vector<std::unique_ptr<EchoHost>> hosts;
  std::vector<std::string> addresses;
  for (int i = 0; i < 4; ++i) {
    hosts.push_back(std::make_unique<EchoHost>("host-" + std::to_string(i)));
    addresses.push_back(hosts.back()->address());
  }
  v1::Snapshot snapshot = TestProxy::SnapshotProto(addresses);
  v1::RuleSet& rules = *snapshot.mutable_rule_sets(0)->mutable_rule_set();
  v1::Policy& policy = *rules.add_policies();
  policy.set_name("sticky");
  policy.mutable_affinity()->add_unit("user");
  rules.mutable_objectives(1)->set_policy("sticky");
  TestProxy proxy(2);
  proxy->SetSnapshot(decide::CompileOrDie(std::move(snapshot)));
  EchoClient client(proxy.port());
  std::map<std::string, int> users_of_host;
  for (int user = 0; user < 40; ++user) {
    CallOptions options = Lonely();
    options.headers.emplace("sb-user", "user-" + std::to_string(user));
    const std::string host = client.Unary("/a/b", "x", options).header("host-name");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(client.Unary("/a/b", "x", options).header("host-name"), host) << user;
    ++users_of_host[host];
  }
  EXPECT_EQ(users_of_host.size(), 4u);
}

}  // namespace
}  // namespace signalbox::proxy
