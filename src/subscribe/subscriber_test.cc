#include "subscribe/subscriber.h"

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/file.h"
#include "base/test_folder.h"
#include "decide/test_snapshot.h"
#include "subscribe/test_control_plane.h"

namespace signalbox::subscribe {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

constexpr auto kLong = 10s;  // a wait that only a failing test sees the end of

// As a control plane sends it. `share_ppm` tells contents apart.
v1::SnapshotUpdate Update(int64_t version, uint32_t share_ppm = 100'000) {
  v1::Snapshot proto = decide::ExampleSnapshot();
  proto.set_version(version);
  proto.set_created_unix_ms(1'700'000'000'000);
  proto.mutable_rule_sets(0)->mutable_rule_set()->mutable_traffic_shifts(0)->set_share_ppm(share_ppm);
  proto = decide::CompileOrDie(std::move(proto))->proto();
  v1::SnapshotUpdate update;
  update.set_snapshot(proto.SerializeAsString());
  update.set_hash(proto.hash());
  update.set_version(version);
  return update;
}

// A port that takes connections and never says a word.
class SilentPort {
 public:
  SilentPort() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(listen(socket_, 8), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~SilentPort() { close(socket_); }
  const std::string& address() const { return address_; }

 private:
  const int socket_;
  std::string address_;
};

class SubscriberTest : public testing::Test {
 protected:
  SubscriberOptions Options(std::string control) const {
    SubscriberOptions options;
    options.control = std::move(control);
    options.state_dir = folder_.File("state");
    options.node_id = "node-1";
    options.reconnect_first = 5ms;
    options.reconnect_max = 50ms;
    return options;
  }

  std::unique_ptr<Subscriber> Start(SubscriberOptions options) {
    auto subscriber =
        Subscriber::Start(std::move(options), [this](const std::shared_ptr<const decide::Snapshot>& snapshot) {
          std::lock_guard lock(mutex_);
          if (!verdict_.ok()) return verdict_;
          versions_.push_back(snapshot->version());
          changed_.notify_all();
          return absl::OkStatus();
        });
    EXPECT_TRUE(subscriber.ok()) << subscriber.status();
    return *std::move(subscriber);
  }

  std::unique_ptr<Subscriber> Start() { return Start(Options(control_->address())); }

  void RefuseFromNowOn(absl::Status verdict) {
    std::lock_guard lock(mutex_);
    verdict_ = std::move(verdict);
  }

  std::vector<int64_t> versions() {
    std::lock_guard lock(mutex_);
    return versions_;
  }

  bool WaitForVersion(int64_t version) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLong, [&] { return !versions_.empty() && versions_.back() == version; });
  }

  TestFolder folder_;
  std::unique_ptr<TestControlPlane> control_ = std::make_unique<TestControlPlane>();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int64_t> versions_;
  absl::Status verdict_;
};

TEST_F(SubscriberTest, TheNewestSnapshotIsRunKeptAndAcknowledged) {
  control_->Send(Update(7));
  auto subscriber = Start();
  ASSERT_TRUE(subscriber->WaitForSnapshot(kLong));
  EXPECT_EQ(control_->ReportNumber(0).node_id(), "node-1");
  EXPECT_EQ(control_->ReportNumber(0).running_version(), 0);
  const v1::SubscriberStatus acknowledged = control_->ReportNumber(1);
  EXPECT_EQ(acknowledged.running_version(), 7);
  EXPECT_EQ(acknowledged.running_hash(), Update(7).hash());
  EXPECT_FALSE(acknowledged.has_refusal());

  control_->Send(Update(8));
  EXPECT_EQ(control_->ReportNumber(2).running_version(), 8);
  EXPECT_THAT(versions(), ElementsAre(7, 8));
  const SubscriberStatus status = subscriber->status();
  EXPECT_TRUE(status.connected);
  EXPECT_EQ(status.control, control_->address());
  EXPECT_EQ(status.version, 8);
  EXPECT_EQ(status.created_unix_ms, 1'700'000'000'000);
  EXPECT_FALSE(status.from_disk);
  EXPECT_THAT(status.last_refusal.reason + status.connection_error + status.state_error, IsEmpty());
}

TEST_F(SubscriberTest, WhatIsWrongIsRefusedWithTheReasonAndWhatRanGoesOnRunning) {
  control_->Send(Update(7));
  auto subscriber = Start();
  ASSERT_EQ(control_->ReportNumber(1).running_version(), 7);

  v1::SnapshotUpdate truncated = Update(8);
  truncated.mutable_snapshot()->resize(truncated.snapshot().size() - 3);
  v1::SnapshotUpdate other_content = Update(8);
  v1::Snapshot changed;
  changed.ParseFromString(other_content.snapshot());
  changed.mutable_rule_sets(0)->mutable_rule_set()->mutable_traffic_shifts(0)->set_share_ppm(1);
  other_content.set_snapshot(changed.SerializeAsString());
  v1::SnapshotUpdate other_hash = Update(8);
  other_hash.set_hash(std::string(64, '0'));
  v1::SnapshotUpdate without_hash = Update(8);
  without_hash.clear_hash();
  v1::Snapshot nonsense = decide::ExampleSnapshot();
  nonsense.mutable_rule_sets(0)->mutable_rule_set()->mutable_traffic_shifts(0)->set_share_ppm(2'000'000);
  nonsense.set_version(8);
  nonsense.set_hash("x");
  v1::SnapshotUpdate not_compiling;
  not_compiling.set_version(8);
  not_compiling.set_hash("x");
  not_compiling.set_snapshot(nonsense.SerializeAsString());

  const std::vector<std::pair<v1::SnapshotUpdate, std::string>> cases = {
      {truncated, "damaged, or cut off"},
      {other_content, "damaged or changed on the way"},
      {other_hash, "announced as version 8 with hash '0000"},
      {without_hash, "announced as version 8 with hash ''"},
      {not_compiling, "2000000 ppm"},
      {Update(6), "version 6 is older than version 7"},
      {Update(7, 5), "two histories"},
  };
  size_t reports = 2;
  for (const auto& [update, reason] : cases) {
    control_->Send(update);
    const v1::SubscriberStatus refused = control_->ReportNumber(reports++);
    EXPECT_EQ(refused.running_version(), 7) << reason;
    EXPECT_EQ(refused.refusal().version(), update.version()) << reason;
    EXPECT_THAT(refused.refusal().reason(), HasSubstr(reason));
    EXPECT_THAT(subscriber->status().last_refusal.reason, HasSubstr(reason));
  }
  control_->Send(Update(9));
  EXPECT_EQ(control_->ReportNumber(reports).running_version(), 9);
  EXPECT_THAT(versions(), ElementsAre(7, 9));
  EXPECT_THAT(subscriber->status().last_refusal.reason, IsEmpty());
}

TEST_F(SubscriberTest, ASnapshotThatTheDataPlaneDoesNotTakeIsRefused) {
  RefuseFromNowOn(absl::UnavailableError("host name does not resolve"));
  control_->Send(Update(7));
  auto subscriber = Start();
  EXPECT_EQ(control_->ReportNumber(1).refusal().reason(), "host name does not resolve");
  EXPECT_FALSE(subscriber->WaitForSnapshot(0ms));
  EXPECT_FALSE(std::filesystem::exists(folder_.File("state/snapshot.pb")));
}

TEST_F(SubscriberTest, TheSameSnapshotAgainIsAcknowledgedAndNotHandedOutTwice) {
  control_->Send(Update(7));
  auto subscriber = Start();
  ASSERT_EQ(control_->ReportNumber(1).running_version(), 7);
  control_->Send(Update(7));
  EXPECT_FALSE(control_->ReportNumber(2).has_refusal());
  EXPECT_THAT(versions(), ElementsAre(7));
}

TEST_F(SubscriberTest, StartsFromDiskWhenNoControlPlaneIsThereAndCatchesUpWhenOneComes) {
  control_->Send(Update(7));
  auto first = Start();
  ASSERT_EQ(control_->ReportNumber(1).running_version(), 7);
  first.reset();
  const int port = control_->port();
  const std::string address = control_->address();
  control_.reset();

  auto second = Start(Options(address));
  ASSERT_TRUE(second->WaitForSnapshot(kLong));
  EXPECT_THAT(versions(), ElementsAre(7, 7));
  EXPECT_TRUE(second->status().from_disk);
  EXPECT_FALSE(second->status().connected);

  control_ = std::make_unique<TestControlPlane>(port);
  control_->Send(Update(8));
  ASSERT_TRUE(WaitForVersion(8));
  EXPECT_EQ(control_->ReportNumber(0).running_version(), 7);
  EXPECT_EQ(control_->ReportNumber(1).running_version(), 8);
  EXPECT_FALSE(second->status().from_disk);
}

TEST_F(SubscriberTest, ADamagedFileOnDiskIsReportedAndReplacedByTheNextGoodSnapshot) {
  const std::string whole = Update(7).SerializeAsString();
  const std::string file = folder_.File("state/snapshot.pb");
  std::filesystem::create_directories(folder_.File("state"));
  for (size_t bytes : {size_t{0}, size_t{1}, whole.size() / 2, whole.size() - 1}) {
    ASSERT_TRUE(WriteFileAtomically(file, whole.substr(0, bytes)).ok());
    control_ = std::make_unique<TestControlPlane>();
    auto subscriber = Start();
    control_->ReportNumber(0);
    EXPECT_FALSE(subscriber->WaitForSnapshot(0ms));
    EXPECT_THAT(subscriber->status().last_refusal.reason, HasSubstr(file)) << bytes;
    control_->Send(Update(7));
    EXPECT_EQ(control_->ReportNumber(1).running_version(), 7);
    EXPECT_EQ(ReadFile(file, 1 << 20)->size(), whole.size());
  }
}

TEST_F(SubscriberTest, ADiskThatCannotBeWrittenIsReportedAndTheSnapshotRuns) {
  std::filesystem::create_directories(folder_.File("state/snapshot.pb/in-the-way"));
  control_->Send(Update(7));
  auto subscriber = Start();
  EXPECT_FALSE(control_->ReportNumber(1).has_refusal());
  EXPECT_EQ(subscriber->status().version, 7);
  EXPECT_THAT(subscriber->status().state_error, HasSubstr("snapshot.pb"));
  std::filesystem::remove_all(folder_.File("state/snapshot.pb"));
  control_->Send(Update(8));
  EXPECT_EQ(control_->ReportNumber(2).running_version(), 8);
  EXPECT_THAT(subscriber->status().state_error, IsEmpty());
}

TEST_F(SubscriberTest, WhatLiesOnADiskThatTakesNothingNewerIsToldAsInUse) {
  control_->Send(Update(7));
  SubscriberOptions options = Options(control_->address());
  options.oldest_version_in_use = [this] { return versions().empty() ? 0 : versions().back(); };
  auto subscriber = Start(std::move(options));
  size_t next = 0;
  const auto until_told = [&](int64_t running, int64_t oldest) {
    while (!HasFailure()) {
      const v1::SubscriberStatus report = control_->ReportNumber(next++);
      if (report.running_version() == 8) {
        EXPECT_EQ(report.oldest_version_in_use(), 7);
      }
      if (report.running_version() == running && report.oldest_version_in_use() == oldest) return;
    }
  };
  until_told(7, 7);
  while (!std::filesystem::exists(folder_.File("state/snapshot.pb"))) std::this_thread::yield();
  // Where the next one would be written to.
  const std::string in_the_way = folder_.File("state/snapshot.pb.tmp-" + std::to_string(getpid()));
  std::filesystem::create_directories(in_the_way);
  control_->Send(Update(8));
  until_told(8, 7);
  EXPECT_THAT(subscriber->status().state_error, HasSubstr("snapshot.pb"));
  std::filesystem::remove(in_the_way);
  control_->Send(Update(9));
  until_told(9, 9);
}

TEST_F(SubscriberTest, ReconnectsForAsLongAsItTakesAndNeverGoesBack) {
  control_->Send(Update(7));
  auto subscriber = Start();
  ASSERT_TRUE(WaitForVersion(7));
  const int port = control_->port();
  for (int64_t version : {8, 9, 10}) {
    control_.reset();
    control_ = std::make_unique<TestControlPlane>(port);
    control_->Send(Update(version - 4));
    EXPECT_THAT(control_->ReportNumber(1).refusal().reason(), HasSubstr("is older than"));
    control_->Send(Update(version));
    ASSERT_TRUE(WaitForVersion(version));
  }
  EXPECT_THAT(versions(), ElementsAre(7, 8, 9, 10));
}

TEST_F(SubscriberTest, OfSeveralControlPlanesOneThatAnswersIsEnough) {
  SilentPort silent;
  std::string gone;
  {
    SilentPort closed;
    gone = closed.address();
  }
  control_->Send(Update(7));
  auto subscriber = Start(Options(gone + "," + silent.address() + "," + control_->address()));
  ASSERT_TRUE(subscriber->WaitForSnapshot(kLong));
  EXPECT_EQ(subscriber->status().control, control_->address());
}

TEST_F(SubscriberTest, WithoutAnAnswerSaysWhyAndStopsAtOnce) {
  SilentPort silent;
  auto subscriber = Start(Options(silent.address()));
  EXPECT_FALSE(subscriber->WaitForSnapshot(20ms));
  const auto start = std::chrono::steady_clock::now();
  subscriber->Stop();
  subscriber->Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 1s);
  EXPECT_FALSE(subscriber->status().connected);
  EXPECT_THAT(subscriber->status().connection_error, HasSubstr(silent.address()));
}

TEST_F(SubscriberTest, TheSameVersionForOtherScopesIsTakenWhenThisDataPlaneHasChangedItsLabels) {
  control_->Send(Update(7));
  { ASSERT_TRUE(Start()->WaitForSnapshot(kLong)); }
  v1::SnapshotUpdate update = Update(7, 200'000);
  control_ = std::make_unique<TestControlPlane>();
  update.add_scopes("region=eu");
  control_->Send(update);
  SubscriberOptions options = Options(control_->address());
  options.scopes = {"region=eu"};
  auto subscriber = Start(options);
  EXPECT_THAT(control_->ReportNumber(0).scopes(), ElementsAre("region=eu"));
  const v1::SubscriberStatus answer = control_->ReportNumber(1);
  EXPECT_FALSE(answer.has_refusal()) << answer.refusal().reason();
  EXPECT_EQ(answer.running_hash(), update.hash());
}

TEST_F(SubscriberTest, WhatIsStillInUseIsToldAndThatItIsNotAnyMore) {
  std::atomic<int64_t> oldest = 5;
  SubscriberOptions options = Options(control_->address());
  options.oldest_version_in_use = [&] { return oldest.load(); };
  control_->Send(Update(7));
  auto subscriber = Start(options);
  EXPECT_EQ(control_->ReportNumber(1).oldest_version_in_use(), 5);
  oldest = 7;
  int report = 2;
  while (control_->ReportNumber(static_cast<size_t>(report)).oldest_version_in_use() != 7) ++report;
  EXPECT_EQ(control_->ReportNumber(static_cast<size_t>(report)).running_version(), 7);
}

TEST_F(SubscriberTest, AFolderThatAnotherSubscriberUsesIsRefused) {
  auto first = Start();
  absl::Status status = Subscriber::Start(Options(control_->address()), [](auto) { return absl::OkStatus(); }).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SubscriberTest, OptionsThatMakeNoSenseAreRefused) {
  auto start = [](SubscriberOptions options) {
    return Subscriber::Start(std::move(options), [](auto) { return absl::OkStatus(); }).status().code();
  };
  for (const char* control : {"", "host", "host:", "host:0", "host:70000", ":1", "a:1,", "a:1,,b:2", "http://a:1"}) {
    EXPECT_EQ(start(Options(control)), absl::StatusCode::kInvalidArgument) << control;
  }
  SubscriberOptions options = Options("localhost:1");
  options.keepalive = 999ms;
  EXPECT_EQ(start(options), absl::StatusCode::kInvalidArgument);
  options = Options("localhost:1");
  options.node_id = "two words";
  EXPECT_EQ(start(options), absl::StatusCode::kInvalidArgument);
  options = Options("localhost:1");
  options.reconnect_max = 0ms;
  EXPECT_EQ(start(options), absl::StatusCode::kInvalidArgument);
}

TEST_F(SubscriberTest, AReportIsNotOvertakenByOneThatWasMadeAfterIt) {
  std::atomic<std::thread::id> acknowledging = std::thread::id();
  std::atomic<bool> is_done = false;  // the request that version 7 was still in use for
  std::atomic<bool> overtaken = false;
  SubscriberOptions options = Options(control_->address());
  options.oldest_version_in_use = [&]() -> int64_t {
    if (acknowledging.load() == std::thread::id()) return 0;
    if (std::this_thread::get_id() != acknowledging.load()) return is_done ? 8 : 7;
    // The other thread has all the time it needs to tell what is true by now, if it only may.
    if (!is_done.exchange(true)) overtaken = control_->AwaitOldestInUse(8, std::chrono::milliseconds(500));
    return 7;
  };
  auto subscriber = Subscriber::Start(options, [&](const std::shared_ptr<const decide::Snapshot>&) {
    acknowledging = std::this_thread::get_id();
    return absl::OkStatus();
  });
  ASSERT_TRUE(subscriber.ok()) << subscriber.status();
  control_->Send(Update(8));
  EXPECT_TRUE(control_->AwaitOldestInUse(8, kLong));
  (*subscriber)->Stop();
  EXPECT_FALSE(overtaken) << "what was true before is what the control plane goes on to believe";
}

}  // namespace
}  // namespace signalbox::subscribe
