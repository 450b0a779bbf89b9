#include "cli/context_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/allocation_count.h"
#include "base/status.h"

namespace signalbox::cli {
namespace {

using ::testing::HasSubstr;

// Behind the text stands what would change its meaning if it were read.
absl::StatusOr<decide::RequestContext> Read(ContextReader& reader, const std::string& json, std::string& storage) {
  storage = json + std::string(64, '"');
  return reader.Read(std::string_view(storage).substr(0, json.size()));
}

std::string ErrorOf(const std::string& json) {
  ContextReader reader;
  std::string storage;
  const auto context = Read(reader, json, storage);
  EXPECT_FALSE(context.ok()) << json;
  return std::string(Message(context.status()));
}

TEST(ContextJson, ReadsEveryField) {
  ContextReader reader;
  std::string storage;
  const auto context = Read(reader, R"({"tenant": "web", "objective": "Title\u0053earch", "user": "u\n1",
      "country": "US", "device": "tv", "locale": "en-US", "surface": "home",
      "attributes": {"plan": "basic", "": "empty key", "é": "\ud83d\ude00"}})",
                            storage);
  ASSERT_TRUE(context.ok()) << context.status();
  EXPECT_EQ(context->objective, "TitleSearch");
  EXPECT_EQ(context->user, "u\n1");
  EXPECT_EQ(context->country, "US");
  EXPECT_EQ(context->device, "tv");
  EXPECT_EQ(context->locale, "en-US");
  EXPECT_EQ(context->surface, "home");
  EXPECT_EQ(context->tenant, "web");
  EXPECT_EQ(context->traffic_type, decide::TrafficType::kLive);
  ASSERT_EQ(context->attributes.size(), 3u);
  EXPECT_EQ(context->attributes[0].key, "plan");
  EXPECT_EQ(context->attributes[0].value, "basic");
  EXPECT_EQ(context->attributes[2].value, "😀");
}

TEST(ContextJson, NothingOfOneLineIsLeftInTheNext) {
  ContextReader reader;
  std::string storage;
  ASSERT_TRUE(Read(reader, R"({"objective":"A","user":"u","attributes":{"a":"b"}})", storage).ok());
  ASSERT_FALSE(Read(reader, R"({"objective":"A","user":"u","user":"u"})", storage).ok());
  const auto context = Read(reader, R"({"objective":"A"})", storage);
  ASSERT_TRUE(context.ok()) << context.status();
  EXPECT_EQ(context->user, "");
  EXPECT_TRUE(context->attributes.empty());
}

TEST(ContextJson, SaysWhatIsWrong) {
  const std::string objective = R"("objective":"A")";
  std::string many = "{" + objective + R"(,"attributes":{"a0":"")";
  for (int i = 1; i <= 64; ++i) many += ",\"a" + std::to_string(i) + "\":\"\"";
  struct Case {
    std::string json;
    std::string expected;
  };
  const Case cases[] = {
      {"", "an empty line, expected a JSON object"},
      {"  \t", "an empty line, expected a JSON object"},
      {"{", "not JSON"},
      {"{}", "objective: missing, expected the name of an Objective"},
      {R"({"objective":""})", "objective: missing"},
      {"{" + objective + "", "not JSON"},
      {"{" + objective + "}}", "not JSON"},
      {"{" + objective + "} {}", "not JSON"},
      {"{" + objective + ",}", "not JSON"},
      {"{" + objective + R"(,"user":"x)", "not JSON: a string is not closed"},
      {"{" + objective + ",\"user\":\"\t\"}", "not JSON: a control character inside a string"},
      {"{" + objective + R"(,"user":"\x"})", "an escape that does not exist"},
      {"{" + objective + ",\"user\":\"\xff\"}", "not UTF-8"},
      {"\xef\xbb\xbf{" + objective + "}", "not JSON"},
      {"[1]", "an array, expected a JSON object"},
      {"null", "null, expected a JSON object"},
      {"12", "a number, expected a JSON object"},
      {R"({"objective":1})", "objective: a number, expected a string"},
      {"{" + objective + R"(,"user":null})", "user: null, expected a string; leave the field out"},
      {"{" + objective + R"(,"user":[]})", "user: an array, expected a string"},
      {"{" + objective + R"(,"user":true})", "user: true or false, expected a string"},
      {"{" + objective + R"(,"contry":"US"})",
       R"("contry": unknown field, expected one of objective, user, country, device, locale, surface, tenant, attrib)"},
      {"{" + objective + R"(,"User":"u"})", R"("User": unknown field)"},
      {"{" + objective + "," + objective + "}", "objective: stands twice, expected it once"},
      {"{" + objective + R"(,"attributes":{},"attributes":{}})", "attributes: stands twice"},
      {"{" + objective + R"(,"attributes":"x"})", "attributes: a string, expected an object"},
      {"{" + objective + R"(,"attributes":{"a":1}})", R"(attributes: "a": a number, expected a string)"},
      {"{" + objective + R"(,"attributes":{"a":"1","a":"1"}})", R"(attributes: "a" stands twice)"},
      {many + "}}", "attributes: expected at most 64"},
      {"{" + objective + ",\"user\":" + std::string(1000, '[') + std::string(1000, ']') + "}", "nested deeper than"},
      {std::string(500'000, '[') + std::string(500'000, ']'), "nested deeper than"},
      {std::string(500'000, '['), "not JSON"},
      {"{\"" + std::string(500'000, 'x') + "\":1}", std::string(80, 'x') + "...\": unknown field"},
      {std::string((1 << 20) + 1, ' '), "more than 1048576 bytes"},
  };
  for (const Case& each : cases) EXPECT_THAT(ErrorOf(each.json), HasSubstr(each.expected)) << each.json.substr(0, 200);
}

TEST(ContextJson, AFullLineAtTheLimitIsRead) {
  ContextReader reader;
  std::string storage;
  std::string json = R"({"objective":"A","user":")";
  json += std::string(ContextReader::kBytesMax - json.size() - 2, 'u') + "\"}";
  EXPECT_TRUE(Read(reader, json, storage).ok());
}

TEST(ContextJson, DoesNotAllocate) {
  ContextReader reader;
  std::string storage;
  ASSERT_TRUE(Read(reader, R"({"objective":"A","user":"u","attributes":{"a":"b"}})", storage).ok());
  const std::string_view json = std::string_view(storage).substr(0, storage.size() - 64);
  const uint64_t before = AllocationCount();
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(reader.Read(json).ok());
  EXPECT_EQ(AllocationCount(), before);
}

}  // namespace
}  // namespace signalbox::cli
