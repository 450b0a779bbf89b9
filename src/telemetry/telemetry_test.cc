#include "telemetry/telemetry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "prometheus/text_serializer.h"
#include "telemetry/metric_families.h"

namespace signalbox::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Scrape(const Telemetry& telemetry) { return prometheus::TextSerializer().Serialize(telemetry.Collect()); }

// The value of the line that begins with `series` (name and labels), or -1.
double Value(const std::string& text, const std::string& series) {
  size_t position = ("\n" + text).find("\n" + series + " ");
  return position == std::string::npos ? -1 : std::stod(text.substr(position + series.size()));
}

RequestRecord SomeRecord() {
  RequestRecord record;
  record.objective = "Home";
  record.model = "ranker@2";
  record.experiment = "12345";
  record.cell = "2";
  record.tenant = "tv";
  record.traffic_type = "live";
  record.latency_us = 900;
  record.own_us = 12;
  record.request_bytes = 1024;
  record.response_bytes = 100;
  return record;
}

const std::string kSomeLabels =
    "objective=\"Home\",model=\"ranker@2\",experiment=\"12345\",cell=\"2\",tenant=\"tv\",traffic_type=\"live\"";

TEST(Telemetry, ARequestIsCountedUnderItsLabels) {
  auto telemetry = Telemetry::Create({}).value();
  WorkerTelemetry& worker = telemetry->AddWorker();
  RequestRecord record = SomeRecord();
  worker.Record(record);
  record.grpc_status = 14;
  record.fallbacks = 2;
  record.latency_us = 20'000;
  worker.Record(record);

  std::string text = Scrape(*telemetry);
  EXPECT_EQ(Value(text, "signalbox_requests_total{" + kSomeLabels + ",code=\"OK\"}"), 1) << text;
  EXPECT_EQ(Value(text, "signalbox_requests_total{" + kSomeLabels + ",code=\"UNAVAILABLE\"}"), 1);
  EXPECT_EQ(Value(text, "signalbox_fallbacks_total{" + kSomeLabels + "}"), 2);
  EXPECT_EQ(Value(text, "signalbox_request_bytes_total{" + kSomeLabels + "}"), 2048);
  EXPECT_EQ(Value(text, "signalbox_response_bytes_total{" + kSomeLabels + "}"), 200);
  EXPECT_EQ(Value(text, "signalbox_request_duration_seconds_bucket{" + kSomeLabels + ",le=\"0.001\"}"), 1);
  EXPECT_EQ(Value(text, "signalbox_request_duration_seconds_bucket{" + kSomeLabels + ",le=\"+Inf\"}"), 2);
  EXPECT_EQ(Value(text, "signalbox_request_duration_seconds_count{" + kSomeLabels + "}"), 2);
  EXPECT_NEAR(Value(text, "signalbox_request_duration_seconds_sum{" + kSomeLabels + "}"), 0.0209, 1e-9);
  EXPECT_EQ(Value(text, "signalbox_proxy_duration_seconds_bucket{" + kSomeLabels + ",le=\"2.5e-05\"}"), 2);
  EXPECT_NEAR(Value(text,
                    "signalbox_request_duration_recent_seconds{objective=\"Home\",model=\"ranker@2\",experiment="
                    "\"12345\",cell=\"2\","
                    "traffic_type=\"live\",quantile=\"0.99\"}"),
              0.02, 0.02 * 0.016);
}

TEST(Telemetry, WhatADecisionHadToDoWithoutIsCounted) {
  auto telemetry = Telemetry::Create({}).value();
  WorkerTelemetry& worker = telemetry->AddWorker();
  RequestRecord record = SomeRecord();
  record.notes = 0b1001;
  record.shadows_not_sent = 2;
  worker.Record(record);
  record.cell = "1";  // of another series of the same Objective
  record.notes = 0b0001;
  record.override_rule = "testers";
  record.static_answer = true;
  worker.Record(record);

  std::string text = Scrape(*telemetry);
  EXPECT_EQ(Value(text, "signalbox_decision_notes_total{objective=\"Home\",note=\"missing_unit\"}"), 2) << text;
  EXPECT_EQ(Value(text, "signalbox_decision_notes_total{objective=\"Home\",note=\"remote_fallback\"}"), 1);
  EXPECT_EQ(Value(text, "signalbox_decision_notes_total{objective=\"Home\",note=\"wrong_type\"}"), -1);
  EXPECT_EQ(Value(text, "signalbox_shadows_not_sent_total{objective=\"Home\"}"), 4);
  EXPECT_EQ(Value(text, "signalbox_overrides_total{" + kSomeLabels + "}"), 0);
  EXPECT_EQ(Value(text, "signalbox_static_answers_total{" + kSomeLabels + "}"), 0);
  std::string other_cell = kSomeLabels;
  other_cell.replace(other_cell.find("cell=\"2\""), 8, "cell=\"1\"");
  EXPECT_EQ(Value(text, "signalbox_overrides_total{" + other_cell + "}"), 1);
  EXPECT_EQ(Value(text, "signalbox_static_answers_total{" + other_cell + "}"), 1);
}

TEST(Telemetry, WorkersAreAddedUp) {
  auto telemetry = Telemetry::Create({}).value();
  telemetry->AddWorker().Record(SomeRecord());
  telemetry->AddWorker().Record(SomeRecord());
  EXPECT_EQ(Value(Scrape(*telemetry), "signalbox_requests_total{" + kSomeLabels + ",code=\"OK\"}"), 2);
}

TEST(Telemetry, AScrapeDuringTrafficSeesWholeSeriesAndNumbersThatOnlyGrow) {
  constexpr int kRounds = 300;
  constexpr int kObjectives = 50;
  auto telemetry = Telemetry::Create({}).value();
  std::vector<std::thread> workers;
  std::atomic<int> running{2};
  for (int i = 0; i < 2; ++i) {
    WorkerTelemetry& worker = telemetry->AddWorker();
    workers.emplace_back([&worker, &running] {
      for (int round = 0; round < kRounds; ++round) {
        for (int objective = 0; objective < kObjectives; ++objective) {
          std::string name = "Objective" + std::to_string(objective);
          RequestRecord record = SomeRecord();
          record.objective = name;
          worker.Record(record);
        }
      }
      --running;
    });
  }
  double before = 0;
  while (running > 0) {
    double total = 0;
    for (const prometheus::MetricFamily& family : telemetry->Collect()) {
      if (family.name != "signalbox_requests_total") continue;
      for (const prometheus::ClientMetric& metric : family.metric) total += metric.counter.value;
    }
    ASSERT_GE(total, before);
    before = total;
  }
  for (std::thread& worker : workers) worker.join();
  std::string text = Scrape(*telemetry);
  EXPECT_EQ(
      Value(text,
            "signalbox_requests_total{objective=\"Objective49\",model=\"ranker@2\",experiment=\"12345\",cell=\"2\","
            "tenant=\"tv\",traffic_type=\"live\",code=\"OK\"}"),
      2 * kRounds);
}

TEST(Telemetry, AnUnknownObjectiveIsOneSeries) {
  auto telemetry = Telemetry::Create({}).value();
  WorkerTelemetry& worker = telemetry->AddWorker();
  RequestRecord record;
  record.traffic_type = "live";
  record.grpc_status = 5;
  worker.Record(record);
  worker.Record(record);
  EXPECT_EQ(Value(Scrape(*telemetry),
                  "signalbox_requests_total{objective=\"unknown\",model=\"\",experiment=\"\",cell=\"\",tenant=\"\","
                  "traffic_type=\"live\",code=\"NOT_FOUND\"}"),
            2);
}

TEST(Telemetry, TenantsBeyondTheLimitAreCountedAsOther) {
  auto telemetry = Telemetry::Create({.tenants_max = 2}).value();
  WorkerTelemetry& worker = telemetry->AddWorker();
  RequestRecord record;
  record.objective = "Home";
  for (std::string_view tenant : {"a", "b", "c", "d", "a"}) {
    record.tenant = tenant;
    worker.Record(record);
  }
  std::string text = Scrape(*telemetry);
  auto requests = [&](const std::string& tenant) {
    return Value(text, "signalbox_requests_total{objective=\"Home\",model=\"\",experiment=\"\",cell=\"\",tenant=\"" +
                           tenant + "\",traffic_type=\"\",code=\"OK\"}");
  };
  EXPECT_EQ(requests("a"), 2);
  EXPECT_EQ(requests("b"), 1);
  EXPECT_EQ(requests("other"), 2);
  EXPECT_THAT(text, Not(HasSubstr("tenant=\"c\"")));
}

TEST(Telemetry, SeriesBeyondTheLimitAreCountedTogetherAndSaidToBe) {
  auto telemetry = Telemetry::Create({.series_max = 2}).value();
  WorkerTelemetry& worker = telemetry->AddWorker();
  RequestRecord record;
  for (std::string_view objective : {"A", "B", "C", "D", "A"}) {
    record.objective = objective;
    worker.Record(record);
  }
  std::string text = Scrape(*telemetry);
  EXPECT_EQ(Value(text, "signalbox_telemetry_series_dropped_total"), 2);
  EXPECT_EQ(Value(text,
                  "signalbox_requests_total{objective=\"other\",model=\"other\",experiment=\"other\",cell=\"other\","
                  "tenant=\"other\","
                  "traffic_type=\"other\",code=\"OK\"}"),
            2);
}

TEST(Telemetry, LabelsThatAreNotUtf8AreRepairedAndMerged) {
  auto telemetry = Telemetry::Create({}).value();
  WorkerTelemetry& worker = telemetry->AddWorker();
  RequestRecord record;
  record.objective = "Home";
  for (std::string_view tenant : {"\xFF", "\xFE"}) {
    record.tenant = tenant;
    worker.Record(record);
  }
  EXPECT_EQ(
      Value(Scrape(*telemetry),
            "signalbox_requests_total{objective=\"Home\",model=\"\",experiment=\"\",cell=\"\",tenant=\"\xEF\xBF\xBD\","
            "traffic_type=\"\",code=\"OK\"}"),
      2)
      << "the same label combination twice in one scrape makes Prometheus refuse all of it";
}

TEST(Telemetry, AStatusThatGrpcDoesNotKnowIsUnknown) {
  auto telemetry = Telemetry::Create({}).value();
  WorkerTelemetry& worker = telemetry->AddWorker();
  RequestRecord record = SomeRecord();
  for (int status : {-1, 17, 1'000'000}) {
    record.grpc_status = status;
    worker.Record(record);
  }
  EXPECT_EQ(Value(Scrape(*telemetry), "signalbox_requests_total{" + kSomeLabels + ",code=\"UNKNOWN\"}"), 3);
}

TEST(Telemetry, TheDecisionLogIsCountedAmongTheMetrics) {
  auto telemetry = Telemetry::Create({.decision_log_path = "/dev/full"}).value();
  telemetry->AddWorker().Record(SomeRecord());
  telemetry->Flush();
  std::string text = Scrape(*telemetry);
  EXPECT_EQ(Value(text, "signalbox_decision_log_written_total"), 0);
  EXPECT_EQ(Value(text, "signalbox_decision_log_lost_total{cause=\"write_error\"}"), 1);
  EXPECT_EQ(Value(text, "signalbox_decision_log_lost_total{cause=\"ring_full\"}"), 0);
}

TEST(Telemetry, OnlyTheSampleIsLogged) {
  auto telemetry = Telemetry::Create({.decision_log_path = "/dev/null", .decision_log_sample_ppm = 0}).value();
  telemetry->AddWorker().Record(SomeRecord());
  telemetry->Flush();
  EXPECT_EQ(Value(Scrape(*telemetry), "signalbox_decision_log_written_total"), 0);
}

TEST(Telemetry, OptionsOutOfRangeAreRefusedByName) {
  EXPECT_THAT(std::string(Message(Telemetry::Create({.decision_log_sample_ppm = 1'000'001}).status())),
              HasSubstr("decision_log_sample_ppm is 1000001, expected 0 to 1000000"));
  EXPECT_FALSE(Telemetry::Create({.decision_log_ring_bytes = 0}).ok());
  EXPECT_FALSE(Telemetry::Create({.series_max = 0}).ok());
}

TEST(RecentCounts, OnlyTheLastOneToTwoWindowsCount) {
  RecentCounts recent;
  RecentCounts::Time start{};
  auto at = [&](int seconds, uint64_t total) {
    return recent.Update(start + std::chrono::seconds(seconds), std::vector<uint64_t>{total})[0];
  };
  EXPECT_EQ(at(0, 10), 10u);
  EXPECT_EQ(at(59, 15), 15u);
  EXPECT_EQ(at(60, 20), 20u);
  EXPECT_EQ(at(119, 27), 27u);
  EXPECT_EQ(at(120, 30), 10u) << "since the scrape at 60 s";
  EXPECT_EQ(at(179, 35), 15u);
  EXPECT_EQ(at(180, 36), 6u) << "since the scrape at 120 s";
}

}  // namespace
}  // namespace signalbox::telemetry
