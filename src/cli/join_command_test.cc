// `signalbox host --join` and `signalbox join`, as processes.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>

#include <fmt/format.h>

#include "base/child_process.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "fleet/host_registry.h"
#include "fleet/test_host.h"
#include "host/test_repository.h"

namespace signalbox::cli {
namespace {

using testing::HasSubstr;

constexpr std::chrono::seconds kPatience{120};
constexpr size_t kLogBytesMax = 1 << 20;

// A control plane's part in it: who is a member, and a way to wait for changes of that.
class Members : public fleet::RegistrationSink {
 public:
  absl::StatusOr<std::optional<v1::HostIdentity>> Find(const std::string& id) override {
    std::lock_guard lock(mutex_);
    const auto found = members_.find(id);
    return found == members_.end() ? std::nullopt : std::optional(found->second);
  }
  absl::Status Put(const v1::HostIdentity& host, std::chrono::milliseconds) override {
    std::lock_guard lock(mutex_);
    members_[host.id()] = host;
    changed_.notify_all();
    return absl::OkStatus();
  }
  absl::Status Remove(const v1::HostIdentity& host) override {
    std::lock_guard lock(mutex_);
    members_.erase(host.id());
    changed_.notify_all();
    return absl::OkStatus();
  }

  // The first member, when there is one in time.
  std::optional<v1::HostIdentity> Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [this] { return !members_.empty(); });
    return members_.empty() ? std::nullopt : std::optional(members_.begin()->second);
  }
  bool empty() {
    std::lock_guard lock(mutex_);
    return members_.empty();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, v1::HostIdentity> members_;
};

class JoinCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    registry_.SetShards(std::set<std::string>{"films"});
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &control_port_);
    builder.RegisterService(&registry_);
    control_ = builder.BuildAndStart();
  }
  void TearDown() override { control_->Shutdown(std::chrono::system_clock::now()); }

  std::string control() const { return fmt::format("127.0.0.1:{}", control_port_); }

  ChildProcess Start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), SIGNALBOX_BINARY);
    auto process = ChildProcess::Start({.name = "signalbox", .command = std::move(arguments), .log_file = log_});
    EXPECT_TRUE(process.ok()) << process.status();
    return *std::move(process);
  }
  std::string Log() { return ReadFile(log_, kLogBytesMax).value_or(""); }

  TestFolder folder_;
  const std::string log_ = folder_.File("log");
  Members members_;
  fleet::HostRegistry registry_{members_, {}};
  int control_port_ = 0;
  std::unique_ptr<grpc::Server> control_;
};

TEST_F(JoinCommandTest, AHostJoinsWithWhatItIsAndLeavesBeforeItEnds) {
  const host::TestRepository* models = host::TestRepository::Get();
  ASSERT_NE(models, nullptr);
  const std::string port_file = folder_.File("port");
  ChildProcess process = Start({"host", "--repository", models->path(), "--listen", "127.0.0.1:0", "--load", "none",
                                "--port-file", port_file, "--join", control(), "--shard", "films", "--host-id",
                                "films-1", "--memory-bytes", "1000000000", "--cores", "2.5"});

  const std::optional<v1::HostIdentity> member = members_.Wait();
  ASSERT_TRUE(member.has_value()) << Log();
  const absl::StatusOr<int> port = process.WaitForPort(port_file, kPatience);
  ASSERT_TRUE(port.ok()) << port.status();
  EXPECT_EQ(member->id(), "films-1");
  EXPECT_EQ(member->address(), fmt::format("127.0.0.1:{}", *port));
  EXPECT_EQ(member->shard(), "films");
  EXPECT_EQ(member->memory_bytes(), 1'000'000'000U);
  EXPECT_EQ(member->cores(), 2.5);
  EXPECT_EQ(member->instance().size(), 32U);

  EXPECT_TRUE(process.Stop(kPatience)) << process.Report();

  EXPECT_TRUE(members_.empty());
  EXPECT_THAT(Log(), HasSubstr("member of shard films as host films-1"));
  EXPECT_THAT(Log(), HasSubstr("leaving the fleet"));
}

TEST_F(JoinCommandTest, AnyServerIsAMemberForAsLongAsItLives) {
  fleet::TestHost server;
  ChildProcess process = Start({"join", "--control", control(), "--host", server.address(), "--shard", "films"});

  const std::optional<v1::HostIdentity> member = members_.Wait();
  ASSERT_TRUE(member.has_value()) << Log();
  EXPECT_EQ(member->id(), server.address());
  EXPECT_EQ(member->address(), server.address());

  EXPECT_TRUE(process.Stop(kPatience)) << process.Report();
  EXPECT_TRUE(members_.empty());
}

TEST_F(JoinCommandTest, WhatCannotBeIsRefusedWithExitCodeOne) {
  const auto run = [this](std::vector<std::string> arguments) {
    ChildProcess process = Start(std::move(arguments));
    EXPECT_TRUE(process.WaitForEnd(kPatience));
    EXPECT_EQ(process.exit_code(), 1) << Log();
    return Log();
  };
  EXPECT_THAT(run({"join", "--control", control(), "--host", "here", "--shard", "films"}),
              HasSubstr("--host: 'here', expected HOST:PORT"));
  EXPECT_THAT(run({"join", "--control", "there", "--host", "127.0.0.1:1", "--shard", "films"}),
              HasSubstr("control plane: 'there', expected HOST:PORT"));
  EXPECT_THAT(run({"join", "--control", control(), "--host", "0.0.0.0:1", "--shard", "films"}),
              HasSubstr("--advertise HOST:PORT"));
  EXPECT_THAT(run({"host", "--repository", folder_.path(), "--listen", "127.0.0.1:0", "--shard", "films"}),
              HasSubstr("expected --join HOST:PORT with them"));
}

}  // namespace
}  // namespace signalbox::cli
