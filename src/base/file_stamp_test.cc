#include "base/file_stamp.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "base/test_folder.h"

namespace signalbox {
namespace {

void WriteInPlace(const std::string& path, char content) { std::ofstream(path) << content; }

TEST(FileStamp, StaysWhileNothingHappensAndIsAnotherForAnotherFile) {
  TestFolder folder;
  const std::string path = folder.File("a");
  EXPECT_EQ(FileStamp::Of(path), FileStamp());
  WriteInPlace(path, '1');
  const FileStamp first = FileStamp::Of(path);
  EXPECT_NE(first, FileStamp());
  EXPECT_EQ(FileStamp::Of(path), first);
  WriteInPlace(folder.File("b"), '1');
  std::filesystem::rename(folder.File("b"), path);
  EXPECT_NE(FileStamp::Of(path), first);
}

// As `cp -p` and `rsync -t` do.
TEST(FileStamp, SeesAnotherContentOfTheSameSizeWhoseTimeWasSetBack) {
  TestFolder folder;
  const std::string path = folder.File("a");
  WriteInPlace(path, '1');
  const auto written = std::filesystem::last_write_time(path);
  const FileStamp first = FileStamp::Of(path);
  // The file system's clock ticks every few milliseconds.
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  do {
    WriteInPlace(path, '2');
    std::filesystem::last_write_time(path, written);
  } while (FileStamp::Of(path) == first && std::chrono::steady_clock::now() < give_up);
  EXPECT_NE(FileStamp::Of(path), first);
}

}  // namespace
}  // namespace signalbox
