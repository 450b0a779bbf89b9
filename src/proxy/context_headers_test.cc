#include "proxy/context_headers.h"

#include <gtest/gtest.h>

#include <string>
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

TEST_F(ContextHeadersTest, MayAllBeMissing) {
  ASSERT_TRUE(Read({}).ok());
  EXPECT_EQ(context().objective, "");
  EXPECT_EQ(context().traffic_type, decide::TrafficType::kLive);
  ASSERT_TRUE(Read({{"sb-context", ""}}).ok());
}

TEST_F(ContextHeadersTest, AreRefusedWithTheirPlace) {
  for (const std::string dictionary : {"Country=US", "country=", "country=US,", "country=US device=tv", "a=\"x",
                                       "a=\"x\\\"\"", "a=(1 2)", "a=?2", "=1", ",", "a=1;b=2", "a=\x01"}) {
    const absl::Status status = Read({{"sb-context", dictionary}});
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << dictionary;
    EXPECT_NE(Message(status).find("sb-context, column "), std::string::npos) << dictionary << ": " << status;
  }
  EXPECT_FALSE(Read({{"sb-traffic", "test"}}).ok());
  EXPECT_FALSE(Read({{"sb-user", "a"}, {"sb-user", "b"}}).ok());
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
