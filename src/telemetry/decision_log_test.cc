#include "telemetry/decision_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/status.h"

namespace signalbox::telemetry {
namespace {

using ::testing::HasSubstr;

class DecisionLogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/decision_log_XXXXXX";
    folder_ = mkdtemp(pattern.data());
    path_ = folder_ + "/decisions.jsonl";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static std::vector<nlohmann::json> Lines(const std::string& path) {
    std::vector<nlohmann::json> lines;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  static RequestRecord Record(uint64_t id) {
    RequestRecord record;
    record.decision_id = id;
    record.tenant = "tv";
    record.traffic_type = "live";
    return record;
  }

  std::string folder_;
  std::string path_;
};

TEST_F(DecisionLogTest, WhatWasPushedBeforeAFlushIsOnDiskAfterIt) {
  auto log = DecisionLog::Open(path_).value();
  RecordRing& ring = log->AddRing(1);
  ASSERT_TRUE(ring.Push(Record(1)));
  ASSERT_TRUE(ring.Push(Record(2)));
  log->Flush();
  std::vector<nlohmann::json> lines = Lines(path_);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["decision"], "0000000000000001");
  EXPECT_EQ(lines[1]["decision"], "0000000000000002");
  EXPECT_EQ(log->written(), 2u);
}

TEST_F(DecisionLogTest, WhatWaitsAtTheEndIsWritten) {
  auto log = DecisionLog::Open(path_).value();
  log->AddRing(1).Push(Record(1));
  log.reset();
  EXPECT_EQ(Lines(path_).size(), 1u);
}

TEST_F(DecisionLogTest, EveryRecordOfEveryWorkerIsEitherOnceInTheLogOrCountedAsLost) {
  constexpr uint64_t kWorkers = 4;
  constexpr uint64_t kRecords = 20'000;
  auto log = DecisionLog::Open(path_).value();
  // Of many lengths, so that they end everywhere in a ring.
  const std::string user(200, 'u');
  std::vector<uint64_t> refused(kWorkers, 0);
  std::vector<std::thread> workers;
  for (uint64_t worker = 0; worker < kWorkers; ++worker) {
    // Small rings, so that some records do get lost.
    RecordRing& ring = log->AddRing(1);
    workers.emplace_back([&, worker] {
      for (uint64_t i = 0; i < kRecords; ++i) {
        RequestRecord record = Record(worker * kRecords + i);
        record.user = std::string_view(user).substr(i * 7 % user.size());
        if (!ring.Push(record)) ++refused[worker];
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  log->Flush();

  std::set<std::string> ids;
  std::vector<nlohmann::json> lines = Lines(path_);
  for (const nlohmann::json& line : lines) ids.insert(line["decision"]);
  uint64_t lost = 0;
  for (uint64_t count : refused) lost += count;
  EXPECT_EQ(ids.size(), lines.size()) << "a record was written twice";
  EXPECT_EQ(lines.size() + lost, kWorkers * kRecords);
  EXPECT_EQ(log->written(), lines.size());
  EXPECT_EQ(log->lost_to_full_rings(), lost);
  EXPECT_EQ(log->lost_to_write_errors(), 0u);
}

TEST_F(DecisionLogTest, AFullDiskCostsRecordsThatAreCountedAndNothingElse) {
  auto log = DecisionLog::Open("/dev/full").value();
  RecordRing& ring = log->AddRing(256 << 10);
  for (uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(ring.Push(Record(i)));
  log->Flush();
  EXPECT_EQ(log->written(), 0u);
  EXPECT_EQ(log->lost_to_write_errors(), 100u);
  ASSERT_TRUE(ring.Push(Record(100))) << "the ring is empty again";
}

TEST_F(DecisionLogTest, APipeWhoseReaderWentAwayDoesNotEndTheProcess) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  int reader = open(path_.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  auto log = DecisionLog::Open(path_).value();
  close(reader);
  log->AddRing(1).Push(Record(1));
  log->Flush();
  EXPECT_EQ(log->lost_to_write_errors(), 1u);
}

TEST_F(DecisionLogTest, AfterARenameAndReopenNewRecordsGoToTheNewFile) {
  auto log = DecisionLog::Open(path_).value();
  RecordRing& ring = log->AddRing(1);
  ring.Push(Record(1));
  log->Flush();
  std::filesystem::rename(path_, path_ + ".1");
  ASSERT_TRUE(log->Reopen().ok());
  ring.Push(Record(2));
  log->Flush();
  EXPECT_EQ(Lines(path_ + ".1").size(), 1u);
  ASSERT_EQ(Lines(path_).size(), 1u);
  EXPECT_EQ(Lines(path_)[0]["decision"], "0000000000000002");
}

TEST_F(DecisionLogTest, AReopenThatFailsKeepsTheOldFile) {
  std::filesystem::create_directory(folder_ + "/logs");
  std::string path = folder_ + "/logs/decisions.jsonl";
  auto log = DecisionLog::Open(path).value();
  RecordRing& ring = log->AddRing(1);
  std::filesystem::rename(folder_ + "/logs", folder_ + "/moved");
  EXPECT_FALSE(log->Reopen().ok());
  ring.Push(Record(1));
  log->Flush();
  EXPECT_EQ(Lines(folder_ + "/moved/decisions.jsonl").size(), 1u);
}

TEST_F(DecisionLogTest, HalfALineLeftByAKilledProcessSpoilsNoOther) {
  ASSERT_TRUE(WriteFileAtomically(path_, "{\"decision\":\"00").ok());
  auto log = DecisionLog::Open(path_).value();
  log->AddRing(1).Push(Record(7));
  log->Flush();
  std::string content = ReadFile(path_, 1 << 20).value();
  EXPECT_THAT(content, testing::StartsWith("{\"decision\":\"00\n{\"time\""));
}

TEST_F(DecisionLogTest, AnExistingLogIsContinued) {
  DecisionLog::Open(path_).value()->AddRing(1).Push(Record(1));
  DecisionLog::Open(path_).value()->AddRing(1).Push(Record(2));
  EXPECT_EQ(Lines(path_).size(), 2u);
}

TEST_F(DecisionLogTest, APlaceThatCannotBeOpenedIsAnErrorThatNamesIt) {
  std::string path = folder_ + "/none/decisions.jsonl";
  absl::Status status = DecisionLog::Open(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Message(status)), HasSubstr(path));
}

TEST(InSample, TheSameIdAlwaysGetsTheSameAnswerAndLargerSamplesContainSmallerOnes) {
  for (uint64_t id = 0; id < 100'000; ++id) {
    ASSERT_FALSE(InSample(id, 0));
    ASSERT_TRUE(InSample(id, 1'000'000));
    ASSERT_TRUE(!InSample(id, 10'000) || InSample(id, 50'000)) << id;
  }
  // Fixed for ever: other processes and later releases choose the same decisions.
  EXPECT_TRUE(InSample(0x0123456789abcdef, 500'000) == InSample(0x0123456789abcdef, 500'000));
}

TEST(InSample, TheShareIsAsAskedEvenForIdsThatCountUp) {
  int in_sample = 0;
  for (uint64_t id = 0; id < 1'000'000; ++id) in_sample += InSample(id, 50'000) ? 1 : 0;
  // Four standard deviations.
  EXPECT_NEAR(in_sample, 50'000, 4 * 218);
}

}  // namespace
}  // namespace signalbox::telemetry
