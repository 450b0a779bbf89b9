#include "fleet/load_report.h"

#include <gtest/gtest.h>

#include <string>

namespace signalbox::fleet {
namespace {

TEST(LoadReport, BothFormsAreRead) {
  EXPECT_EQ(Saturation("TEXT cpu_utilization=0.3,mem_utilization=0.9"), 0.3);
  EXPECT_EQ(Saturation("JSON {\"cpu_utilization\": 0.3, \"mem_utilization\": 0.9}"), 0.3);
  EXPECT_EQ(Saturation("JSON {\"named_metrics\": {\"kv_cache_usage_perc\": 0.4, \"num_requests_waiting\": 7}}"), 0.4);
  EXPECT_EQ(Saturation("TEXT named_metrics.kv_cache_utilization=0.4, named_metrics.max_token_capacity=2048"), 0.4);
}

TEST(LoadReport, WhatTheApplicationSaysOfItselfCountsFirstElseWhatIsUsedUpFirst) {
  EXPECT_EQ(Saturation("TEXT application_utilization=0.2,cpu_utilization=0.9"), 0.2);
  EXPECT_EQ(Saturation("TEXT cpu_utilization=0.5,named_metrics.gpu_utilization=1.2"), 1.2);
}

TEST(LoadReport, WhatIsNoReportSaysNothing) {
  for (const char* header :
       {"", "TEXT", "TEXT ", "JSON ", "JSON []", "JSON {", "JSON {\"cpu_utilization\": \"much\"}", "BIN abc",
        "TEXT cpu_utilization", "TEXT cpu_utilization=", "TEXT cpu_utilization=0.3x", "TEXT cpu_utilization=nan",
        "TEXT cpu_utilization=-1", "TEXT =0.3", "TEXT mem_utilization=0.3"}) {
    EXPECT_EQ(Saturation(header), std::nullopt) << header;
  }
  EXPECT_EQ(Saturation("TEXT " + std::string(20'000, ' ') + "cpu_utilization=0.3"), std::nullopt);
}

TEST(LoadReport, WhatCannotBeReadIsReadOver) {
  EXPECT_EQ(Saturation("TEXT ,,x,cpu_utilization=a,cpu_utilization=0.3,"), 0.3);
}

}  // namespace
}  // namespace signalbox::fleet
