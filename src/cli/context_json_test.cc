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

TEST(ContextJson, ReadsWhatConditionsTimeAndOverridesAreAbout) {
  ContextReader reader;
  std::string storage;
  const auto context = Read(reader, R"({"objective": "A", "app_version": "4.2.1", "segments": ["kids", "vip"],
      "traffic_type": "replay", "now": "2026-03-01T12:00:00Z", "random": "00f1e2d3c4b5a697",
      "override": {"model": "ranker@3", "cells": {"12345": "2"}}, "remote_cells": {"777": "1", "778": "2"}})",
                            storage);
  ASSERT_TRUE(context.ok()) << context.status();
  EXPECT_EQ(context->app_version, "4.2.1");
  EXPECT_EQ(context->segments, "kids vip");
  EXPECT_EQ(context->traffic_type, decide::TrafficType::kReplay);
  EXPECT_EQ(context->now_unix_ms, 1'772'366'400'000);
  EXPECT_EQ(context->random, 0x00f1e2d3c4b5a697u);
  EXPECT_EQ(context->override_model, "ranker@3");
  ASSERT_EQ(context->override_cells.size(), 1u);
  EXPECT_EQ(context->override_cells[0].experiment, "12345");
  EXPECT_EQ(context->override_cells[0].cell, "2");
  ASSERT_EQ(context->remote_cells.size(), 2u);
  EXPECT_EQ(context->remote_cells[1].cell, "2");
}

TEST(ContextJson, ALineOfTheDecisionLogIsAContext) {
  ContextReader reader;
  const std::string json =
      R"({"time":"2026-03-01T12:00:00.000001Z","decision":"00ff00ff00ff00ff","snapshot":"01","objective":"A","user":"u1",)"
      R"("experiment":"","cell":"","model":"ranker@2","reason":"fallback","traffic_type":"live","tenant":"","host":"h:1",)"
      R"("country":"US","segments":["kids"],"cells":{"1":"2"},"notes":["missing_unit"],"truncated":true,"outcome":"OK",)"
      R"("latency_us":12})";
  const std::string storage = json + std::string(64, '"');
  const auto logged = reader.ReadLogged(std::string_view(storage).substr(0, json.size()));
  ASSERT_TRUE(logged.ok()) << logged.status();
  EXPECT_EQ(logged->context.objective, "A");
  EXPECT_EQ(logged->context.country, "US");
  EXPECT_EQ(logged->context.now_unix_ms, 1'772'366'400'000);
  EXPECT_EQ(logged->context.random, 0x00ff00ff00ff00ffu);
  EXPECT_EQ(logged->model, "ranker@2");
  EXPECT_TRUE(logged->is_truncated);
  EXPECT_TRUE(logged->is_fallback);
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
       R"("contry": unknown field, expected one of objective, user, country, device, locale, surface, tenant, attributes, app_version, segments, traffic_type, now, random, override, remote_cells)"},
      {"{" + objective + R"(,"User":"u"})", R"("User": unknown field)"},
      {"{" + objective + "," + objective + "}", "objective: stands twice, expected it once"},
      {"{" + objective + R"(,"attributes":{},"attributes":{}})", "attributes: stands twice"},
      {"{" + objective + R"(,"attributes":"x"})", "attributes: a string, expected an object"},
      {"{" + objective + R"(,"attributes":{"a":1}})", R"(attributes: "a": a number, expected a string)"},
      {"{" + objective + R"(,"attributes":{"a":"1","a":"1"}})", R"(attributes: "a" stands twice)"},
      {"{" + objective + R"(,"segments":"kids"})", "segments: a string, expected an array of strings"},
      {"{" + objective + R"(,"segments":["a b"]})", R"(segments: "a b", expected names without spaces)"},
      {"{" + objective + R"(,"segments":[1]})", "segments: a number, expected strings"},
      {"{" + objective + R"(,"segments":[")" + std::string(5000, 'x') + "\"]}",
       "segments: expected at most 4096 bytes"},
      {"{" + objective + R"(,"now":"yesterday"})",
       R"(now: "yesterday", expected a time such as "2026-11-01T00:00:00Z")"},
      {"{" + objective + R"(,"now":1})", "now: a number, expected a string"},
      {"{" + objective + R"(,"random":"12"})", R"(random: "12", expected a decision id: 16 hexadecimal digits)"},
      {"{" + objective + R"(,"traffic_type":"test"})", R"(traffic_type: "test", expected live, synthetic, replay or)"},
      {"{" + objective + R"(,"override":"m"})", "override: a string, expected an object"},
      {"{" + objective + R"(,"override":{"modle":"m"}})",
       R"(override: "modle": unknown field, expected model or cells)"},
      {"{" + objective + R"(,"override":{"cells":{"1":2}}})", R"(override: cells: "1": a number, expected a string)"},
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
  ASSERT_TRUE(Read(reader, R"({"objective":"A","user":"u","attributes":{"a":"b"},"segments":["a","b"],
      "now":"2026-03-01T12:00:00Z","override":{"cells":{"1":"2"}}})",
                   storage)
                  .ok());
  const std::string_view json = std::string_view(storage).substr(0, storage.size() - 64);
  const uint64_t before = AllocationCount();
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(reader.Read(json).ok());
  EXPECT_EQ(AllocationCount(), before);
}

}  // namespace
}  // namespace signalbox::cli
