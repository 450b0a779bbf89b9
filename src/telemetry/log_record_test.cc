#include "telemetry/log_record.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace signalbox::telemetry {
namespace {

std::string Line(const RequestRecord& record) {
  LogRecord log_record;
  log_record.Assign(record);
  std::string line;
  log_record.AppendJsonLine(line);
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
  for (const LogFieldLimit& field : kLogFields) EXPECT_EQ(line[std::string(field.key)], "") << field.key;
}

TEST(LogRecord, OverlongFieldsAreCutMarkedAndDoNotSpillIntoTheNext) {
  const std::string huge(1 << 20, 'x');
  RequestRecord record;
  record.snapshot_hash = record.objective = record.user = record.experiment = record.cell = huge;
  record.model = record.reason = record.traffic_type = record.tenant = record.host = huge;
  nlohmann::json line = nlohmann::json::parse(Line(record));
  for (const LogFieldLimit& field : kLogFields) {
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
