// Holds the folders to what they may depend on (allowed_edges.txt), and shows that it would notice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "tests/architecture/include_edges.h"

namespace signalbox::architecture {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kTable =
    "# folders\n"
    "api:\n"
    "base:\n"
    "decide: base api\n"
    "store: base api\n"
    "cli: *\n"
    "tests: api base decide store\n"
    "not in decide: chrono base/file.h\n";

std::vector<std::string> ViolationsIn(const std::string& path, const std::string& text) {
  const absl::StatusOr<Table> table = ParseTable(kTable);
  EXPECT_TRUE(table.ok()) << table.status();
  return Violations(*table, {{path, text}});
}

TEST(Architecture, EveryIncludeIsAnAllowedEdge) {
  std::ifstream stream(SIGNALBOX_SOURCE_DIR "/tests/architecture/allowed_edges.txt");
  const absl::StatusOr<Table> table = ParseTable({std::istreambuf_iterator<char>(stream), {}});
  ASSERT_TRUE(table.ok()) << "tests/architecture/allowed_edges.txt: " << table.status();
  const std::vector<SourceFile> files = ReadSourceFiles(SIGNALBOX_SOURCE_DIR);
  ASSERT_THAT(files, Contains(Field(&SourceFile::path, "src/decide/decide.cc")));

  for (const std::string& violation : Violations(*table, files)) ADD_FAILURE() << violation;
}

TEST(Architecture, AForbiddenEdgeIsNamedWithItsPlaceAndWhatIsAllowed) {
  EXPECT_THAT(
      ViolationsIn("src/decide/decide.cc", "#include <map>\n\n#include \"store/store.h\"\n"),
      ElementsAre("src/decide/decide.cc:3: #include \"store/store.h\": decide -> store is not allowed; decide may "
                  "include: api base"));
}

TEST(Architecture, EveryWayToWriteAnIncludeIsSeen) {
  for (const char* line :
       {"#include \"store/store.h\"", "#include <store/store.h>", "  #  include\t\"store/store.h\"",
        "#include \"src/store/store.h\"", "#include \"../store/store.h\"", "#include\"store/a.h\""}) {
    EXPECT_THAT(ViolationsIn("src/decide/decide.cc", line), ElementsAre(HasSubstr("decide -> store"))) << line;
  }
}

TEST(Architecture, AllowedEdgesAndForeignHeadersPass) {
  EXPECT_THAT(ViolationsIn("src/decide/decide.cc",
                           "#include <vector>\n#include \"absl/status/status.h\"\n#include \"decide/bucket.h\"\n"
                           "#include \"base/hash.h\"\n#include \"api/headers.h\"\n"
                           "#include \"signalbox/v1/rules.pb.h\"\n// #include \"store/store.h\"\n"),
              IsEmpty());
  EXPECT_THAT(ViolationsIn("src/cli/main.cc", "#include \"store/store.h\"\n#include \"decide/decide.h\"\n"), IsEmpty());
}

TEST(Architecture, GeneratedCodeBelongsToTheContracts) {
  EXPECT_THAT(ViolationsIn("src/base/hash.cc", "#include \"signalbox/v1/rules.pb.h\""),
              ElementsAre(HasSubstr("base -> api is not allowed; base may include: nothing of ours")));
}

TEST(Architecture, ATestMayIncludeMoreThanItsFolderButNotTheCommandLine) {
  EXPECT_THAT(ViolationsIn("src/decide/decide_test.cc", "#include \"store/store.h\"\n#include <chrono>\n"), IsEmpty());
  EXPECT_THAT(ViolationsIn("src/decide/decide_test.cc", "#include \"cli/commands.h\""),
              ElementsAre(HasSubstr("decide -> cli")));
}

TEST(Architecture, WhatIsNotATestMayNotUseATestsFile) {
  EXPECT_THAT(ViolationsIn("src/decide/decide.cc", "#include \"decide/test_snapshot.h\""),
              ElementsAre(HasSubstr("decide/test_snapshot.h is for tests only")));
}

TEST(Architecture, AHeaderThatAFolderMustDoWithoutIsNamed) {
  EXPECT_THAT(ViolationsIn("src/decide/decide.cc", "#include <chrono>\n#include \"base/file.h\"\n"),
              ElementsAre(HasSubstr("decide.cc:1"), HasSubstr("decide must do without base/file.h")));
}

TEST(Architecture, AFolderWithoutARowIsNamed) {
  EXPECT_THAT(ViolationsIn("src/utils/strings.cc", ""), ElementsAre(HasSubstr("the folder utils has no row")));
}

TEST(Architecture, AMistakeInTheTableIsNamedWithItsLine) {
  EXPECT_THAT(ParseTable("api:\nbase\n").status().message(), HasSubstr("line 2: expected 'folder: folder ...'"));
  EXPECT_THAT(ParseTable("api:\napi:\n").status().message(), HasSubstr("line 2: api already has a row"));
  EXPECT_THAT(ParseTable("tests:\nbase: apy\n").status().message(), HasSubstr("row base: there is no row for apy"));
}

}  // namespace
}  // namespace signalbox::architecture
