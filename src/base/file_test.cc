#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>

namespace signalbox {
namespace {

using ::testing::HasSubstr;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/file_test_XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  std::string folder_;
};

TEST_F(FileTest, WhatIsWrittenIsRead) {
  std::string content("one\0two", 7);
  ASSERT_TRUE(WriteFileAtomically(Path("a"), content).ok());
  EXPECT_EQ(ReadFile(Path("a"), 100).value(), content);
}

TEST_F(FileTest, ReplacingLeavesNoTemporaryFileBehind) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "old").ok());
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "new").ok());
  EXPECT_EQ(ReadFile(Path("a"), 100).value(), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator()), 1);
}

TEST_F(FileTest, AMissingFileIsNotFoundAndNamed) {
  absl::Status status = ReadFile(Path("none"), 100).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(Path("none")));
}

TEST_F(FileTest, ATooLargeFileIsRefused) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), std::string(101, 'x')).ok());
  EXPECT_EQ(ReadFile(Path("a"), 100).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(ReadFile(Path("a"), 101).ok());
}

TEST_F(FileTest, WantOfFileDescriptorsIsNotAFileThatIsTooLarge) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "content").ok());
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const absl::StatusCode code = ReadFile(Path("a"), 100).status().code();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(code, absl::StatusCode::kResourceExhausted);
}

TEST_F(FileTest, AFolderOrAPipeIsRefusedAndDoesNotHang) {
  EXPECT_EQ(ReadFile(folder_, 100).status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(ReadFile(Path("pipe"), 100).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace signalbox
