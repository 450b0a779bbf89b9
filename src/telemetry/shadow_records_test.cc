#include "telemetry/shadow_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/file.h"
#include "base/test_folder.h"
#include "prometheus/text_serializer.h"

namespace signalbox::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ShadowReport ReportOf(const ShadowSeries& series, uint64_t decision_id) {
  return {.series = &series,
          .outcome = ShadowOutcome::kDisagree,
          .decision_id = decision_id,
          .start_unix_us = 1'700'000'000'000'000,
          .live_model = "a@1",
          .reason = "output \"scores\" \xff",
          .live_answer = "1",
          .shadow_answer = "2"};
}

TEST(ShadowRecords, CountWhatBecameOfCopies) {
  auto records = *ShadowRecords::Create({});
  ShadowSeries& series = records->SeriesOf("Home", "s", "m@1");
  EXPECT_EQ(&series, &records->SeriesOf("Home", "s", "m@1"));
  series.Count(ShadowOutcome::kDisagree);
  series.Count(ShadowOutcome::kDroppedMemory);
  series.AddDuration(300);
  const std::string text = prometheus::TextSerializer().Serialize(records->Collect());
  const std::string labels = "{objective=\"Home\",shadow=\"s\",model=\"m@1\"";
  EXPECT_THAT(text, HasSubstr("signalbox_shadow_requests_total" + labels + ",outcome=\"agree\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("signalbox_shadow_requests_total" + labels + ",outcome=\"disagree\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("signalbox_shadow_requests_total" + labels + ",outcome=\"dropped_memory\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("dropped_slow")));
  EXPECT_THAT(text, HasSubstr("signalbox_shadow_duration_seconds_bucket" + labels + ",le=\"0.00025\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("signalbox_shadow_duration_seconds_bucket" + labels + ",le=\"0.0005\"} 1\n"));
}

TEST(ShadowRecords, KeepTheLatestExamplesOfEachShadow) {
  auto records = *ShadowRecords::Create({.examples_max = 2});
  const ShadowSeries& series = records->SeriesOf("Home", "s", "m@1");
  for (uint64_t id = 1; id <= 3; ++id) records->Report(ReportOf(series, id));
  records->SeriesOf("Home", "other", "m@1");
  const auto json = nlohmann::json::parse(records->ExamplesJson());
  ASSERT_EQ(json["shadows"].size(), 2u);
  EXPECT_EQ(json["shadows"][0]["examples"].size(), 0u);
  ASSERT_EQ(json["shadows"][1]["examples"].size(), 2u);
  EXPECT_EQ(json["shadows"][1]["examples"][0]["decision"], "0000000000000003");
  EXPECT_EQ(json["shadows"][1]["examples"][1]["decision"], "0000000000000002");
}

TEST(ShadowRecords, WriteALineForEachReportAndGoOnInANewFile) {
  TestFolder folder;
  auto records = *ShadowRecords::Create({.log_path = folder.File("shadows.jsonl")});
  const ShadowSeries& series = records->SeriesOf("Home", "s", "m@1");
  records->Report(ReportOf(series, 0xAB));
  const std::string line = *ReadFile(folder.File("shadows.jsonl"), 1 << 20);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["time"], "2023-11-14T22:13:20.000000Z");
  EXPECT_EQ(json["decision"], "00000000000000ab");
  EXPECT_EQ(json["outcome"], "disagree");
  EXPECT_EQ(json["live_model"], "a@1");
  EXPECT_EQ(json["shadow_model"], "m@1");
  EXPECT_EQ(json["reason"], "output \"scores\" \uFFFD");
  ASSERT_EQ(rename(folder.File("shadows.jsonl").c_str(), folder.File("old").c_str()), 0);
  ASSERT_TRUE(records->ReopenLog().ok());
  records->Report(ReportOf(series, 2));
  EXPECT_THAT(*ReadFile(folder.File("shadows.jsonl"), 1 << 20), HasSubstr("\"0000000000000002\""));
}

TEST(ShadowRecords, CountShadowsBeyondTheLimitTogether) {
  auto records = *ShadowRecords::Create({.series_max = 2});
  records->SeriesOf("Home", "a", "m");
  EXPECT_EQ(records->SeriesOf("Home", "b", "m").shadow(), "other");
  EXPECT_EQ(&records->SeriesOf("Home", "c", "m"), &records->SeriesOf("Home", "b", "m"));
  EXPECT_EQ(records->SeriesOf("Home", "a", "m").shadow(), "a");
}

TEST(ShadowRecords, RefuseALogThatCannotBeOpened) {
  EXPECT_THAT(ShadowRecords::Create({.log_path = "/nowhere/shadows.jsonl"}).status().ToString(),
              HasSubstr("open the shadow log /nowhere/shadows.jsonl"));
}

}  // namespace
}  // namespace signalbox::telemetry
