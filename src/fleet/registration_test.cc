#include "fleet/registration.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "fleet/host_registry.h"
#include "fleet/live_host.h"
#include "fleet/test_host.h"

namespace signalbox::fleet {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::chrono::seconds kPatience{60};

v1::HostIdentity Identity(const std::string& id, const std::string& instance, const std::string& address,
                          const std::string& shard = "films") {
  v1::HostIdentity host;
  host.set_id(id);
  host.set_instance(instance);
  host.set_address(address);
  host.set_shard(shard);
  return host;
}

// What the store's records do, in memory, with a clock of the test's.
class Records : public RegistrationSink {
 public:
  absl::StatusOr<std::optional<v1::HostIdentity>> Find(const std::string& id) override {
    std::lock_guard lock(mutex_);
    const auto found = records_.find(id);
    if (found == records_.end() || found->second.until <= now.load()) return std::nullopt;
    return found->second.host;
  }
  absl::Status Put(const v1::HostIdentity& host, milliseconds ttl) override {
    std::unique_lock lock(mutex_);
    if (!failure.ok()) return failure;
    at_gate_ = true;
    gate_changed_.notify_all();
    gate_changed_.wait(lock, [this] { return is_open_; });
    ++writes;
    records_[host.id()] = {host, now.load() + ttl};
    return absl::OkStatus();
  }
  absl::Status Remove(const v1::HostIdentity& host) override {
    std::lock_guard lock(mutex_);
    records_.erase(host.id());
    return absl::OkStatus();
  }

  // Writes wait in between.
  void CloseGate() {
    std::lock_guard lock(mutex_);
    is_open_ = false;
  }
  void WaitAtGate() {
    std::unique_lock lock(mutex_);
    gate_changed_.wait(lock, [this] { return at_gate_; });
  }
  void OpenGate() {
    std::lock_guard lock(mutex_);
    is_open_ = true;
    gate_changed_.notify_all();
  }

  std::atomic<std::chrono::steady_clock::time_point> now = std::chrono::steady_clock::now();
  absl::Status failure;
  int writes = 0;

 private:
  struct Record {
    v1::HostIdentity host;
    std::chrono::steady_clock::time_point until;
  };
  std::mutex mutex_;
  std::condition_variable gate_changed_;
  bool is_open_ = true;
  bool at_gate_ = false;
  std::map<std::string, Record> records_;
};

class HostRegistryTest : public testing::Test {
 protected:
  void SetUp() override { registry_.SetShards(std::set<std::string>{"films", "flights"}); }
  void Pass(milliseconds time) { records_.now = records_.now.load() + time; }
  std::vector<std::string> Ids() {
    std::vector<std::string> ids;
    for (const v1::HostIdentity& host : registry_.hosts()) ids.push_back(host.id());
    return ids;
  }

  Records records_;
  HostRegistry registry_{records_, {.hosts_max = 3, .now = [this] { return records_.now.load(); }}};
};

TEST_F(HostRegistryTest, AHostStaysAsLongAsItRenews) {
  const v1::HostIdentity host = Identity("h1", "life", "10.0.0.1:8001");
  const absl::StatusOr<v1::HostLease> lease = registry_.Join(host);
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_EQ(lease->renew_within_ms(), 5'000);

  for (int i = 0; i < 10; ++i) {
    Pass(milliseconds(5'000));
    EXPECT_TRUE(registry_.Join(host).ok());
    EXPECT_THAT(Ids(), ElementsAre("h1"));
  }
  Pass(milliseconds(15'000));

  EXPECT_THAT(Ids(), IsEmpty());
}

TEST_F(HostRegistryTest, QuickRenewalsAreNotAllWritten) {
  const v1::HostIdentity host = Identity("h1", "life", "10.0.0.1:8001");
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(registry_.Join(host).ok());
    Pass(milliseconds(500));
  }
  EXPECT_EQ(records_.writes, 5);
  EXPECT_TRUE(records_.Find("h1")->has_value());
}

TEST_F(HostRegistryTest, TwoHostsWithOneIdAreNotBothTaken) {
  ASSERT_TRUE(registry_.Join(Identity("h1", "one", "10.0.0.1:8001")).ok());

  const absl::Status refused = registry_.Join(Identity("h1", "two", "10.0.0.2:8001")).status();

  EXPECT_EQ(refused.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("another process, at 10.0.0.1:8001, has this id and is alive"));
  Pass(milliseconds(15'000));
  EXPECT_TRUE(registry_.Join(Identity("h1", "two", "10.0.0.2:8001")).ok());
}

TEST_F(HostRegistryTest, AHostThatWasStartedAgainDoesNotWaitForItsOldLease) {
  ASSERT_TRUE(registry_.Join(Identity("h1", "one", "10.0.0.1:8001")).ok());

  EXPECT_TRUE(registry_.Join(Identity("h1", "two", "10.0.0.1:8001")).ok());

  // Nor do two who believe that they are the same host take turns.
  const absl::Status refused = registry_.Join(Identity("h1", "one", "10.0.0.1:8001")).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(registry_.hosts().front().instance(), "two");
}

TEST_F(HostRegistryTest, ALeaseThatAnotherControlPlaneGaveCountsHereToo) {
  HostRegistry other{records_, {.now = [this] { return records_.now.load(); }}};
  other.SetShards(std::set<std::string>{"films"});
  ASSERT_TRUE(other.Join(Identity("h1", "one", "10.0.0.1:8001")).ok());

  EXPECT_EQ(registry_.Join(Identity("h1", "two", "10.0.0.2:8001")).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(registry_.Join(Identity("h1", "one", "10.0.0.1:8001")).ok());
}

TEST_F(HostRegistryTest, AHostThatLeavesIsGoneAndAnotherOnesGoodByeIsNotHeard) {
  ASSERT_TRUE(registry_.Join(Identity("h1", "one", "10.0.0.1:8001")).ok());

  EXPECT_TRUE(registry_.GoodBye(Identity("h1", "two", "10.0.0.1:8001")).ok());
  EXPECT_THAT(Ids(), ElementsAre("h1"));
  EXPECT_TRUE(registry_.GoodBye(Identity("h1", "one", "10.0.0.1:8001")).ok());

  EXPECT_THAT(Ids(), IsEmpty());
  EXPECT_FALSE(records_.Find("h1")->has_value());
}

TEST_F(HostRegistryTest, WhatIsNoHostIsRefusedWithWhatIsExpected) {
  const auto problem = [this](const v1::HostIdentity& host) {
    return std::string(registry_.Join(host).status().message());
  };
  EXPECT_THAT(problem(Identity("", "i", "10.0.0.1:1")), HasSubstr("host id: '', expected 1 to 128 printable"));
  EXPECT_THAT(problem(Identity("a\nb", "i", "10.0.0.1:1")), HasSubstr("host id: 'a\\nb', expected"));
  EXPECT_THAT(problem(Identity(std::string(129, 'x'), "i", "10.0.0.1:1")), HasSubstr("host id"));
  EXPECT_THAT(problem(Identity("a", "", "10.0.0.1:1")), HasSubstr("instance: ''"));
  EXPECT_THAT(problem(Identity("a", "i", "10.0.0.1")), HasSubstr("address: '10.0.0.1', expected HOST:PORT"));
  EXPECT_THAT(problem(Identity("a", "i", "10.0.0.1:70000")), HasSubstr("a port from 1 to 65535"));
  EXPECT_THAT(problem(Identity("a", "i", "http://10.0.0.1:80")), HasSubstr("expected HOST:PORT"));
  EXPECT_THAT(problem(Identity("a", "i", "0.0.0.0:8001")), HasSubstr("all interfaces"));
  EXPECT_EQ(problem(Identity("a", "i", "10.0.0.1:1", "tv")),
            "shard 'tv' is not one of the fleet; it has films, flights");
  v1::HostIdentity odd = Identity("a", "i", "[fd00::1]:8001");
  odd.set_cores(-1);
  EXPECT_THAT(problem(odd), HasSubstr("cores: -1"));
  EXPECT_THAT(Ids(), IsEmpty());
}

TEST_F(HostRegistryTest, WhereNoFleetIsManagedNobodyJoins) {
  registry_.SetShards(std::nullopt);
  const absl::Status status = registry_.Join(Identity("h1", "one", "10.0.0.1:8001")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no fleet is managed here"));
}

TEST_F(HostRegistryTest, ThereIsALimitAndThoseWhoAreGoneDoNotCount) {
  for (const char* id : {"h1", "h2", "h3"}) ASSERT_TRUE(registry_.Join(Identity(id, "i", "10.0.0.1:8001")).ok());
  EXPECT_EQ(registry_.Join(Identity("h4", "i", "10.0.0.1:8001")).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(registry_.Join(Identity("h1", "i", "10.0.0.1:8001")).ok());
  Pass(milliseconds(15'000));
  EXPECT_TRUE(registry_.Join(Identity("h4", "i", "10.0.0.1:8001")).ok());
}

TEST_F(HostRegistryTest, AStoreThatCannotBeWrittenIsToldAndTheHostIsNotIn) {
  records_.failure = absl::UnavailableError("store is locked");
  EXPECT_EQ(registry_.Join(Identity("h1", "i", "10.0.0.1:8001")).status().message(), "store is locked");
  EXPECT_THAT(Ids(), IsEmpty());
}

class RegistrationTest : public testing::Test {
 protected:
  struct Control {
    explicit Control(RegistrationSink& sink, int at = 0) : registry(sink, {.renew_within = milliseconds(100)}) {
      registry.SetShards(std::set<std::string>{"films"});
      grpc::ServerBuilder builder;
      builder.AddListeningPort(fmt::format("127.0.0.1:{}", at), grpc::InsecureServerCredentials(), &port);
      builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
      builder.RegisterService(&registry);
      server = builder.BuildAndStart();
    }
    ~Control() { server->Shutdown(std::chrono::system_clock::now()); }
    std::string address() const { return fmt::format("127.0.0.1:{}", port); }

    HostRegistry registry;
    int port = 0;
    std::unique_ptr<grpc::Server> server;
  };

  std::unique_ptr<Registration> Start(const std::string& control, const std::string& instance = "life") {
    auto registration = Registration::Start({.control = control,
                                             .identity = [this, instance]() -> absl::StatusOr<v1::HostIdentity> {
                                               if (!lives_) return absl::UnavailableError("the host does not live");
                                               return Identity("h1", instance, "10.0.0.1:8001");
                                             },
                                             .retry_first = milliseconds(10),
                                             .retry_max = milliseconds(50)},
                                            [this](const RegistrationStatus& status) {
                                              std::lock_guard lock(mutex_);
                                              seen_.push_back(status);
                                              changed_.notify_all();
                                            });
    EXPECT_TRUE(registration.ok()) << registration.status();
    return registration.ok() ? *std::move(registration) : nullptr;
  }

  bool Until(const std::function<bool(const RegistrationStatus&)>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return !seen_.empty() && condition(seen_.back()); });
  }
  bool UntilRegistered(const std::string& control) {
    return Until([&](const RegistrationStatus& status) { return status.registered && status.control == control; });
  }
  bool UntilTrouble(const std::string& text) {
    return Until([&](const RegistrationStatus& status) { return status.trouble.find(text) != std::string::npos; });
  }

  Records records_;
  std::atomic<bool> lives_ = true;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<RegistrationStatus> seen_;
};

TEST_F(RegistrationTest, AHostJoinsAndLeaves) {
  Control control(records_);
  auto registration = Start(control.address());
  ASSERT_TRUE(UntilRegistered(control.address()));
  EXPECT_EQ(control.registry.hosts().size(), 1U);

  const absl::Status left = registration->Leave(kPatience);

  EXPECT_TRUE(left.ok()) << left;
  EXPECT_THAT(control.registry.hosts(), IsEmpty());
}

TEST_F(RegistrationTest, AHostThatLeavesWhileItJoinsHasLeft) {
  Control control(records_);
  records_.CloseGate();
  auto registration = Start(control.address());
  records_.WaitAtGate();

  std::thread leaving([&] { EXPECT_TRUE(registration->Leave(kPatience).ok()); });
  records_.OpenGate();
  leaving.join();

  EXPECT_FALSE(records_.Find("h1")->has_value());
  EXPECT_THAT(control.registry.hosts(), IsEmpty());
}

TEST_F(RegistrationTest, TheNextControlPlaneIsTakenWhenOneIsGone) {
  auto first = std::make_unique<Control>(records_);
  Control second(records_);
  auto registration = Start(first->address() + "," + second.address());
  ASSERT_TRUE(UntilRegistered(first->address()));

  first.reset();

  ASSERT_TRUE(UntilRegistered(second.address()));
  EXPECT_EQ(second.registry.hosts().size(), 1U);
  EXPECT_TRUE(registration->Leave(kPatience).ok());
  EXPECT_FALSE(records_.Find("h1")->has_value());
}

TEST_F(RegistrationTest, AControlPlaneThatIsNotThereYetIsWaitedFor) {
  auto gone = std::make_unique<Control>(records_);
  const int port = gone->port;
  const std::string address = gone->address();
  gone.reset();
  auto registration = Start(address);
  ASSERT_TRUE(UntilTrouble(address));

  Control control(records_, port);

  EXPECT_TRUE(UntilRegistered(address));
}

TEST_F(RegistrationTest, WhoIsRefusedIsToldWhyAndAsksAgain) {
  Control control(records_);
  control.registry.SetShards(std::set<std::string>{"flights"});
  auto registration = Start(control.address());
  ASSERT_TRUE(UntilTrouble("shard 'films' is not one of the fleet"));

  control.registry.SetShards(std::set<std::string>{"films"});

  EXPECT_TRUE(UntilRegistered(control.address()));
}

TEST_F(RegistrationTest, AHostThatDoesNotLiveIsNotRenewed) {
  Control control(records_);
  auto registration = Start(control.address());
  ASSERT_TRUE(UntilRegistered(control.address()));

  lives_ = false;

  ASSERT_TRUE(UntilTrouble("the host does not live"));
  EXPECT_FALSE(registration->status().registered);
  lives_ = true;
  EXPECT_TRUE(UntilRegistered(control.address()));
}

TEST_F(RegistrationTest, LeavingWithoutAControlPlaneEndsInTime) {
  auto control = std::make_unique<Control>(records_);
  auto registration = Start(control->address());
  ASSERT_TRUE(UntilRegistered(control->address()));
  control.reset();

  const absl::Status left = registration->Leave(milliseconds(500));

  EXPECT_EQ(left.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(left.message()), HasSubstr("no control plane has heard that host h1 leaves"));
}

TEST(LiveHost, EachLifeOfAServerHasANameOfItsOwn) {
  TestHost server;
  LiveHost host(server.address());
  const absl::StatusOr<std::string> first = host.Instance(kPatience);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(host.Instance(kPatience).value(), *first);

  server.Stop();
  const absl::Status away = host.Instance(milliseconds(1'000)).status();
  server.Start(server.port());
  absl::StatusOr<std::string> second = host.Instance(kPatience);
  while (!second.ok()) second = host.Instance(kPatience);  // gRPC waits a little before it connects again

  EXPECT_TRUE(absl::IsUnavailable(away)) << away;
  EXPECT_THAT(std::string(away.message()), HasSubstr(server.address()));
  EXPECT_NE(*second, *first);
}

TEST(LiveHost, AServerThatStatesItsInstanceIsTakenAtItsWord) {
  TestHost server;
  server.Behave([](TestBehaviour& behaviour) { behaviour.instance = "life-7"; });
  EXPECT_EQ(LiveHost(server.address()).Instance(kPatience).value(), "life-7");
}

TEST(LiveHost, AServerThatHangsDoesNotLive) {
  TestHost server;
  server.Behave([](TestBehaviour& behaviour) { behaviour.hangs = {"ServerLive"}; });
  const absl::Status status = LiveHost(server.address()).Instance(milliseconds(100)).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("no answer to ServerLive within 100 ms"));
}

TEST_F(RegistrationTest, AddressesThatAreNoneAreRefused) {
  for (const char* control : {"", "here", "a:1,,b:2", "a:0", "a b:1"}) {
    EXPECT_EQ(Registration::Start({.control = control, .identity = nullptr}, nullptr).status().code(),
              absl::StatusCode::kInvalidArgument)
        << control;
  }
}

}  // namespace
}  // namespace signalbox::fleet
