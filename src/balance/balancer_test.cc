#include "balance/balancer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

#include "balance/test_hosts.h"
#include "prometheus/metric_family.h"

namespace signalbox::balance {
namespace {

using std::chrono::seconds;

void Fail(TestHosts& hosts, uint32_t host, int times = 5) {
  for (int i = 0; i < times; ++i) hosts.Answer(host, milliseconds(1), Outcome::kFailed);
}

TEST(Ejection, TakesAHostThatFailsInSuccessionAwayAndBringsItBackSlowly) {
  TestHosts hosts(4);
  Fail(hosts, 1);
  hosts.Pass(kTickInterval);
  EXPECT_TRUE(hosts.hosts[1]->ejected());
  EXPECT_EQ(hosts.Count(1000)[1], 0);
  hosts.Pass(seconds(6));
  EXPECT_FALSE(hosts.hosts[1]->ejected());
  EXPECT_FALSE(hosts.hosts[1]->warm());
}

TEST(Ejection, NeedsFailuresInSuccession) {
  TestHosts hosts(4);
  for (int i = 0; i < 10; ++i) {
    Fail(hosts, 1, 4);
    hosts.Answer(1, milliseconds(1));
    hosts.Pass(kTickInterval);
  }
  EXPECT_FALSE(hosts.hosts[1]->ejected());
}

TEST(Ejection, IsAvoidedBeforeItIsDecided) {
  TestHosts hosts(4);
  for (uint32_t i = 0; i < 4; ++i) hosts.Answer(i, milliseconds(10));
  Fail(hosts, 1, 2);
  EXPECT_EQ(hosts.Count(1000)[1], 0) << "failing at once it would look idle";
  hosts.Pass(seconds(1));
  EXPECT_EQ(hosts.Count(1000)[1], 0);
  hosts.Pass(seconds(1));
  EXPECT_GT(hosts.Count(1000)[1], 0) << "it must be tried again some time";
}

TEST(Ejection, IsNotForWhatRequestsAreToBlameFor) {
  TestHosts hosts(4);
  for (const int status : {1, 3, 6, 7, 8, 9, 10, 11, 16}) {
    for (int i = 0; i < 20; ++i) hosts.Answer(1, milliseconds(1), OutcomeOfStatus(status));
  }
  hosts.Pass(seconds(11));
  EXPECT_FALSE(hosts.hosts[1]->ejected());
}

TEST(Ejection, LastsTwiceAsLongEachTimeAndIsForgotten) {
  TestHosts hosts(4);
  const auto ejected_for = [&] {
    Fail(hosts, 1);
    hosts.Pass(kTickInterval);
    const Time began = hosts.now;
    while (hosts.hosts[1]->ejected() && hosts.now < began + seconds(600)) hosts.Pass(kTickInterval);
    return std::chrono::round<seconds>(hosts.now - began).count();
  };
  EXPECT_EQ(ejected_for(), 5);
  EXPECT_EQ(ejected_for(), 10);
  EXPECT_EQ(ejected_for(), 20);
  for (int i = 0; i < 5; ++i) ejected_for();
  EXPECT_EQ(ejected_for(), 300) << "the most";
  hosts.Pass(seconds(1200));
  EXPECT_EQ(ejected_for(), 5);
}

TEST(Ejection, TakesNeverMoreThanItsPart) {
  for (const size_t count : {1u, 2u, 3u, 8u}) {
    TestHosts hosts(count);
    for (int round = 0; round < 20; ++round) {
      for (uint32_t i = 0; i < count; ++i) Fail(hosts, i);
      hosts.Pass(kTickInterval);
      size_t ejected = 0;
      for (const auto& host : hosts.hosts) ejected += host->ejected() ? 1 : 0;
      EXPECT_LE(ejected, count / 2) << count;
    }
  }
}

TEST(Ejection, LeavesOneWhateverPartIsSet) {
  TestHosts hosts(3, {.ejected_percent_max = 100});
  for (uint32_t i = 0; i < 3; ++i) Fail(hosts, i);
  hosts.Pass(kTickInterval);
  size_t ejected = 0;
  for (const auto& host : hosts.hosts) ejected += host->ejected() ? 1 : 0;
  EXPECT_EQ(ejected, 2u);
}

TEST(Ejection, IsForThoseWhoDoWorseThanTheOthers) {
  TestHosts hosts(3);
  hosts.Pass(kTickInterval);  // the first window begins
  for (int i = 0; i < 200; ++i) {
    for (uint32_t host = 0; host < 3; ++host) {
      // Every second request is poison, wherever it goes; host 2 spoils half of the others.
      const bool good = i % 2 != 0 && (host != 2 || i % 4 == 1);
      hosts.Answer(host, milliseconds(1), good ? Outcome::kAnswered : Outcome::kErred);
    }
  }
  hosts.Pass(seconds(11));
  EXPECT_FALSE(hosts.hosts[0]->ejected());
  EXPECT_FALSE(hosts.hosts[1]->ejected());
  EXPECT_TRUE(hosts.hosts[2]->ejected());
}

// A host without the model answers faster than all others.
TEST(Ejection, ErrorsDoNotMakeAHostLookFast) {
  for (const int status : {2, 3, 4, 5, 7, 12, 13, 15}) {
    TestHosts hosts(2);
    for (int i = 0; i < 40; ++i) {
      for (uint32_t host = 0; host < 2; ++host) hosts.Answer(host, milliseconds(20));
    }
    for (int i = 0; i < 40; ++i) {
      hosts.Answer(1, std::chrono::duration_cast<milliseconds>(std::chrono::microseconds(0)), OutcomeOfStatus(status));
      hosts.Pass(milliseconds(100));
      hosts.Answer(0, milliseconds(20));
    }
    const auto counts = hosts.Count(1000);
    EXPECT_LT(counts[1], 700) << "status " << status;
  }
}

TEST(Ejection, ByFailuresIsNotPutOffByOtherErrorsInBetween) {
  TestHosts hosts(4);
  for (uint32_t i = 0; i < 4; ++i) hosts.Answer(i, milliseconds(10));
  for (int i = 0; i < 5; ++i) {
    hosts.Answer(1, milliseconds(1), OutcomeOfStatus(14));
    hosts.Answer(1, milliseconds(1), OutcomeOfStatus(13));
  }
  hosts.Pass(kTickInterval);
  EXPECT_TRUE(hosts.hosts[1]->ejected());
}

TEST(Ejection, IsForOneThatDoesNotHaveTheModelThatOthersHave) {
  TestHosts hosts(3);
  hosts.Pass(kTickInterval);  // the first window begins
  for (int i = 0; i < 200; ++i) {
    for (uint32_t host = 0; host < 3; ++host) hosts.Answer(host, milliseconds(1), OutcomeOfStatus(host == 2 ? 5 : 0));
  }
  hosts.Pass(seconds(11));
  EXPECT_FALSE(hosts.hosts[0]->ejected());
  EXPECT_TRUE(hosts.hosts[2]->ejected());
}

TEST(Ejection, BySuccessHappensAtTheEndOfAWindow) {
  TestHosts hosts(3);
  hosts.Pass(kTickInterval);  // the first window begins
  for (int i = 0; i < 200; ++i) {
    for (uint32_t host = 0; host < 3; ++host)
      hosts.Answer(host, milliseconds(1), host == 2 && i % 2 == 0 ? Outcome::kErred : Outcome::kAnswered);
  }
  hosts.Pass(seconds(9));
  EXPECT_FALSE(hosts.hosts[2]->ejected());
  hosts.Pass(seconds(1) + kTickInterval);
  EXPECT_TRUE(hosts.hosts[2]->ejected());
  EXPECT_FALSE(hosts.hosts[0]->ejected());
}

TEST(Ejection, NeedsEnoughAnswers) {
  TestHosts hosts(3);
  hosts.Pass(kTickInterval);
  for (uint32_t host = 0; host < 3; ++host) {
    for (int i = 0; i < 40; ++i) hosts.Answer(host, milliseconds(1), host == 2 ? Outcome::kErred : Outcome::kAnswered);
  }
  hosts.Pass(seconds(11));
  EXPECT_FALSE(hosts.hosts[2]->ejected());
}

TEST(ActiveHealth, ChangesAfterSeveralAnswersInSuccession) {
  Health health;
  const Settings settings;
  EXPECT_FALSE(health.Take(false, settings));
  EXPECT_FALSE(health.Take(false, settings));
  EXPECT_FALSE(health.Take(true, settings));
  EXPECT_FALSE(health.Take(false, settings));
  EXPECT_FALSE(health.Take(false, settings));
  EXPECT_TRUE(health.healthy());
  EXPECT_TRUE(health.Take(false, settings));
  EXPECT_FALSE(health.healthy());
  EXPECT_FALSE(health.Take(true, settings));
  EXPECT_TRUE(health.Take(true, settings));
  EXPECT_TRUE(health.healthy());
}

TEST(ActiveHealth, TakesLongerToBelieveAHostThatFlaps) {
  Health health;
  const Settings settings;
  const auto answers_to_return = [&] {
    while (health.healthy()) health.Take(false, settings);
    int answers = 0;
    while (!health.healthy()) {
      health.Take(true, settings);
      ++answers;
    }
    return answers;
  };
  EXPECT_EQ(answers_to_return(), 2);
  EXPECT_EQ(answers_to_return(), 4);
  EXPECT_EQ(answers_to_return(), 8);
  EXPECT_EQ(answers_to_return(), 16);
  EXPECT_EQ(answers_to_return(), 16) << "the most";
  for (int i = 0; i < 100; ++i) health.Take(true, settings);
  EXPECT_EQ(answers_to_return(), 2) << "it has been well for long";
}

TEST(ActiveHealth, TakesAHostAwayAndBringsItBackSlowly) {
  TestHosts hosts(4);
  for (int i = 0; i < 3; ++i) hosts.balancer.OnHealth("host-2:1", false, hosts.now);
  EXPECT_EQ(hosts.Count(1000)[2], 0);
  for (int i = 0; i < 2; ++i) hosts.balancer.OnHealth("host-2:1", true, hosts.now);
  EXPECT_TRUE(hosts.hosts[2]->healthy());
  EXPECT_FALSE(hosts.hosts[2]->warm());
  hosts.balancer.OnHealth("nobody:1", false, hosts.now);
}

TEST(Balancer, KnowsAHostOfTheLastSnapshotAndForgetsOneOfNoSnapshot) {
  TestHosts hosts(3);
  Fail(hosts, 1);
  hosts.Pass(kTickInterval);
  hosts.group = hosts.MakeGroup(2);
  hosts.hosts.resize(2);
  hosts.balancer.Keep({hosts.group}, hosts.now);
  EXPECT_TRUE(hosts.hosts[1]->ejected());
  EXPECT_EQ(hosts.balancer.Hosts().size(), 2u);
  hosts.Pass(seconds(6));
  EXPECT_FALSE(hosts.hosts[1]->ejected()) << "who ejected it brings it back";
}

TEST(Balancer, CountsEveryTryToItsEndFromManyThreads) {
  TestHosts hosts(4);
  std::vector<std::thread> threads;
  for (int worker = 0; worker < 4; ++worker) {
    threads.emplace_back([&hosts, worker] {
      Random random(static_cast<uint64_t>(worker));
      std::vector<uint32_t> open;
      for (int i = 0; i < 50'000; ++i) {
        const uint32_t place = hosts.group->Choose(random, hosts.now, TestHosts::Any).value();
        hosts.hosts[place]->OnBegin();
        open.push_back(place);
        if (open.size() < 10) continue;
        for (const uint32_t host : open) {
          const auto outcome = static_cast<Outcome>(random.Below(5));
          hosts.hosts[host]->OnEnd(outcome, milliseconds(random.Below(20)), hosts.now, hosts.balancer.settings());
        }
        open.clear();
      }
    });
  }
  for (int i = 0; i < 1000; ++i) hosts.balancer.Tick(hosts.now);
  for (std::thread& thread : threads) thread.join();
  for (const auto& host : hosts.hosts) EXPECT_EQ(host->outstanding(), 0);
}

TEST(Balancer, TellsOfEachHost) {
  TestHosts hosts(2);
  hosts.Answer(0, milliseconds(1));
  hosts.hosts[0]->OnReport(0.5, std::chrono::steady_clock::now());
  Fail(hosts, 1);
  hosts.Pass(kTickInterval);
  std::map<std::string, double> values;
  for (const prometheus::MetricFamily& family : hosts.balancer.Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric)
      values[family.name + "/" + metric.label.at(0).value] = metric.gauge.value + metric.counter.value;
  }
  EXPECT_EQ(values.at("signalbox_host_ejected/host-0:1"), 0);
  EXPECT_EQ(values.at("signalbox_host_ejected/host-1:1"), 1);
  EXPECT_EQ(values.at("signalbox_host_ejections_total/host-1:1"), 1);
  EXPECT_EQ(values.at("signalbox_host_healthy/host-1:1"), 1);
  EXPECT_EQ(values.at("signalbox_host_outstanding_requests/host-0:1"), 0);
  EXPECT_EQ(values.at("signalbox_host_utilisation/host-0:1"), 0.5);
  EXPECT_EQ(values.count("signalbox_host_utilisation/host-1:1"), 0u);
}

}  // namespace
}  // namespace signalbox::balance
