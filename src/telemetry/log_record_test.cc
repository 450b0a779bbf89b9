#include "telemetry/log_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace signalbox::telemetry {
namespace {

std::string Line(const RequestRecord& record) {
  alignas(LogRecord) static std::array<char, LogRecord::kBytesMax> place;
  std::string line;
  LogRecord::Write(record, place.data()).AppendJsonLine(line);
  return line;
}

TEST(LogRecord, EveryFieldArrives) {
  RequestRecord record;
  record.decision_id = 0x00ff00ff00ff00ff;
  record.start_unix_us = 1'700'000'000'000'001;
  record.snapshot_hash = "0123456789abcdef";
  record.objective = "Home";
  record.model = "ranker@2";
  record.experiment = "12345";
  record.cell = "2";
  record.reason = "experiment";
  record.user = "user-1";
  record.tenant = "tv";
  record.traffic_type = "synthetic";
  record.host = "127.0.0.1:9000";
  record.grpc_status = 14;
  record.latency_us = 1234;
  record.own_us = 12;
  record.request_bytes = 1024;
  record.response_bytes = 2048;
  record.fallbacks = 3;
  EXPECT_EQ(
      Line(record),
      "{\"time\":\"2023-11-14T22:13:20.000001Z\",\"decision\":\"00ff00ff00ff00ff\",\"snapshot\":\"0123456789abcdef\","
      "\"objective\":\"Home\",\"user\":\"user-1\",\"experiment\":\"12345\",\"cell\":\"2\",\"model\":\"ranker@2\","
      "\"reason\":\"experiment\",\"traffic_type\":\"synthetic\",\"tenant\":\"tv\",\"host\":\"127.0.0.1:9000\","
      "\"outcome\":\"UNAVAILABLE\",\"latency_us\":1234,\"own_us\":12,\"request_bytes\":1024,\"response_bytes\":2048,"
      "\"fallbacks\":3}\n");
}

TEST(LogRecord, EmptyFieldsAreThereAndEmpty) {
  nlohmann::json line = nlohmann::json::parse(Line({}));
  for (size_t field = 0; field < kCountryField; ++field) {
    EXPECT_EQ(line[std::string(kLogFields[field].key)], "") << kLogFields[field].key;
  }
}

TEST(LogRecord, HoldsAllThatADecisionIsMadeFromAsARequestContext) {
  const std::vector<NamedText> attributes = {{"plan", "basic"}, {"beta", "true"}};
  const std::vector<NamedText> override_cells = {{"12345", "2"}, {"777", "1"}};
  const std::vector<NamedText> remote_cells = {{"888", "on"}};
  const std::vector<NamedText> cells = {{"12345", "2"}, {"999", "a"}};
  RequestRecord record;
  record.country = "US";
  record.locale = "en-US";
  record.device = "tv";
  record.surface = "home";
  record.app_version = "4.2.1";
  record.segments = "kids premium";
  record.attributes = attributes;
  record.override_model = "ranker@3";
  record.override_cells = override_cells;
  record.override_rule = "testers";
  record.remote_cells = remote_cells;
  record.cells = cells;
  record.notes = 0b101;
  record.static_answer = true;
  const std::string line = Line(record);
  EXPECT_THAT(line,
              testing::HasSubstr(
                  R"("host":"","country":"US","locale":"en-US","device":"tv","surface":"home","app_version":"4.2.1",)"
                  R"("segments":["kids","premium"],"attributes":{"plan":"basic","beta":"true"},)"
                  R"("override":{"model":"ranker@3","cells":{"12345":"2","777":"1"}},"override_rule":"testers",)"
                  R"("remote_cells":{"888":"on"},"cells":{"12345":"2","999":"a"},)"
                  R"("notes":["missing_unit","override_refused"],"static_answer":true,"outcome")"));
  EXPECT_TRUE(nlohmann::json::accept(line));
}

TEST(LogRecord, AnOverrideOfCellsAloneNamesNoModel) {
  const std::vector<NamedText> cells = {{"12345", "2"}};
  RequestRecord record;
  record.override_cells = cells;
  EXPECT_EQ(nlohmann::json::parse(Line(record))["override"].dump(), R"({"cells":{"12345":"2"}})");
}

TEST(LogRecord, SaysWhenItIsNotWhole) {
  EXPECT_FALSE(nlohmann::json::parse(Line({})).contains("truncated"));
  const std::string long_text(5000, 'x');
  for (std::string_view RequestRecord::*field :
       {&RequestRecord::user, &RequestRecord::segments, &RequestRecord::app_version, &RequestRecord::override_model}) {
    RequestRecord record;
    record.*field = long_text;
    EXPECT_EQ(nlohmann::json::parse(Line(record))["truncated"], true);
    record.*field = "not UTF-8: \xff";
    EXPECT_EQ(nlohmann::json::parse(Line(record))["truncated"], true);
  }
  const std::vector<NamedText> attributes = {{"a", "1"}, {"long", long_text}, {"b", "2"}};
  RequestRecord record;
  record.attributes = attributes;
  const nlohmann::json line = nlohmann::json::parse(Line(record));
  EXPECT_EQ(line["truncated"], true);
  EXPECT_EQ(line["attributes"].dump(), R"({"a":"1","b":"2"})") << "what does not fit is left out, what does is there";
}

TEST(LogRecord, HoldsTheLongestThatRulesAndRequestsCanSay) {
  const std::string huge(1 << 20, 'x');
  const std::string name(200, 'n');
  std::vector<NamedText> members(1000, NamedText{name, name});
  members.push_back({huge, huge});
  RequestRecord record;
  for (std::string_view RequestRecord::*field :
       {&RequestRecord::snapshot_hash, &RequestRecord::objective, &RequestRecord::model, &RequestRecord::experiment,
        &RequestRecord::cell, &RequestRecord::reason, &RequestRecord::user, &RequestRecord::tenant,
        &RequestRecord::traffic_type, &RequestRecord::host, &RequestRecord::country, &RequestRecord::locale,
        &RequestRecord::device, &RequestRecord::surface, &RequestRecord::app_version, &RequestRecord::segments,
        &RequestRecord::override_model, &RequestRecord::override_rule}) {
    record.*field = huge;
  }
  record.attributes = record.override_cells = record.remote_cells = record.cells = members;
  alignas(LogRecord) static std::array<char, LogRecord::kBytesMax> place;
  EXPECT_LE(LogRecord::Write(record, place.data()).bytes(), LogRecord::kBytesMax);
  EXPECT_TRUE(nlohmann::json::accept(Line(record)));
}

TEST(LogRecord, OverlongFieldsAreCutMarkedAndDoNotSpillIntoTheNext) {
  const std::string huge(1 << 20, 'x');
  RequestRecord record;
  record.snapshot_hash = record.objective = record.user = record.experiment = record.cell = huge;
  record.model = record.reason = record.traffic_type = record.tenant = record.host = huge;
  nlohmann::json line = nlohmann::json::parse(Line(record));
  for (const LogFieldLimit& field : std::span(kLogFields).first(kCountryField)) {
    std::string value = line[std::string(field.key)];
    EXPECT_EQ(value, std::string(field.bytes_max - kTruncationMark.size(), 'x') + std::string(kTruncationMark))
        << field.key;
  }
}

TEST(LogRecord, AFieldAtItsLimitIsWhole) {
  const std::string user(kLogFields[kUserField].bytes_max, 'u');
  RequestRecord record;
  record.user = user;
  EXPECT_EQ(nlohmann::json::parse(Line(record))["user"], user);
}

TEST(LogRecord, AnyBytesGiveOneLineOfValidJson) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string garbage(random() % 300, '\0');
    for (char& c : garbage) c = static_cast<char>(random());
    RequestRecord record;
    record.user = record.tenant = record.host = garbage;
    std::string line = Line(record);
    ASSERT_EQ(line.find('\n'), line.size() - 1);
    // Strict: refuses invalid UTF-8 and raw control characters.
    ASSERT_TRUE(nlohmann::json::accept(line)) << line;
  }
}

TEST(LogRecord, EscapedTextReadsBackAsItWas) {
  using namespace std::string_literals;
  const std::string user = "quote \" backslash \\ newline \n tab \t zero \0 euro \xE2\x82\xAC end"s;
  RequestRecord record;
  record.user = user;
  EXPECT_EQ(nlohmann::json::parse(Line(record))["user"], user);
}

TEST(LogRecord, TimesBefore1970AndAbsurdOnesDoNotBreakTheLine) {
  std::string text;
  AppendTime(-1, text);
  EXPECT_EQ(text, "1969-12-31T23:59:59.999999Z");
  text.clear();
  AppendTime(INT64_MIN, text);
  AppendTime(INT64_MAX, text);
  EXPECT_EQ(text.find('"'), std::string::npos);
}

}  // namespace
}  // namespace signalbox::telemetry
