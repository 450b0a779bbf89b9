#include "cli/top/traffic_view.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace signalbox::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TrafficValues Read(std::string_view text) {
  TrafficPage page;
  absl::Status status = page.Add("# TYPE signalbox_requests_total counter\n");
  if (status.ok()) status = page.Add(text);
  auto values = page.Finish();
  EXPECT_TRUE(status.ok() && values.ok()) << status << values.status();
  return values.ok() ? *std::move(values) : TrafficValues{};
}

std::string Refusal(std::string_view text) {
  TrafficPage page;
  absl::Status status = page.Add(text);
  if (status.ok()) status = page.Finish().status();
  return std::string(Message(status));
}

std::string Requests(std::string_view objective, std::string_view model, std::string_view code, int count) {
  return fmt::format("signalbox_requests_total{{objective=\"{}\",model=\"{}\",tenant=\"t\",code=\"{}\"}} {}\n",
                     objective, model, code, count);
}

const RowValues& RowOf(const TrafficValues& values, Level level, const std::string& objective,
                       const std::string& name) {
  static const RowValues kNone;
  const auto row = values.rows.find({level, objective, name});
  EXPECT_NE(row, values.rows.end()) << objective << " " << name;
  return row == values.rows.end() ? kNone : row->second;
}

std::vector<std::string> Names(const std::vector<ViewRow>& rows) {
  std::vector<std::string> names;
  for (const ViewRow& row : rows) names.push_back(row.name);
  return names;
}

TEST(TrafficRates, AreTheIncreaseOfCountersInASecond) {
  const TrafficValues before = Read(Requests("A", "m@1", "OK", 100) + Requests("A", "m@1", "UNAVAILABLE", 4));
  const TrafficValues rates = Rates(&before,
                                    Read(Requests("A", "m@1", "OK", 120) + Requests("A", "m@1", "UNAVAILABLE", 5) +
                                         Requests("A", "m@2", "INTERNAL", 6)),
                                    2);
  EXPECT_EQ(RowOf(rates, Level::kModel, "A", "m@1")[Cell::kRate], 10.5);
  EXPECT_EQ(RowOf(rates, Level::kModel, "A", "m@1")[Cell::kErrors], 0.5);
  EXPECT_EQ(RowOf(rates, Level::kModel, "A", "m@2")[Cell::kRate], 3) << "what appears was at 0";
  const RowValues& objective = RowOf(rates, Level::kObjective, "A", "");
  EXPECT_EQ(objective[Cell::kRate], 13.5);
  EXPECT_EQ(objective.parts.at({Cell::kErrors, "UNAVAILABLE"}), 0.5);
  EXPECT_EQ(objective.parts.at({Cell::kErrors, "INTERNAL"}), 3);
}

TEST(TrafficRates, OfAFirstPageAreNotKnown) {
  const TrafficValues rates = Rates(nullptr, Read(Requests("A", "m@1", "UNAVAILABLE", 100)), 0);
  EXPECT_EQ(RowOf(rates, Level::kModel, "A", "m@1")[Cell::kRate], std::nullopt);
  EXPECT_TRUE(RowOf(rates, Level::kModel, "A", "m@1").parts.empty());
}

TEST(TrafficRates, ACounterThatWentBackBeganAnew) {
  constexpr std::string_view kHost = "signalbox_host_ejections_total{{host=\"h:1\"}} {}\n";
  const TrafficValues before = Read(Requests("A", "m", "OK", 100) + fmt::format(fmt::runtime(kHost), 8));
  const TrafficValues rates =
      Rates(&before, Read(Requests("A", "m", "OK", 110) + fmt::format(fmt::runtime(kHost), 2)), 1);
  EXPECT_EQ(RowOf(rates, Level::kHost, "", "h:1")[Cell::kEjections], 2);
  EXPECT_EQ(RowOf(rates, Level::kObjective, "A", "")[Cell::kRate], 10) << "that was the host, not the proxy";
}

TEST(TrafficRates, OfAProxyThatWasStartedAgainAllCountersBeganAnew) {
  const TrafficValues before = Read(Requests("A", "m", "OK", 100) + Requests("B", "m", "OK", 10));
  const TrafficValues rates = Rates(&before, Read(Requests("A", "m", "OK", 4) + Requests("B", "m", "OK", 30)), 2);
  EXPECT_EQ(RowOf(rates, Level::kObjective, "A", "")[Cell::kRate], 2);
  EXPECT_EQ(RowOf(rates, Level::kObjective, "B", "")[Cell::kRate], 15);
}

TEST(TrafficRates, WhatAProxyDoesNotHaveIsNotKnownAndWhatItHasNotCountedIsNone) {
  const std::string requests = Requests("A", "m", "OK", 1);
  const TrafficValues before = Read(requests);
  const TrafficValues rates = Rates(&before, Read(requests + "# TYPE signalbox_try_events_total counter\n"), 1);
  const RowValues& objective = RowOf(rates, Level::kObjective, "A", "");
  EXPECT_EQ(objective[Cell::kRetries], 0);
  EXPECT_EQ(objective[Cell::kRefusals], std::nullopt);
  EXPECT_EQ(objective[Cell::kErrors], 0);
  EXPECT_EQ(RowOf(rates, Level::kModel, "A", "m")[Cell::kRetries], std::nullopt) << "it is of Objectives alone";
}

TEST(TrafficPage, GarbageInValuesIsLeftOut) {
  const TrafficValues values = Read(
      "signalbox_host_outstanding_requests{host=\"a\"} NaN\nsignalbox_host_outstanding_requests{host=\"b\"} +Inf\n"
      "signalbox_host_outstanding_requests{host=\"c\"} -1\nsignalbox_host_outstanding_requests{host=\"d\"} 3\n");
  EXPECT_THAT(Names(ViewOf(values, SortBy::kName, "").hosts), ElementsAre("d"));
}

TEST(TrafficPage, OfAnotherProgramIsRefused) {
  EXPECT_THAT(Refusal("# TYPE process_open_fds gauge\nprocess_open_fds 1\n"), HasSubstr("--admin"));
  EXPECT_THAT(Refusal("<html>\n"), HasSubstr("line 1:1"));
}

TEST(TrafficPage, RowsAndPartsHaveALimit) {
  std::string rows;
  for (size_t i = 0; i <= kTrafficRowsMax; ++i) rows += fmt::format("signalbox_host_weight{{host=\"{}\"}} 1\n", i);
  EXPECT_THAT(Refusal(rows), HasSubstr("line 8193: more than 8192 Objectives, models, shadows and hosts"));
  std::string parts;
  for (size_t i = 0; i <= kTrafficPartsMax; ++i) parts += Requests("A", "m", std::to_string(i), 1);
  EXPECT_THAT(Refusal(parts), HasSubstr("more than 8192 values of 'code'"));
  EXPECT_LE(Read(Requests(std::string(5000, 'x'), "m", "OK", 1)).rows.begin()->first.objective.size(),
            kTrafficNameBytesMax);
}

TEST(TrafficView, OfSeveralProxiesIsTheirSumAndTheirWorstLatency) {
  constexpr std::string_view kQuantile =
      "signalbox_request_duration_recent_seconds{{objective=\"A\",model=\"m\",quantile=\"{}\"}} {}\n";
  TrafficValues all;
  for (const double p99 : {0.5, 0.25}) {
    const TrafficValues before = Read(Requests("A", "m", "OK", 0));
    Join(Rates(&before,
               Read(Requests("A", "m", "OK", 10) + fmt::format(fmt::runtime(kQuantile), "0.99", p99) +
                    fmt::format(fmt::runtime(kQuantile), "0.5", "NaN")),
               1),
         all);
  }
  const TrafficView view = ViewOf(all, SortBy::kRate, "");
  ASSERT_EQ(view.objectives.size(), 1U);
  EXPECT_EQ(view.objectives[0].total.values[Cell::kRate], 20);
  EXPECT_EQ(view.objectives[0].total.values[Cell::kP99], 0.5);
  EXPECT_EQ(view.objectives[0].total.values[Cell::kP50], std::nullopt);
}

TEST(TrafficView, SharesSaturationAndDisagreementAreWorkedOut) {
  constexpr std::string_view kState =
      "signalbox_limit_in_flight{objective=\"A\",tenant=\"t\",model=\"m\",policy=\"p\"} 3\n"
      "signalbox_limit_adaptive{objective=\"A\",tenant=\"t\",model=\"m\",policy=\"p\"} 4\n"
      "signalbox_limit_in_flight{objective=\"A\",tenant=\"u\",model=\"m\",policy=\"p\"} 5\n";
  constexpr std::string_view kShadow =
      "signalbox_shadow_requests_total{{objective=\"A\",shadow=\"s\",model=\"n\",outcome=\"{}\"}} {}\n";
  const TrafficValues before = Read("");
  const TrafficValues rates = Rates(
      &before,
      Read(Requests("A", "m", "OK", 30) + Requests("A", "n", "OK", 10) + Requests("B", "m", "OK", 60) +
           std::string(kState) + fmt::format(fmt::runtime(kShadow), "agree", 3) +
           fmt::format(fmt::runtime(kShadow), "disagree", 1) + fmt::format(fmt::runtime(kShadow), "dropped_slow", 2)),
      1);
  const TrafficView view = ViewOf(rates, SortBy::kName, "A");
  ASSERT_EQ(view.objectives.size(), 1U);
  const ObjectiveView& one = view.objectives[0];
  EXPECT_EQ(one.total.values[Cell::kShare], 0.4) << "of all, whatever is shown";
  ASSERT_EQ(one.models.size(), 2U);
  EXPECT_EQ(one.models[0].values[Cell::kShare], 0.75);
  EXPECT_EQ(one.models[0].values[Cell::kSaturation], 0.75);
  EXPECT_EQ(one.models[0].values[Cell::kInFlight], 8);
  EXPECT_EQ(one.total.values[Cell::kInFlight], 8);
  ASSERT_THAT(Names(one.shadows), ElementsAre("s to n"));
  EXPECT_EQ(one.shadows[0].values[Cell::kShadows], 4);
  EXPECT_EQ(one.shadows[0].values[Cell::kShadowsLost], 2);
  EXPECT_EQ(one.shadows[0].values[Cell::kDisagreement], 0.25);
  EXPECT_EQ(one.total.values[Cell::kDisagreement], 0.25);
}

TEST(TrafficView, IsSortedByWhatIsAskedForAndThenByName) {
  const TrafficValues before = Read("");
  const TrafficValues rates = Rates(
      &before,
      Read(Requests("A", "x", "OK", 5) + Requests("A", "z", "OK", 9) + Requests("A", "y", "INTERNAL", 5) +
           "signalbox_host_outstanding_requests{host=\"h1\"} 1\nsignalbox_host_outstanding_requests{host=\"h2\"} 2\n"),
      1);
  EXPECT_THAT(Names(ViewOf(rates, SortBy::kRate, "").objectives[0].models), ElementsAre("z", "x", "y"));
  EXPECT_THAT(Names(ViewOf(rates, SortBy::kErrors, "").objectives[0].models), ElementsAre("y", "x", "z"));
  EXPECT_THAT(Names(ViewOf(rates, SortBy::kName, "").objectives[0].models), ElementsAre("x", "y", "z"));
  EXPECT_THAT(Names(ViewOf(rates, SortBy::kRate, "").hosts), ElementsAre("h2", "h1"));
}

}  // namespace
}  // namespace signalbox::cli
