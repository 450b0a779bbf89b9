#include "store/test_etcd.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <thread>
#include <utility>

#include "base/status.h"
#include "etcd/rpc.grpc.pb.h"

namespace signalbox::store {
namespace {

using std::chrono::steady_clock;

constexpr auto kLong = std::chrono::seconds(30);

// etcd must be told its ports, since its members tell them to each other. Another process may take one before etcd
// does: who starts tries again. What is free here is taken for free on another machine, which runs nothing else.
std::vector<std::string> FreeAddresses(const std::vector<EtcdMachine>& machines) {
  std::vector<int> sockets;
  std::vector<std::string> addresses;
  for (const EtcdMachine& machine : machines) {
    const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockets.push_back(socket_fd);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(socket_fd, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(getsockname(socket_fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
    addresses.push_back(fmt::format("{}:{}", machine.address, ntohs(address.sin_port)));
  }
  for (int socket_fd : sockets) close(socket_fd);
  return addresses;
}

std::optional<etcdserverpb::StatusResponse> StatusOf(const std::string& endpoint) {
  auto channel = grpc::CreateChannel("ipv4:" + endpoint, grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
  etcdserverpb::StatusResponse answer;
  if (!etcdserverpb::Maintenance::NewStub(channel)->Status(&context, {}, &answer).ok()) return std::nullopt;
  return answer;
}

}  // namespace

TestEtcd::TestEtcd(int members, std::vector<std::string> more_arguments)
    : TestEtcd(std::vector<EtcdMachine>(static_cast<size_t>(members)), std::move(more_arguments)) {}

TestEtcd::TestEtcd(std::vector<EtcdMachine> machines, std::vector<std::string> more_arguments)
    : machines_(std::move(machines)), more_arguments_(std::move(more_arguments)) {
  constexpr int kAttempts = 5;
  for (int i = 0; i < kAttempts; ++i) {
    if (Start()) return;
  }
  ADD_FAILURE() << "etcd does not start (is the Debian package etcd-server installed?)";
  for (const auto& member : members_) {
    if (member) ADD_FAILURE() << member->Report();
  }
}

bool TestEtcd::Start() {
  std::vector<EtcdMachine> twice = machines_;
  twice.insert(twice.end(), machines_.begin(), machines_.end());
  const std::vector<std::string> addresses = FreeAddresses(twice);
  const auto middle = addresses.begin() + static_cast<std::ptrdiff_t>(machines_.size());
  endpoints_.assign(addresses.begin(), middle);
  peers_.assign(middle, addresses.end());
  members_.clear();
  members_.resize(machines_.size());
  for (size_t i = 0; i < members_.size(); ++i) {
    std::filesystem::remove_all(folder_.File(fmt::format("m{}", i)));
    StartMember(i);
  }
  return WaitForLeader(0, members_.size());
}

void TestEtcd::StartMember(size_t member) {
  std::string cluster;
  for (size_t i = 0; i < peers_.size(); ++i) cluster += fmt::format("{}m{}=http://{}", i == 0 ? "" : ",", i, peers_[i]);
  const std::string client = "http://" + endpoints_[member];
  const std::string peer = "http://" + peers_[member];
  ChildOptions options;
  options.name = fmt::format("etcd{}", member);
  std::vector<std::string> etcd = {"/usr/bin/etcd",
                                   "--name",
                                   fmt::format("m{}", member),
                                   "--data-dir",
                                   folder_.File(fmt::format("m{}", member)),
                                   "--listen-client-urls",
                                   client,
                                   "--advertise-client-urls",
                                   client,
                                   "--listen-peer-urls",
                                   peer,
                                   "--initial-advertise-peer-urls",
                                   peer,
                                   "--initial-cluster",
                                   cluster};
  options.command = machines_[member].command_prefix;
  for (const std::vector<std::string>& more : {etcd, more_arguments_}) {
    options.command.insert(options.command.end(), more.begin(), more.end());
  }
  options.log_file = folder_.File(fmt::format("m{}.log", member));
  auto child = ChildProcess::Start(std::move(options));
  ASSERT_TRUE(child.ok()) << child.status();
  members_[member].emplace(*std::move(child));
}

bool TestEtcd::WaitForLeader(size_t first, size_t end) {
  const auto deadline = steady_clock::now() + kLong;
  while (steady_clock::now() < deadline) {
    for (size_t i = first; i < end; ++i) {
      if (!members_[i] || !members_[i]->Running()) return false;
    }
    if (Leader()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

std::string TestEtcd::Endpoints() const { return fmt::format("{}", fmt::join(endpoints_, ",")); }

EtcdOptions TestEtcd::Options(std::string prefix) const {
  EtcdOptions options;
  options.endpoints = endpoints_;
  options.prefix = std::move(prefix);
  return options;
}

void TestEtcd::Kill(size_t member) {
  members_[member]->Signal(SIGKILL);
  EXPECT_TRUE(members_[member]->WaitForEnd(kLong));
}

void TestEtcd::Restart(size_t member) {
  StartMember(member);
  EXPECT_TRUE(WaitForLeader(member, member + 1)) << members_[member]->Report();
}

// A member says who leads by a number that the members' own answers have too.
std::optional<size_t> TestEtcd::Leader() const {
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    const auto status = StatusOf(endpoints_[i]);
    if (status && status->leader() != 0 && status->leader() == status->header().member_id()) return i;
  }
  return std::nullopt;
}

}  // namespace signalbox::store
