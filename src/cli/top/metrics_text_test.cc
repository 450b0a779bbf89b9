#include "cli/top/metrics_text.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/status.h"

namespace signalbox::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A page that was read, sample by sample as text.
struct ReadPage {
  absl::Status status;
  std::vector<std::string> samples;
  std::vector<double> values;
  std::vector<std::string> families;

  std::string message() const { return std::string(Message(status)); }
};

ReadPage Read(std::string_view page, size_t piece_bytes = std::numeric_limits<size_t>::max()) {
  ReadPage read;
  MetricsTextReader reader(
      [&](const MetricSample& sample) {
        std::string text(sample.name);
        for (const MetricLabel& label : sample.labels) text += fmt::format(" {}=<{}>", label.name, label.value);
        read.samples.push_back(text);
        read.values.push_back(sample.value);
        return absl::OkStatus();
      },
      [&](std::string_view family) { read.families.emplace_back(family); });
  while (read.status.ok() && !page.empty()) {
    read.status = reader.Add(page.substr(0, piece_bytes));
    page.remove_prefix(std::min(piece_bytes, page.size()));
  }
  if (read.status.ok()) read.status = reader.Finish();
  return read;
}

TEST(MetricsText, NamesLabelsAndValuesAreReadHoweverThePageIsCut) {
  constexpr std::string_view kPage =
      "# HELP a_total Said of it.\n# TYPE a_total counter\na_total{objective=\"A\",code=\"OK\"} 3\n\n"
      "# a remark\n# TYPE empty counter\nb 1.5e3\n  c { x = \"1\" , } -2 1700000000000\n";
  for (size_t piece_bytes = 1; piece_bytes <= kPage.size(); ++piece_bytes) {
    const ReadPage page = Read(kPage, piece_bytes);
    ASSERT_TRUE(page.status.ok()) << page.status << " in pieces of " << piece_bytes;
    EXPECT_THAT(page.samples, ElementsAre("a_total objective=<A> code=<OK>", "b", "c x=<1>"));
    EXPECT_THAT(page.values, ElementsAre(3, 1500, -2));
    EXPECT_THAT(page.families, ElementsAre("a_total", "empty"));
  }
}

TEST(MetricsText, EscapesInLabelsBecomeWhatTheyStandFor) {
  const ReadPage page = Read("a{x=\"one\\ntwo \\\"q\\\" c:\\\\d } , =\"} 1\n");
  ASSERT_TRUE(page.status.ok()) << page.status;
  EXPECT_THAT(page.samples, ElementsAre("a x=<one\ntwo \"q\" c:\\d } , =>"));
}

TEST(MetricsText, NumbersMayBeInfiniteOrNone) {
  const ReadPage page = Read("a +Inf\na -Inf\na NaN\na +1\na 0x\n");
  EXPECT_THAT(page.message(), StartsWith("line 5:3: expected a number, there is '0x'"));
  ASSERT_EQ(page.values.size(), 4U);
  EXPECT_EQ(page.values[0], std::numeric_limits<double>::infinity());
  EXPECT_EQ(page.values[1], -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(page.values[2]));
  EXPECT_EQ(page.values[3], 1);
}

TEST(MetricsText, WhatIsWrongIsSaidWithLineAndColumn) {
  const std::pair<std::string_view, std::string_view> table[] = {
      {"<html>\n", "line 1:1: expected the name of a metric, there is '<html>'"},
      {"a 1\n1a 1\n", "line 2:1: expected the name of a metric"},
      {"a\n", "line 1:2: expected a number, there is the end of the line"},
      {"a ++1\n", "line 1:3: expected a number"},
      {"a one\n", "line 1:3: expected a number, there is 'one'"},
      {"a 1 2 3\n", "line 1:7: expected the end of the line, there is '3'"},
      {"a 1 # {}\n", "line 1:5: expected a time stamp or the end of the line"},
      {"a{1=\"\"} 1\n", "line 1:3: expected the name of a label or }"},
      {"a{x} 1\n", "line 1:4: expected = after the name of a label"},
      {"a{x=1} 1\n", "line 1:5: expected a label's value in quotation marks"},
      {"a{x=\"1} 1\n", "line 1:10: expected the closing quotation mark"},
      {"a{x=\"\\t\"} 1\n", "line 1:7: expected \\, \" or n after a backslash"},
      {"a{x=\"1\" y=\"2\"} 1\n", "line 1:9: expected , or } after a label's value"},
      {"a 1", "line 1: the page ends within it"},
      {"\x1b[2J\xff\n", "there is '\\x1b[2J\xef\xbf\xbd'"},
  };
  for (const auto& [text, expected] : table) {
    const ReadPage page = Read(text);
    EXPECT_TRUE(absl::IsInvalidArgument(page.status)) << text;
    EXPECT_THAT(page.message(), HasSubstr(std::string(expected))) << text;
  }
}

TEST(MetricsText, LinesLabelsAndPagesHaveLimits) {
  EXPECT_THAT(Read(std::string(MetricsTextReader::kLineBytesMax + 1, 'a'), 1000).message(),
              StartsWith("line 1: has more than 64 KiB"));
  std::string labels;
  for (size_t i = 0; i <= MetricsTextReader::kLabelsMax; ++i) labels += fmt::format("x{}=\"\",", i);
  EXPECT_THAT(Read(fmt::format("a{{{}}} 1\n", labels)).message(), HasSubstr("at most 64 labels"));
  MetricsTextReader reader([](const MetricSample&) { return absl::OkStatus(); }, [](std::string_view) {});
  const std::string lines = "#" + std::string(60'000, ' ') + "\n";
  absl::Status status;
  for (size_t i = 0; i <= MetricsTextReader::kPageBytesMax / lines.size() && status.ok(); ++i)
    status = reader.Add(lines);
  EXPECT_THAT(std::string(Message(status)), StartsWith("the page has more than 128 MiB"));
}

}  // namespace
}  // namespace signalbox::cli
