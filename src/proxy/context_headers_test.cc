#include "proxy/context_headers.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/status.h"
#include "proxy/worker_memory.h"

namespace signalbox::proxy {
namespace {

class ContextHeadersTest : public ::testing::Test {
 protected:
  absl::Status Read(const std::vector<std::pair<std::string, std::string>>& headers) {
    list_.Clear();
    for (const auto& [name, value] : headers) EXPECT_TRUE(list_.Add(name, value));
    return ReadContext(list_, read_);
  }
  const decide::RequestContext& context() const { return read_.context; }

  WorkerMemory memory_;
  HeaderList list_{memory_};
  ContextHeaders read_;
};

TEST_F(ContextHeadersTest, FillTheContext) {
  ASSERT_TRUE(
      Read({{"sb-objective", "TitleRanking"},
            {"sb-user", "u1"},
            {"sb-tenant", "kids"},
            {"sb-traffic", "synthetic"},
            {"sb-context", "country=US, locale=\"en-US\",device=tv , surface=home, beta, app=1.25, n=-3, off=?0"},
            {"user-agent", "x"}})
          .ok());
  EXPECT_EQ(context().objective, "TitleRanking");
  EXPECT_EQ(context().user, "u1");
  EXPECT_EQ(context().tenant, "kids");
  EXPECT_EQ(context().traffic_type, decide::TrafficType::kSynthetic);
  EXPECT_EQ(context().country, "US");
  EXPECT_EQ(context().locale, "en-US");
  EXPECT_EQ(context().device, "tv");
  EXPECT_EQ(context().surface, "home");
  ASSERT_EQ(context().attributes.size(), 4);
  EXPECT_EQ(context().attributes[0].key, "beta");
  EXPECT_EQ(context().attributes[0].value, "true");
  EXPECT_EQ(context().attributes[1].value, "1.25");
  EXPECT_EQ(context().attributes[2].value, "-3");
  EXPECT_EQ(context().attributes[3].value, "false");
}

TEST_F(ContextHeadersTest, HaveAVersionAndSegments) {
  ASSERT_TRUE(Read({{"sb-context", "app-version=\"4.2.1\", segments=(\"kids\"  premium 7 ), plan=basic"}}).ok());
  EXPECT_EQ(context().app_version, "4.2.1");
  EXPECT_EQ(context().segments, "kids premium 7");
  ASSERT_EQ(context().attributes.size(), 1);
  EXPECT_EQ(context().attributes[0].key, "plan");
  ASSERT_TRUE(Read({{"sb-context", "segments=(), app-version=4.2.1"}}).ok());
  EXPECT_EQ(context().segments, "");
  EXPECT_EQ(context().app_version, "4.2.1");
  ASSERT_TRUE(Read({{"sb-context", "segments=(a b), segments=(c)"}}).ok());
  EXPECT_EQ(context().segments, "c") << "of members with the same key the last one counts";
}

TEST_F(ContextHeadersTest, HaveSegmentsUpToALimit) {
  const std::string half(kSegmentBytesMax / 2, 's');
  EXPECT_TRUE(Read({{"sb-context", "segments=(" + half + " " + half.substr(1) + ")"}}).ok());
  EXPECT_EQ(context().segments.size(), kSegmentBytesMax);
  const absl::Status status = Read({{"sb-context", "segments=(" + half + " " + half + ")"}});
  EXPECT_NE(Message(status).find("column 524: expected segments of at most 1024 bytes"), std::string::npos) << status;
}

TEST_F(ContextHeadersTest, SayWhatACallerWantsToOverride) {
  ASSERT_TRUE(Read({{"sb-override", "model=\"ranker@3\", cells=\"12345=2;777=b\""}}).ok());
  EXPECT_EQ(context().override_model, "ranker@3");
  ASSERT_EQ(context().override_cells.size(), 2);
  EXPECT_EQ(context().override_cells[0].experiment, "12345");
  EXPECT_EQ(context().override_cells[0].cell, "2");
  EXPECT_EQ(context().override_cells[1].experiment, "777");
  EXPECT_EQ(context().override_cells[1].cell, "b");
  ASSERT_TRUE(Read({{"sb-override", "model=ranker"}}).ok());
  EXPECT_EQ(context().override_model, "ranker");
  EXPECT_TRUE(context().override_cells.empty());
  ASSERT_TRUE(Read({}).ok());
  EXPECT_EQ(context().override_model, "") << "nothing is left of the request before";
}

TEST_F(ContextHeadersTest, RefuseAnOverrideWithItsPlace) {
  for (const auto& [text, column, expected] : std::vector<std::tuple<std::string, int, std::string>>{
           {"modle=\"ranker@3\"", 1, "`model` or `cells`"},
           {"model=ranker@3", 13, "',' or the end"},
           {"model=(a)", 8, "a \"string\""},
           {"model", 1, "a \"string\""},
           {"cells", 1, "a \"string\""},
           {"model=a, cells", 10, "a \"string\""},
           {"cells=?1", 7, "a \"string\""},
           {"model=?0", 7, "a \"string\""},
           {"modle", 1, "`model` or `cells`"},
           {"cells=\"?1\"", 8, "EXPERIMENT=CELL"},
           {"cells=\"12345\"", 8, "EXPERIMENT=CELL"},
           {"cells=\"=2\"", 8, "EXPERIMENT=CELL"},
           {"cells=\"1=2;7=\"", 12, "EXPERIMENT=CELL"},
           {"cells=\"1=2;;7=1\"", 12, "EXPERIMENT=CELL"},
           {"cells=\"1=2;\"", 12, "another EXPERIMENT=CELL behind the last ';'"},
           {"cells=\"1=2;1=3\"", 12, "one cell for each experiment"}}) {
    const absl::Status status = Read({{"sb-override", text}});
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_EQ(Message(status), "header sb-override, column " + std::to_string(column) + ": expected " + expected +
                                   ", as in `model=\"ranker@3\", cells=\"12345=2;777=1\"`")
        << text;
  }
  std::string cells = "e0=1";
  for (size_t i = 1; i < kOverrideCellsMax; ++i) cells += ";e" + std::to_string(i) + "=1";
  EXPECT_TRUE(Read({{"sb-override", "cells=\"" + cells + "\""}}).ok());
  EXPECT_FALSE(Read({{"sb-override", "cells=\"" + cells + ";e=1\""}}).ok());
  EXPECT_FALSE(Read({{"sb-override", "model=a"}, {"sb-override", "model=b"}}).ok());
}

TEST_F(ContextHeadersTest, MayAllBeMissing) {
  ASSERT_TRUE(Read({}).ok());
  EXPECT_EQ(context().objective, "");
  EXPECT_EQ(context().traffic_type, decide::TrafficType::kLive);
  ASSERT_TRUE(Read({{"sb-context", ""}}).ok());
}

TEST_F(ContextHeadersTest, AreRefusedWithTheirPlace) {
  for (const std::string dictionary : {"Country=US",
                                       "country=",
                                       "country=US,",
                                       "country=US device=tv",
                                       "a=\"x",
                                       "a=\"x\\\"\"",
                                       "a=(1 2)",
                                       "segments=kids",
                                       "segments=(\"a b\")",
                                       "segments=(\"\")",
                                       "segments=(a",
                                       "segments=(a,b)",
                                       "segments=(a;b)",
                                       "segments=(a\"b\")",
                                       "segments=((a))",
                                       "segments",
                                       "a=?2",
                                       "=1",
                                       ",",
                                       "a=1;b=2",
                                       "a=\x01"}) {
    const absl::Status status = Read({{"sb-context", dictionary}});
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << dictionary;
    EXPECT_NE(Message(status).find("sb-context, column "), std::string::npos) << dictionary << ": " << status;
  }
  EXPECT_FALSE(Read({{"sb-traffic", "test"}}).ok());
  EXPECT_FALSE(Read({{"sb-user", "a"}, {"sb-user", "b"}}).ok());
}

TEST_F(ContextHeadersTest, AreRefusedAtTheColumnAlsoWhereTheirValueIsATruth) {
  for (const auto& [text, column, expected] :
       std::vector<std::tuple<std::string, int, std::string>>{{"segments", 1, "an inner list"},
                                                              {"segments=?1", 10, "an inner list"},
                                                              {"country=US, segments=?0", 22, "an inner list"},
                                                              {"country=US, segments", 13, "an inner list"},
                                                              {"segments=\"\"", 11, "an inner list"},
                                                              {"a=()", 4, "a single value"},
                                                              {"country=(a)", 10, "a single value"},
                                                              {"n=-", 4, "a digit"},
                                                              {"n=--1", 4, "a digit"},
                                                              {"v=1.2.3.", 9, "a digit"},
                                                              {"v=1..2", 5, "a digit"},
                                                              {"segments=(1.)", 13, "a digit"}}) {
    const absl::Status status = Read({{"sb-context", text}});
    const std::string place = "header sb-context, column " + std::to_string(column) + ": expected " + expected;
    EXPECT_TRUE(std::string(Message(status)).starts_with(place)) << text << ": " << status;
  }
}

TEST_F(ContextHeadersTest, OfAStringAreTheStringWhateverItSays) {
  ASSERT_TRUE(Read({{"sb-context", "a=\"?1\", b=\"?0\", c=?1, d=\"(x)\""}}).ok());
  ASSERT_EQ(context().attributes.size(), 4);
  EXPECT_EQ(context().attributes[0].value, "?1");
  EXPECT_EQ(context().attributes[1].value, "?0");
  EXPECT_EQ(context().attributes[2].value, "true");
  EXPECT_EQ(context().attributes[3].value, "(x)");
}

TEST_F(ContextHeadersTest, HaveALimitOfAttributes) {
  std::string dictionary = "a0";
  for (int i = 1; i < 64; ++i) dictionary += ",a" + std::to_string(i);
  EXPECT_TRUE(Read({{"sb-context", dictionary}}).ok());
  EXPECT_TRUE(Read({{"sb-context", dictionary + ",a3=4"}}).ok()) << "the same key again is no further one";
  EXPECT_FALSE(Read({{"sb-context", dictionary + ",b"}}).ok());
}

TEST(HeaderList, RefusesMoreThanItsLimits) {
  WorkerMemory memory;
  HeaderList list(memory);
  for (size_t i = 0; i < kHeadersMax; ++i) EXPECT_TRUE(list.Add("n", "v"));
  EXPECT_FALSE(list.Add("n", "v"));
  list.Clear();
  EXPECT_TRUE(list.Add("a", std::string(kHeaderBytesMax - 1, 'v')));
  EXPECT_FALSE(list.Add("n", "v"));
  EXPECT_EQ(list.Find("a").size(), kHeaderBytesMax - 1);
}

}  // namespace
}  // namespace signalbox::proxy
