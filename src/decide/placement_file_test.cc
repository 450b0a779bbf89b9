#include "decide/placement_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace signalbox::decide {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(std::string_view json) {
  absl::Status status = ParsePlacementFile("p.json", json).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << json;
  return std::string(Message(status));
}

TEST(PlacementFile, ShardsAndModelsAreReadInTheirOrder) {
  auto placement = ParsePlacementFile("p.json", R"({
    "shards": {"s1": ["127.0.0.1:9001", "127.0.0.1:9000"], "s2": ["[::1]:9002", "host-a.example:80"]},
    "models": {"ranker": ["s2", "s1"], "ranker@2": ["s1"]}})");
  ASSERT_TRUE(placement.ok()) << placement.status();
  EXPECT_THAT(placement->shards().at("s1").hosts(), ElementsAre("127.0.0.1:9001", "127.0.0.1:9000"));
  EXPECT_THAT(placement->shards().at("s2").hosts(), ElementsAre("[::1]:9002", "host-a.example:80"));
  EXPECT_THAT(placement->models().at("ranker").shards(), ElementsAre("s2", "s1"));
  EXPECT_THAT(placement->models().at("ranker@2").shards(), ElementsAre("s1"));
}

TEST(PlacementFile, ModelsMayStandBeforeTheShardsTheyName) {
  EXPECT_TRUE(ParsePlacementFile("p", R"({"models": {"m": ["s"]}, "shards": {"s": ["h:1"]}})").ok());
}

TEST(PlacementFile, AnEmptyPlacementIsOne) { EXPECT_TRUE(ParsePlacementFile("p", "{}").ok()); }

TEST(PlacementFile, WhatIsNotJsonIsToldWithLineAndColumn) {
  EXPECT_THAT(ErrorOf("{\n  \"shards\": {,}\n}"), HasSubstr("p.json:2:14: syntax error"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("p.json:1:1: "));
  EXPECT_THAT(ErrorOf("{} x"), HasSubstr("p.json:1:4: "));
}

TEST(PlacementFile, EveryMistakeIsToldWithWhatWasExpected) {
  struct {
    const char* json;
    const char* error;
  } cases[] = {
      {R"([])", "expected {\"shards\": {...}, \"models\": {...}}, found a list"},
      {R"(7)", "found a number"},
      {R"({"shard": {}})", "'shard' is not known here"},
      {R"({"shards": [], "models": {}})", "expected \"shards\" to be an object, found a list"},
      {R"({"shards": {"s": "h:1"}})", "expected shard 's' to be a list of \"HOST:PORT\", found the text \"h:1\""},
      {R"({"shards": {"s": {}}})", "found an object"},
      {R"({"shards": {"s": [["h:1"]]}})", "found a list"},
      {R"({"shards": {"s": [9000]}})", "found a number"},
      {R"({"shards": {"s": []}})", "shard 's' has no hosts"},
      {R"({"shards": {"": ["h:1"]}})", "a name is empty"},
      {R"({"shards": {"s": ["h:1"], "s": ["h:2"]}})", "shard 's' stands twice"},
      {R"({"shards": {}, "shards": {}})", "\"shards\" stands twice"},
      {R"({"shards": {"s": ["h:1", "h:1"]}})", "host 'h:1' stands twice"},
      {R"({"shards": {"s": ["h:1"]}, "models": {"m": ["s"], "m": ["s"]}})", "model 'm' stands twice"},
      {R"({"shards": {"s": ["h:1"]}, "models": {"m": ["s", "s"]}})", "model 'm': shard 's' stands twice"},
      {R"({"shards": {"s": ["h:1"]}, "models": {"m": []}})", "model 'm' has no shards"},
      {R"({"shards": {"s": ["h:1"]}, "models": {"m": [null]}})", "found null"},
      {R"({"shards": {"s": ["h:1"]}, "models": {"m": ["t"]}})",
       "model 'm' is placed on shard 't', which \"shards\" does not declare; declared: s"},
  };
  for (const auto& [json, error] : cases) EXPECT_THAT(ErrorOf(json), HasSubstr(error)) << json;
}

TEST(PlacementFile, AHostIsAHostAndAPort) {
  for (const char* host :
       {"", "h", ":1", "h:", "h:0", "h:65536", "h:-1", "h:1x", "h 1:1", "::1:80", "[]:1", "[g]:1", "http://h:1"}) {
    EXPECT_THAT(ErrorOf("{\"shards\": {\"s\": [\"" + std::string(host) + "\"]}}"), HasSubstr("is not a host")) << host;
  }
}

TEST(PlacementFile, AllMistakesAreToldAtOnceButNotWithoutEnd) {
  EXPECT_THAT(ErrorOf(R"({"shards": {"s": ["x"]}, "models": {"a": ["t"], "b": ["u"]}})"),
              testing::AllOf(HasSubstr("'x'"), HasSubstr("shard 't'"), HasSubstr("shard 'u'")));
  std::string many = "{\"shards\": {\"s\": [";
  for (int i = 0; i < 1000; ++i) many += "\"x\", ";
  EXPECT_THAT(ErrorOf(many + "\"x\"]}}"), HasSubstr("and 951 more"));
}

TEST(PlacementFile, AFileThatIsTooLargeIsRefused) {
  EXPECT_THAT(ErrorOf(std::string(kPlacementFileBytesMax + 1, ' ')), HasSubstr("the limit is"));
}

TEST(PlacementFile, DeepNestingDoesNotExhaustTheStack) {
  EXPECT_THAT(ErrorOf(std::string(1 << 20, '[')), HasSubstr("found a list"));
}

}  // namespace
}  // namespace signalbox::decide
