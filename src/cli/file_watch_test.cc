#include "cli/file_watch.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "base/test_folder.h"

namespace signalbox::cli {
namespace {

TEST(FileWatch, SeesEachChangeOnce) {
  TestFolder folder;
  const std::string path = folder.File("rules.js");
  ASSERT_TRUE(WriteFileAtomically(path, "1").ok());
  FileWatch watch({path, folder.File("never-there")});
  EXPECT_FALSE(watch.Changed());

  ASSERT_TRUE(WriteFileAtomically(path, "2").ok());
  EXPECT_TRUE(watch.Changed());
  EXPECT_FALSE(watch.Changed());

  FILE* file = std::fopen(path.c_str(), "a");
  std::fputs("3", file);
  std::fclose(file);
  EXPECT_TRUE(watch.Changed());

  std::filesystem::remove(path);
  EXPECT_TRUE(watch.Changed());
  EXPECT_FALSE(watch.Changed());
  ASSERT_TRUE(WriteFileAtomically(path, "2").ok());
  EXPECT_TRUE(watch.Changed());
}

TEST(FileWatch, OthersMayBeLookedAtLaterAndWhatWasKnownStays) {
  TestFolder folder;
  const std::string first = folder.File("a.js");
  const std::string second = folder.File("b.js");
  ASSERT_TRUE(WriteFileAtomically(first, "1").ok());
  FileWatch watch({first});
  ASSERT_TRUE(WriteFileAtomically(first, "2").ok());
  EXPECT_TRUE(watch.Watch({second, first}));
  EXPECT_TRUE(watch.Changed());
  EXPECT_FALSE(watch.Watch({first, second}));
  ASSERT_TRUE(WriteFileAtomically(second, "1").ok());
  EXPECT_TRUE(watch.Changed());
  EXPECT_FALSE(watch.Watch({first}));
  ASSERT_TRUE(WriteFileAtomically(second, "2").ok());
  EXPECT_FALSE(watch.Changed());
}

}  // namespace
}  // namespace signalbox::cli
