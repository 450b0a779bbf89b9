#include "balance/load_report.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace signalbox::balance {
namespace {

std::optional<double> Read(std::string_view value) { return ReadLoadReport(kLoadHeader, value); }

TEST(LoadReport, IsApplicationUtilisationFirst) {
  EXPECT_EQ(Read("TEXT cpu_utilization=0.9, application_utilization=0.3"), 0.3);
  EXPECT_EQ(Read(R"(JSON {"application_utilization": 0.3, "cpu_utilization": 0.9})"), 0.3);
}

TEST(LoadReport, IsElseWhatIsUsedUpFirst) {
  EXPECT_EQ(Read("TEXT cpu_utilization=0.2,named_metrics.kv_cache_utilization=0.7,mem_utilization=0.99"), 0.7);
  EXPECT_EQ(Read(R"(JSON {"cpu_utilization":0.2,"named_metrics":{"gpu_cache_usage_perc":0.6,"waiting":12}})"), 0.6);
  EXPECT_EQ(Read("TEXT cpu_utilization=0.2,rps_fractional=1200"), 0.2);
}

TEST(LoadReport, IsReadFromAMessage) {
  // cpu_utilization: 0.5
  EXPECT_EQ(ReadLoadReport(kLoadBinaryHeader, "CQAAAAAAAOA/"), 0.5);
  // rps: 7, named_metrics {"kv_utilization": 0.75}
  EXPECT_EQ(ReadLoadReport(kLoadBinaryHeader, "GAdCGQoOa3ZfdXRpbGl6YXRpb24RAAAAAAAA6D8="), 0.75);
}

TEST(LoadReport, ThatSaysNothingOfUseIsNone) {
  for (const std::string_view value :
       {"", "TEXT ", "TEXT a", "TEXT =", "TEXT ,,=,", "TEXT cpu_utilization=", "TEXT cpu_utilization=nan",
        "TEXT cpu_utilization=-1", "TEXT cpu_utilization=inf", "TEXT cpu_utilization=1e999", "TEXT cpu_utilization=0x1",
        "JSON ", "JSON {", "JSON {\"cpu_utilization\"", "JSON {\"cpu_utilization\":", "JSON {\"cpu_utilization\":null}",
        "JSON [\"cpu_utilization\", 1]", "XML 1", "BIN xx"}) {
    EXPECT_FALSE(Read(value).has_value()) << value;
  }
  for (const std::string_view value : {"", "!!", "CQAA", "/////w==", "Cf//////"}) {
    EXPECT_FALSE(ReadLoadReport(kLoadBinaryHeader, value).has_value()) << value;
  }
  EXPECT_FALSE(Read("TEXT cpu_utilization=0.5," + std::string(10'000, 'x')).has_value()) << "too long";
}

TEST(LoadReport, OfAnyBytesIsReadWithoutHarm) {
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string value(random() % 64, '\0');
    for (char& c : value) c = static_cast<char>(random());
    for (const std::string_view head : {"", "TEXT ", "JSON {\"cpu_utilization\": "}) Read(std::string(head) + value);
    ReadLoadReport(kLoadBinaryHeader, value);
    for (char& c : value) c = "ABCDefgh0189+/="[static_cast<unsigned char>(c) % 15];
    EXPECT_GE(ReadLoadReport(kLoadBinaryHeader, value).value_or(0), 0) << value;
  }
}

}  // namespace
}  // namespace signalbox::balance
