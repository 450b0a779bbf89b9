// The fleet and the reference host of this repository, with real models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fleet/test_fleet.h"
#include "host/host.h"
#include "host/test_repository.h"

namespace signalbox::fleet {
namespace {

using rollout::CommandKind;
using rollout::CommandResult;
using rollout::ModelState;
using rollout::ObservedHost;
using std::chrono::milliseconds;
using testing::HasSubstr;

class ReferenceHostTest : public FleetTest {
 protected:
  void SetUp() override {
    const host::TestRepository* models = host::TestRepository::Get();
    ASSERT_NE(models, nullptr);
    models_ = models->path();
    Start("127.0.0.1:0");
    FleetTest::SetUp();
  }

  void Start(const std::string& listen, uint64_t memory_bytes = 0) {
    auto host =
        host::Host::Start({.repository = models_, .listen = listen, .load = {"none"}, .memory_bytes = memory_bytes});
    ASSERT_TRUE(host.ok()) << host.status();
    real_host_ = *std::move(host);
    ASSERT_TRUE(real_host_->WaitUntilLoaded(kPatience).has_value());
  }

  // As a host that has registered.
  bool Know() {
    fleet_->SetHosts(
        {{.id = "h1", .address = real_host_->address(), .shard = "films", .instance = real_host_->instance()}});
    return Until([this] { return Observed("h1").alive && Observed("h1").instance == real_host_->instance(); });
  }

  CommandResult Run(CommandKind kind, const std::string& model) { return FleetTest::Run(Command(kind, "h1", model)); }

  std::string models_;
  std::unique_ptr<host::Host> real_host_;
};

TEST_F(ReferenceHostTest, EveryModelIsLoadedTriedAndUnloadedByItsVersion) {
  ASSERT_TRUE(Know());
  for (const char* model :
       {"title-ranker@1", "title-ranker@2", "title-ranker@3", "arrival-delay@1", "arrival-delay@2"}) {
    const CommandResult loaded = Run(CommandKind::kLoad, model);
    EXPECT_TRUE(loaded.status.ok()) << loaded.status;
    const CommandResult tried = Run(CommandKind::kDryRun, model);
    EXPECT_TRUE(tried.status.ok()) << tried.status;
    EXPECT_EQ(tried.note, "");
    EXPECT_GT(tried.seconds, 0) << model;
  }

  const CommandResult unloaded = Run(CommandKind::kUnload, "title-ranker@2");

  EXPECT_TRUE(unloaded.status.ok()) << unloaded.status;
  EXPECT_EQ(Observed("h1").index.at("title-ranker@2").state, ModelState::kUnavailable);
  EXPECT_EQ(Observed("h1").index.at("title-ranker@3").state, ModelState::kReady);
  EXPECT_GE(Observed("h1").saturation, 0);
}

TEST_F(ReferenceHostTest, AModelBeyondTheMemoryIsRefusedWithItsCode) {
  real_host_.reset();
  Start("127.0.0.1:0", /*memory_bytes=*/1);
  ASSERT_TRUE(Know());

  const CommandResult result = Run(CommandKind::kLoad, "title-ranker@3");

  EXPECT_EQ(result.status.code(), absl::StatusCode::kResourceExhausted) << result.status;
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("(--memory-bytes)"));
}

TEST_F(ReferenceHostTest, ARestartIsAnotherLifeWithNothingLoaded) {
  ASSERT_TRUE(Know());
  ASSERT_TRUE(Run(CommandKind::kLoad, "title-ranker@1").status.ok());
  const ObservedHost before = Observed("h1");

  real_host_->Stop(milliseconds(0));
  ASSERT_TRUE(Until([this] { return !Observed("h1").alive; }));
  Start(before.address);
  ASSERT_TRUE(Know());

  EXPECT_NE(Observed("h1").instance, before.instance);
  EXPECT_EQ(Observed("h1").index.at("title-ranker@1").state, ModelState::kUnavailable);
}

}  // namespace
}  // namespace signalbox::fleet
