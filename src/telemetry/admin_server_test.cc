#include "telemetry/admin_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "telemetry/telemetry.h"

namespace signalbox::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A plain socket: what a test sends need not be HTTP.
class Connection {
 public:
  explicit Connection(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    timeval timeout = {.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  }
  ~Connection() { close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool connected() const { return connected_; }
  void Send(std::string_view text) { (void)!send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
  void FinishSending() { shutdown(fd_, SHUT_WR); }
  std::string ReadToEnd() {
    std::string all;
    char buffer[4096];
    for (ssize_t got = 0; (got = recv(fd_, buffer, sizeof(buffer), 0)) > 0;)
      all.append(buffer, static_cast<size_t>(got));
    return all;
  }

 private:
  int fd_;
  bool connected_ = false;
};

std::string Get(int port, const std::string& path) {
  Connection connection(port);
  connection.Send("GET " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  return connection.ReadToEnd();
}

std::string Body(const std::string& response) { return response.substr(response.find("\r\n\r\n") + 4); }

std::unique_ptr<AdminServer> StartServer(AdminPages pages,
                                         std::vector<const prometheus::Collectable*> collectables = {}) {
  return AdminServer::Start("127.0.0.1:0", std::move(collectables), std::move(pages)).value();
}

TEST(AdminServer, MetricsOfAllCollectablesAreServed) {
  auto telemetry = Telemetry::Create({}).value();
  RequestRecord record;
  record.objective = "Home";
  telemetry->AddWorker().Record(record);
  auto server = StartServer({}, {telemetry.get()});
  std::string response = Get(server->port(), "/metrics");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(response, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(response, HasSubstr("signalbox_requests_total{objective=\"Home\""));
}

TEST(AdminServer, ReadinessFollowsTheOwnerAndSaysWhyNot) {
  std::atomic<bool> ready{false};
  auto server =
      StartServer({.healthz = [] { return absl::OkStatus(); },
                   .readyz = [&] { return ready ? absl::OkStatus() : absl::UnavailableError("no snapshot yet"); },
                   .snapshot = {}});
  EXPECT_THAT(Get(server->port(), "/healthz"), StartsWith("HTTP/1.1 200"));
  std::string not_ready = Get(server->port(), "/readyz");
  EXPECT_THAT(not_ready, StartsWith("HTTP/1.1 503"));
  EXPECT_EQ(Body(not_ready), "no snapshot yet\n");
  ready = true;
  EXPECT_THAT(Get(server->port(), "/readyz"), StartsWith("HTTP/1.1 200"));
}

TEST(AdminServer, TheSnapshotPageIsJsonWithItsAge) {
  int64_t now_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  auto server = StartServer({.healthz = {}, .readyz = {}, .snapshot = [&] {
                               return SnapshotStatus{.hash = "abc",
                                                     .version = 7,
                                                     .created_unix_ms = now_ms - 5000,
                                                     .source = "control \"x\"",
                                                     .node_id = "node-1",
                                                     .last_refusal = "hash does not match"};
                             }});
  std::string response = Get(server->port(), "/snapshot");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200"));
  nlohmann::json json = nlohmann::json::parse(Body(response));
  EXPECT_EQ(json["hash"], "abc");
  EXPECT_EQ(json["version"], 7);
  EXPECT_GE(json["age_seconds"], 5.0);
  EXPECT_EQ(json["source"], "control \"x\"");
  EXPECT_EQ(json["node_id"], "node-1");
  EXPECT_EQ(json["last_refusal"], "hash does not match");
}

TEST(AdminServer, WithoutASnapshotThePageIs503AndStillTellsOfRefusals) {
  auto server = StartServer({.healthz = {}, .readyz = {}, .snapshot = [] {
                               SnapshotStatus none;
                               none.last_refusal = "unknown shard";
                               return none;
                             }});
  std::string response = Get(server->port(), "/snapshot");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 503"));
  nlohmann::json json = nlohmann::json::parse(Body(response));
  EXPECT_TRUE(json["age_seconds"].is_null());
  EXPECT_EQ(json["last_refusal"], "unknown shard");
}

TEST(AdminServer, AnUnknownPageSaysWhichThereAre) {
  auto server = StartServer({.healthz = [] { return absl::OkStatus(); }, .readyz = {}, .snapshot = {}});
  std::string response = Get(server->port(), "/nothing");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(response, HasSubstr("/metrics /healthz"));
  EXPECT_THAT(Get(server->port(), "/readyz"), StartsWith("HTTP/1.1 404")) << "its function is not set";
}

TEST(AdminServer, GarbageIsRefusedAndTheNextRequestIsServed) {
  auto server = StartServer({.healthz = [] { return absl::OkStatus(); }, .readyz = {}, .snapshot = {}});
  for (const std::string& garbage : {std::string("\x00\xff\x16\x03\x01", 5) + "\r\n\r\n", std::string("GET\r\n\r\n"),
                                     "GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\n\r\n",
                                     "GET /healthz HTTP/1.1\r\nX: " + std::string(100'000, 'a') + "\r\n\r\n",
                                     std::string("POST /healthz HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")}) {
    Connection connection(server->port());
    connection.Send(garbage);
    connection.FinishSending();
    EXPECT_THAT(connection.ReadToEnd(), testing::Not(HasSubstr("HTTP/1.1 200")));
  }
  EXPECT_THAT(Get(server->port(), "/healthz"), StartsWith("HTTP/1.1 200"));
}

TEST(AdminServer, ManyClientsAtOnceAreAllServed) {
  auto server = StartServer({.healthz = [] { return absl::OkStatus(); }, .readyz = {}, .snapshot = {}});
  std::atomic<int> served{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 50; ++i) {
    clients.emplace_back([&] {
      if (Get(server->port(), "/healthz").starts_with("HTTP/1.1 200")) ++served;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(served, 50);
}

TEST(AdminServer, ItStopsWithinSecondsThoughClientsHoldConnectionsOpen) {
  auto server = StartServer({.healthz = [] { return absl::OkStatus(); }, .readyz = {}, .snapshot = {}});
  Connection idle(server->port());
  Connection kept_alive(server->port());
  kept_alive.Send("GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n");
  auto start = std::chrono::steady_clock::now();
  server.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
}

TEST(AdminServer, ItStopsAtOnceAfterStarting) {
  for (int i = 0; i < 20; ++i) StartServer({});
}

TEST(AdminServer, AnAddressThatIsTakenOrNoneIsAnErrorThatNamesIt) {
  auto server = StartServer({});
  std::string taken = "127.0.0.1:" + std::to_string(server->port());
  absl::Status status = AdminServer::Start(taken, {}, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(Message(status)), HasSubstr(taken));
  for (const char* address : {"", "9000", ":9000", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "::1:9000"}) {
    EXPECT_EQ(AdminServer::Start(address, {}, {}).status().code(), absl::StatusCode::kInvalidArgument) << address;
  }
}

TEST(AdminServer, Ipv6AddressesAreWrittenInBrackets) {
  absl::StatusOr<std::unique_ptr<AdminServer>> server = AdminServer::Start("[::1]:0", {}, {});
  if (!server.ok()) GTEST_SKIP() << "no IPv6 on this machine";
  EXPECT_GT((*server)->port(), 0);
}

}  // namespace
}  // namespace signalbox::telemetry
