#include "control/file_publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "base/status.h"
#include "base/test_folder.h"

namespace signalbox::control {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr auto kLong = 10s;

std::string Placement(int port) {
  return R"({"shards": {"s1": ["127.0.0.1:)" + std::to_string(port) + R"("]}, "models": {"ranker": ["s1"]}})";
}

class FilePublisherTest : public testing::Test {
 protected:
  void Write(const std::string& json) { ASSERT_TRUE(WriteFileAtomically(file_, json).ok()); }
  absl::StatusOr<std::unique_ptr<FilePublisher>> Start(const std::string& node_id = "control-1") {
    return FilePublisher::Start(**store_, PlacementFile(),
                                {.file = file_, .node_id = node_id, .poll_interval = 5ms, .retry_interval = 5ms});
  }
  std::string Newest() { return (*store_)->Get("placement", std::nullopt)->content; }

  TestFolder folder_;
  const std::string file_ = folder_.File("placement.json");
  absl::StatusOr<std::unique_ptr<store::Store>> store_ =
      store::OpenStore("sqlite:" + folder_.File("store.db"), store::OpenMode::kCreateIfMissing);
};

TEST_F(FilePublisherTest, PublishesAtTheStartAndWheneverTheFileChanges) {
  Write(Placement(9000));
  auto publisher = Start();
  ASSERT_TRUE(publisher.ok()) << publisher.status();
  EXPECT_THAT(Newest(), HasSubstr("9000"));
  auto watch = *(*store_)->WatchChanges(1);
  Write(Placement(9001));
  ASSERT_EQ(watch->Next(kLong)->size(), 1u);
  EXPECT_THAT(Newest(), HasSubstr("9001"));
  EXPECT_TRUE((*publisher)->last_error().ok());
}

TEST_F(FilePublisherTest, AnUnchangedPlacementIsNotPublishedAgain) {
  Write(Placement(9000));
  { auto publisher = Start(); }
  Write(" " + Placement(9000));
  { auto publisher = Start(); }
  EXPECT_EQ((*store_)->Latest()->sequence, 1);
}

TEST_F(FilePublisherTest, TheControlPlaneSignsWithItsName) {
  Write(Placement(9000));
  ASSERT_TRUE(Start("control-7").ok());
  EXPECT_EQ((*store_)->History("placement", 1)->front().author, "control-7");
}

TEST_F(FilePublisherTest, ARestartDoesNotPutAnOldFileOverWhatAnotherControlPlaneHasPublishedSince) {
  Write(Placement(9000));
  { auto first = Start("control-1"); }
  Write(Placement(9001));
  { auto second = Start("control-2"); }
  EXPECT_THAT(Newest(), HasSubstr("9001"));
  Write(Placement(9000));
  auto again = Start("control-1");
  ASSERT_TRUE(again.ok()) << again.status();
  const std::string error(Message((*again)->last_error()));
  EXPECT_THAT(error, HasSubstr("placement.json says what version 1 said"));
  EXPECT_THAT(error, HasSubstr("version 2 by control-2 at 20"));
  EXPECT_THAT(Newest(), HasSubstr("9001"));
  // Nor does one that has never published, with an older version.
  auto third = Start("control-3");
  EXPECT_EQ((*third)->last_error().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ((*store_)->Latest()->sequence, 2);
  // Who writes the file means it.
  auto watch = *(*store_)->WatchChanges(2);
  Write(Placement(9000));
  ASSERT_GE(watch->Next(kLong)->size(), 1u);
  EXPECT_THAT(Newest(), HasSubstr("9000"));
}

TEST_F(FilePublisherTest, AFileThatWasChangedWhileItsControlPlaneWasDownIsPublished) {
  Write(Placement(9000));
  { auto first = Start("control-1"); }
  Write(Placement(9001));
  { auto second = Start("control-2"); }
  Write(Placement(9002));
  auto again = Start("control-1");
  ASSERT_TRUE((*again)->last_error().ok()) << (*again)->last_error();
  EXPECT_THAT(Newest(), HasSubstr("9002"));
}

TEST_F(FilePublisherTest, ABrokenFileIsReportedAndTheLastPlacementStaysUntilItIsGoodAgain) {
  Write(Placement(9000));
  auto publisher = *Start();
  Write("{\"shards\": ");
  while (publisher->last_error().ok()) std::this_thread::sleep_for(1ms);
  EXPECT_THAT(std::string(Message(publisher->last_error())), HasSubstr("placement.json:1:"));
  EXPECT_THAT(Newest(), HasSubstr("9000"));
  std::filesystem::remove(file_);
  while (!absl::IsNotFound(publisher->last_error())) std::this_thread::sleep_for(1ms);
  auto watch = *(*store_)->WatchChanges(1);
  Write(Placement(9001));
  ASSERT_EQ(watch->Next(kLong)->size(), 1u);
}

TEST_F(FilePublisherTest, ABrokenFileAtTheStartIsAnErrorOnlyWhenThereIsNoPlacementYet) {
  Write("[]");
  absl::Status status = Start().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(Message(status)), HasSubstr(file_));
  Write(Placement(9000));
  { auto publisher = Start(); }
  Write("[]");
  auto publisher = Start();
  ASSERT_TRUE(publisher.ok()) << publisher.status();
  EXPECT_FALSE((*publisher)->last_error().ok());
}

TEST_F(FilePublisherTest, AMissingFileIsNotFound) { EXPECT_EQ(Start().status().code(), absl::StatusCode::kNotFound); }

}  // namespace
}  // namespace signalbox::control
