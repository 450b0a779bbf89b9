#include "allocate/platform_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/test_folder.h"

namespace signalbox::allocate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(PlatformOptions, APlatformHasANameAProtocolAndAnAddress) {
  const auto platforms = ParsePlatforms(
      {"growthbook=ofrep:http://10.0.0.7:3300/base/", "ours=grpc:[::1]:7000", "far=ofrep:https://flags.example.com"},
      {}, {"ours=plan,user"});
  ASSERT_TRUE(platforms.ok()) << platforms.status();
  ASSERT_EQ(platforms->size(), 3U);
  EXPECT_EQ((*platforms)[0].name, "growthbook");
  EXPECT_EQ((*platforms)[0].protocol, PlatformOptions::Protocol::kOfrep);
  EXPECT_EQ((*platforms)[0].address, "http://10.0.0.7:3300/base");
  EXPECT_EQ((*platforms)[1].protocol, PlatformOptions::Protocol::kGrpc);
  EXPECT_EQ((*platforms)[1].address, "[::1]:7000");
  EXPECT_THAT((*platforms)[1].attributes, ElementsAre("plan", "user"));
  EXPECT_EQ((*platforms)[2].address, "https://flags.example.com");
}

TEST(PlatformOptions, ATokenIsTheFirstLineOfItsFile) {
  TestFolder folder;
  std::ofstream(folder.File("token")) << "secret-1\n# made by hand\n";
  const auto platforms = ParsePlatforms({"p=grpc:h:1"}, {"p=" + folder.File("token")}, {});
  ASSERT_TRUE(platforms.ok()) << platforms.status();
  EXPECT_EQ((*platforms)[0].token, "secret-1");
  EXPECT_EQ((*platforms)[0].token_file, folder.File("token"));
}

TEST(PlatformOptions, ATokenThatOthersCouldReadOnTheWayIsWarnedOf) {
  TestFolder folder;
  std::ofstream(folder.File("token")) << "secret-1\n";
  for (const auto& [address, warned] : std::vector<std::pair<std::string, bool>>{{"grpc:10.0.0.1:7000", true},
                                                                                 {"grpc:127.0.0.1.example.com:1", true},
                                                                                 {"grpc:[::2]:7000", true},
                                                                                 {"ofrep:http://flags/base", true},
                                                                                 {"ofrep:https://flags", false},
                                                                                 {"ofrep:http://localhost/base", false},
                                                                                 {"ofrep:http://127.0.0.1:1", false},
                                                                                 {"grpc:127.9.0.1:7000", false},
                                                                                 {"grpc:[::1]:7000", false}}) {
    const auto platforms = ParsePlatforms({"p=" + address}, {"p=" + folder.File("token")}, {});
    ASSERT_TRUE(platforms.ok()) << platforms.status();
    const std::vector<std::string> warnings = PlainTokenWarnings(*platforms);
    EXPECT_EQ(warnings.size(), warned ? 1U : 0U) << address;
    for (const std::string& warning : warnings) EXPECT_THAT(warning, ::testing::Not(HasSubstr("secret-1")));
    EXPECT_TRUE(PlainTokenWarnings(*ParsePlatforms({"p=" + address}, {}, {})).empty()) << "there is no token";
  }
}

TEST(PlatformOptions, MistakesAreNamedWithWhatWasExpected) {
  for (const char* text : {"p", "p=", "=ofrep:http://h:1", "p=http://h:1", "p=ofrep:h:1", "p=ofrep:ftp://h:1",
                           "p=grpc:h", "p=grpc:h:0", "p=grpc:h:99999", "p=grpc:http://h:1", "p=ofrep:http://",
                           "p=ofrep:http://h:1/?q", "p=ofrep:http://user@h:1", "p=ofrep:http://h:1/a b"}) {
    const auto platforms = ParsePlatforms({text}, {}, {});
    ASSERT_FALSE(platforms.ok()) << text;
    EXPECT_THAT(platforms.status().message(), HasSubstr("expected NAME=ofrep:http://HOST:PORT[/BASE]")) << text;
  }
  EXPECT_THAT(ParsePlatforms({"p=grpc:h:1", "p=grpc:h:2"}, {}, {}).status().message(), HasSubstr("is there twice"));
  EXPECT_THAT(ParsePlatforms({"p=grpc:h:1"}, {"q=file"}, {}).status().message(),
              HasSubstr("--platform-token q=...: there is no --platform q=..."));
  EXPECT_THAT(ParsePlatforms({"p=grpc:h:1"}, {"p=/nowhere/token"}, {}).status().message(), HasSubstr("/nowhere/token"));
  EXPECT_THAT(ParsePlatforms({"a b=grpc:h:1"}, {}, {}).status().message(), HasSubstr("letters, digits"));
}

}  // namespace
}  // namespace signalbox::allocate
