#include "subscribe/state_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/status.h"
#include "base/test_folder.h"

namespace signalbox::subscribe {
namespace {

using ::testing::HasSubstr;

v1::SnapshotUpdate Update(int64_t version) {
  v1::SnapshotUpdate update;
  update.set_version(version);
  return update;
}

TEST(StateFolder, KeepsTheLastSnapshotOverARestart) {
  TestFolder folder;
  const std::string path = folder.File("made/when/missing");
  {
    auto state = StateFolder::Open(path);
    ASSERT_TRUE(state.ok()) << state.status();
    EXPECT_FALSE((*state)->Load()->has_value());
    ASSERT_TRUE((*state)->Keep(Update(1)).ok());
    ASSERT_TRUE((*state)->Keep(Update(2)).ok());
  }
  EXPECT_EQ((*StateFolder::Open(path))->Load().value()->version(), 2);
}

TEST(StateFolder, BelongsToOneProcessAtATime) {
  TestFolder folder;
  auto first = StateFolder::Open(folder.path());
  ASSERT_TRUE(first.ok()) << first.status();
  absl::Status second = StateFolder::Open(folder.path()).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(second)), HasSubstr("another process uses it"));
  first->reset();
  EXPECT_TRUE(StateFolder::Open(folder.path()).ok());
}

TEST(StateFolder, AFileInPlaceOfTheFolderIsRefused) {
  TestFolder folder;
  ASSERT_TRUE(WriteFileAtomically(folder.File("state"), "x").ok());
  EXPECT_FALSE(StateFolder::Open(folder.File("state")).ok());
}

TEST(StateFolder, WhatAKilledWriterLeftIsRemovedAndNeverLoaded) {
  TestFolder folder;
  ASSERT_TRUE(WriteFileAtomically(folder.File("snapshot.pb.tmp-4711"), "half").ok());
  auto state = StateFolder::Open(folder.path());
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_FALSE((*state)->Load()->has_value());
  EXPECT_FALSE(std::filesystem::exists(folder.File("snapshot.pb.tmp-4711")));
}

TEST(StateFolder, AnEmptyFileOrGarbageIsDataLoss) {
  TestFolder folder;
  auto state = *StateFolder::Open(folder.path());
  for (const char* content : {"", "\xff\xff\xff"}) {
    ASSERT_TRUE(WriteFileAtomically(state->file(), content).ok());
    EXPECT_EQ(state->Load().status().code(), absl::StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace signalbox::subscribe
