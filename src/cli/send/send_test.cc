#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <thread>

#include "base/status.h"
#include "cli/send/traffic_sender.h"
#include "host/host.h"
#include "host/test_repository.h"

namespace signalbox::cli {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

RequestSource Source(std::vector<ObjectiveTraffic> objectives, uint64_t seed = 7) {
  auto source = RequestSource::Load(
      {.data_folder = host::DataFolder(), .objectives = std::move(objectives), .users = 100, .seed = seed});
  EXPECT_TRUE(source.ok()) << source.status();
  return *std::move(source);
}

const std::vector<ObjectiveTraffic> kModelsAsObjectives = {{"title-ranker", Domain::kFilms},
                                                           {"arrival-delay", Domain::kFlights}};

TEST(RequestSource, EqualSeedsGiveEqualRequests) {
  ASSERT_NE(host::TestRepository::Get(), nullptr);
  RequestSource a = Source(DemoObjectives()), b = Source(DemoObjectives()), c = Source(DemoObjectives(), 8);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const TrafficRequest from_a = a.Next(), from_b = b.Next();
    EXPECT_EQ(from_a.body.SerializeAsString(), from_b.body.SerializeAsString());
    EXPECT_EQ(from_a.user, from_b.user);
    EXPECT_EQ(from_a.context, from_b.context);
    differs |= from_a.body.SerializeAsString() != c.Next().body.SerializeAsString();
  }
  EXPECT_TRUE(differs);
}

TEST(RequestSource, AUserKeepsItsContextAndEveryObjectiveIsAsked) {
  ASSERT_NE(host::TestRepository::Get(), nullptr);
  RequestSource source = Source({{"Ranking", Domain::kFilms}});
  std::map<std::string, std::string> contexts;
  int kids = 0;
  for (int i = 0; i < 2000; ++i) {
    const TrafficRequest request = source.Next();
    auto [known, fresh] = contexts.emplace(request.user, request.context);
    ASSERT_EQ(known->second, request.context);
    if (fresh) kids += request.context.find("surface=kids") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(contexts.size(), 100U);
  EXPECT_GT(kids, 0);
  EXPECT_LT(kids, 30);
}

TEST(RequestSource, WhatIsNotAnObjectiveIsRefused) {
  EXPECT_EQ(ParseObjectiveTraffic("A=films")->objective, "A");
  EXPECT_EQ(ParseObjectiveTraffic("A=flights")->domain, Domain::kFlights);
  for (const char* text : {"", "A", "=films", "A=trains", "A="}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseObjectiveTraffic(text).status())) << text;
  }
}

TEST(TrafficReport, SharesAndFailuresAddUp) {
  TrafficReport report;
  for (int i = 0; i < 3; ++i) report.AddAnswer("A", "m@1", "default", "s1", milliseconds(2));
  report.AddAnswer("A", "m@2", "experiment", "s1", milliseconds(40));
  report.AddFailure("A", "", "UNAVAILABLE", "no host of shard s1 answers");
  report.AddFailure("B", "m@1", "UNAVAILABLE", "no host of shard s1 answers");
  report.sent = 6;
  report.duration = std::chrono::seconds(2);

  EXPECT_DOUBLE_EQ(report.Share("A", "m@1"), 0.75);
  EXPECT_DOUBLE_EQ(report.Share("A", "none"), 0);
  EXPECT_EQ(report.answered(), 4U);
  EXPECT_EQ(report.failed(), 2U);
  const nlohmann::ordered_json json = Json(report);
  EXPECT_EQ(json["objectives"][0]["models"].size(), 3U);
  EXPECT_EQ(json["objectives"][0]["models"][1]["reasons"]["default"], 3);
  EXPECT_NEAR(json["objectives"][0]["models"][2]["p99_ms"].get<double>(), 40, 1);
  EXPECT_EQ(json["failures"][0]["code"], "UNAVAILABLE");
  EXPECT_THAT(Table(report), HasSubstr("1 x A UNAVAILABLE: no host of shard s1 answers"));
  EXPECT_THAT(Table(report), HasSubstr("m@1  "));
  EXPECT_THAT(Table(report), HasSubstr("(none)"));
}

TEST(TrafficReport, SinceLeavesOutWhatWasThereBefore) {
  TrafficReport before;
  before.AddAnswer("A", "m@1", "default", "s1", milliseconds(2));
  before.AddFailure("A", "m@1", "UNAVAILABLE", "x");
  TrafficReport after = before;
  after.AddAnswer("A", "m@2", "default", "s2", milliseconds(2));
  const TrafficReport since = after.Since(before);
  EXPECT_EQ(since.answered(), 1U);
  EXPECT_EQ(since.failed(), 0U);
  EXPECT_EQ(since.models.size(), 1U);
  EXPECT_TRUE(since.failures.empty());
  EXPECT_EQ(since.snapshots, (std::map<std::string, uint64_t>{{"s2", 1}}));
  EXPECT_DOUBLE_EQ(since.Share("A", "m@2"), 1);
}

// Sends until `requests` have come back.
TrafficReport SendTo(const std::string& target, std::vector<ObjectiveTraffic> objectives, uint64_t requests) {
  auto sender =
      TrafficSender::Start({.target = target, .rate_per_second = 500, .connections = 2}, Source(std::move(objectives)));
  EXPECT_TRUE(sender.ok()) << sender.status();
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < give_up) {
    const TrafficReport report = (*sender)->Report();
    if (report.answered() + report.failed() >= requests) break;
    std::this_thread::yield();
  }
  (*sender)->Stop();
  return (*sender)->Report();
}

// A host knows no Objectives, but a model's name is as good a name for one.
TEST(TrafficSender, EveryRequestIsAnsweredByARealHostOrCounted) {
  const host::TestRepository* repository = host::TestRepository::Get();
  ASSERT_NE(repository, nullptr);
  auto host = host::Host::Start({.repository = repository->path(), .listen = "127.0.0.1:0"});
  ASSERT_TRUE(host.ok()) << host.status();
  const auto loaded = (*host)->WaitUntilLoaded(std::chrono::seconds(20));
  ASSERT_TRUE(loaded.has_value() && loaded->failures.empty());

  TrafficReport report = SendTo((*host)->address(), kModelsAsObjectives, 200);
  EXPECT_EQ(report.failed(), 0U) << Table(report);
  EXPECT_GE(report.answered(), 200U);
  EXPECT_EQ(report.answered(), report.sent) << "Stop waits for what is on the way";
  EXPECT_NEAR(report.Share("title-ranker", ""), 1, 0);

  report = SendTo((*host)->address(), {{"title-ranker", Domain::kFlights}}, 20);
  EXPECT_EQ(report.answered(), 0U);
  EXPECT_EQ(report.failed(), report.sent);
  ASSERT_EQ(report.failures.size(), 1U) << Table(report);
  EXPECT_EQ(report.failures.begin()->first.code, "INVALID_ARGUMENT");
  EXPECT_THAT(report.failures.begin()->first.message, HasSubstr("this model has no such input"));
}

TEST(TrafficSender, ATargetThatIsNotThereFailsRequestsAndNothingElse) {
  ASSERT_NE(host::TestRepository::Get(), nullptr);
  // Port 1 of the machine itself: nobody listens there.
  const TrafficReport report = SendTo("127.0.0.1:1", kModelsAsObjectives, 20);
  EXPECT_EQ(report.answered(), 0U);
  EXPECT_EQ(report.failed(), report.sent);
  EXPECT_EQ(report.failures.begin()->first.code, "UNAVAILABLE");
}

TEST(TrafficSender, OptionsThatSayNothingAreRefused) {
  ASSERT_NE(host::TestRepository::Get(), nullptr);
  auto refused = [](SenderOptions options) {
    options.target = "127.0.0.1:1";
    return absl::IsInvalidArgument(TrafficSender::Start(std::move(options), Source(kModelsAsObjectives)).status());
  };
  EXPECT_TRUE(refused({.rate_per_second = 0}));
  EXPECT_TRUE(refused({.rate_per_second = -1}));
  EXPECT_TRUE(refused({.rate_per_second = std::nan("")}));
  EXPECT_TRUE(refused({.connections = 0}));
  EXPECT_TRUE(refused({.traffic_type = "shadow"}));
}

}  // namespace
}  // namespace signalbox::cli
