#include "cli/top/view_text.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/printable.h"
#include "base/status.h"
#include "cli/top/terminal.h"

namespace signalbox::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

ViewRow Row(std::string name, std::initializer_list<std::pair<Cell, double>> cells) {
  ViewRow row{std::move(name), {}};
  for (const auto& [cell, value] : cells) row.values[cell] = value;
  return row;
}

ViewFrame Frame() {
  ViewFrame frame;
  frame.unix_ms = 1'700'000'000'123;
  frame.proxies = {{"127.0.0.1:9090", "", {}}, {"10.0.0.2:9090", "Couldn't connect", std::chrono::seconds(5)}};
  frame.view.all[Cell::kRate] = 1234;
  ObjectiveView objective;
  objective.total = Row(
      "TitleRanking",
      {{Cell::kRate, 1200}, {Cell::kShare, 0.972}, {Cell::kP99, 0.0123}, {Cell::kErrors, 3.5}, {Cell::kRefusals, 0}});
  objective.total.values.parts[{Cell::kErrors, "UNAVAILABLE"}] = 3;
  objective.total.values.parts[{Cell::kErrors, "INTERNAL"}] = 0.5;
  objective.models = {Row("title-ranker@2", {{Cell::kRate, 1200}, {Cell::kSaturation, 0.5}})};
  objective.shadows = {Row("s1 to title-ranker@3", {{Cell::kShadows, 12}, {Cell::kDisagreement, 0.0001}})};
  frame.view.objectives.push_back(std::move(objective));
  frame.view.hosts = {Row("127.0.0.1:8001", {{Cell::kOutstanding, 3}, {Cell::kEjected, 1}, {Cell::kUnhealthy, 0}}),
                      Row("127.0.0.1:8002", {{Cell::kWeight, 0.3}, {Cell::kUnhealthy, 0}}), Row("127.0.0.1:8003", {})};
  return frame;
}

std::string Text(const std::vector<ViewLine>& lines) {
  std::string text;
  for (const ViewLine& line : lines) text += line.text + "\n";
  return text;
}

size_t Columns(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

TEST(ViewText, HasWhatIsKnownAndADashForWhatIsNot) {
  const std::string text = Text(TableLines(Frame(), 0));
  EXPECT_THAT(text, HasSubstr("OBJECTIVE                       req/s   share     p50     p99  err/s"));
  EXPECT_THAT(text, HasSubstr("TitleRanking                     1200  97.2 %       - 12.3 ms   3.50"));
  EXPECT_THAT(text, HasSubstr("\n  err/s UNAVAILABLE 3.00, INTERNAL 0.50\n"));
  EXPECT_THAT(text, HasSubstr("\n  title-ranker@2                 1200       -"));
  EXPECT_THAT(text, HasSubstr("\n  shadow s1 to title-ranker@3"));
  EXPECT_THAT(text, HasSubstr("<0.1 %"));
  EXPECT_THAT(text, HasSubstr("the worst of a row's cells and of the proxies"));
  EXPECT_THAT(Text(HeadLines(Frame(), 0)),
              AllOf(HasSubstr("2023-11-14T22:13:20Z  1 of 2 proxies  1234 req/s  - err/s"),
                    HasSubstr("proxy 10.0.0.2:9090 does not answer since 5 s: Couldn't connect")));
}

TEST(ViewText, HostsSayTheirState) {
  ViewFrame frame = Frame();
  EXPECT_THAT(Text(TableLines(frame, 0)), AllOf(HasSubstr("127.0.0.1:8001      3 "), HasSubstr("  ejected\n"),
                                                HasSubstr("  warming up\n"), HasSubstr("  -\n")));
  frame.proxies[1].error.clear();
  EXPECT_THAT(Text(TableLines(frame, 0)), HasSubstr("  ejected at 1 of 2\n")) << "the other proxy still sends to it";
}

TEST(ViewText, NoLineIsWiderThanTheWindowAndTheMostNeededColumnsStay) {
  ViewFrame frame = Frame();
  frame.view.objectives[0].models[0].name = std::string(100, 'm') + "\u00e9";
  for (size_t width = 1; width <= 200; ++width) {
    for (const auto& lines : {HeadLines(frame, width), TableLines(frame, width)}) {
      for (const ViewLine& line : lines) EXPECT_LE(Columns(line.text), width) << line.text;
    }
  }
  EXPECT_THAT(TableLines(frame, 40)[0].text, AllOf(HasSubstr("req/s"), HasSubstr("p99"), Not(HasSubstr("p50"))));
  EXPECT_THAT(TableLines(frame, 80)[0].text,
              AllOf(HasSubstr("share"), HasSubstr("ref/s"), HasSubstr("limit"), Not(HasSubstr("lost/s"))));
  EXPECT_THAT(TableLines(frame, 160)[0].text, AllOf(HasSubstr("lost/s"), HasSubstr("disagree")));
  EXPECT_THAT(TableLines(frame, 80)[3].text, StartsWith("  mmmmm")) << "names are cut";
}

TEST(ViewText, NamesCannotCommandTheTerminal) {
  ViewFrame frame = Frame();
  const std::string evil = "\x1b[2Jx\n\xff\u202e";
  frame.view.objectives[0].total.name = frame.view.objectives[0].models[0].name = evil;
  frame.view.objectives[0].shadows[0].name = frame.view.hosts[0].name = evil;
  frame.view.objectives[0].total.values.parts[{Cell::kErrors, evil}] = 1;
  frame.objective = frame.proxies[1].error = frame.proxies[1].address = evil;
  for (const size_t width : {0, 40, 120}) {
    size_t scroll = 0;
    for (const auto& lines :
         {HeadLines(frame, width), TableLines(frame, width), ScreenLines(frame, width, 50, scroll)}) {
      for (const ViewLine& line : lines)
        EXPECT_FALSE(HoldsControlCharacters(line.text)) << EscapeControlCharacters(line.text);
    }
  }
}

TEST(ViewText, AScreenScrollsAndKeepsItsHeading) {
  ViewFrame frame = Frame();
  for (int i = 0; i < 30; ++i) frame.view.objectives[0].models.push_back(Row(fmt::format("m@{:02}", i), {}));
  size_t scroll = 3;
  std::vector<ViewLine> lines = ScreenLines(frame, 80, 10, scroll);
  ASSERT_EQ(lines.size(), 10U);
  EXPECT_THAT(lines[2].text, StartsWith("q quit  s sort: rate  o Objective: all"));
  EXPECT_THAT(lines[3].text, StartsWith("OBJECTIVE"));
  EXPECT_THAT(lines[4].text, StartsWith("  m@00"));
  scroll = 1000;
  lines = ScreenLines(frame, 80, 10, scroll);
  EXPECT_THAT(lines[9].text, StartsWith("127.0.0.1:8003")) << "the last line is the end";
  EXPECT_LT(scroll, 100U);
  for (size_t rows = 1; rows < 5; ++rows)
    EXPECT_LE(DrawnText(ScreenLines(frame, 80, rows, scroll), {80, rows}, false).size(), 600U);
}

TEST(ViewText, JsonHasNullForWhatIsNotKnown) {
  const nlohmann::ordered_json json = ToJson(Frame());
  EXPECT_EQ(json["ok"], true);
  EXPECT_EQ(json["proxies"][1]["silent_ms"], 5000);
  const auto& objective = json["objectives"][0];
  EXPECT_EQ(objective["requests_per_second"], 1200);
  EXPECT_TRUE(objective["p50_seconds"].is_null());
  EXPECT_EQ(objective["errors_by_code"]["INTERNAL"], 0.5);
  EXPECT_EQ(objective["models"][0]["saturation"], 0.5);
  EXPECT_EQ(objective["shadows"][0]["shadows_per_second"], 12);
  EXPECT_EQ(json["hosts"][0]["ejected_by"], 1);
}

TEST(TerminalKeys, AreReadHoweverTheyComeCut) {
  KeyReader reader;
  EXPECT_THAT(reader.Read("s\x1b[A\x1b[6~xo"), ElementsAre(Key::kSort, Key::kUp, Key::kPageDown, Key::kObjective));
  EXPECT_THAT(reader.Read("\x1b"), ElementsAre());
  EXPECT_THAT(reader.Read("[5"), ElementsAre());
  EXPECT_THAT(reader.Read("~\x1bOBq"), ElementsAre(Key::kPageUp, Key::kDown, Key::kQuit));
  EXPECT_THAT(reader.Read("\x1b[1;2qq"), ElementsAre(Key::kQuit)) << "a sequence that is none of ours is no letter";
}

TEST(TerminalText, HasColoursOnlyWhereTheyAreWanted) {
  const std::vector<ViewLine> lines = {
      {LineStyle::kAlarm, "one"}, {LineStyle::kPlain, "two"}, {LineStyle::kPlain, "three"}};
  EXPECT_EQ(DrawnText(lines, {80, 2}, true), "\x1b[H\x1b[K\x1b[31mone\x1b[0m\r\n\x1b[Ktwo");
  EXPECT_EQ(DrawnText(lines, {80, 24}, false), "\x1b[H\x1b[Kone\r\n\x1b[Ktwo\r\n\x1b[Kthree\r\n\x1b[J");
}

}  // namespace
}  // namespace signalbox::cli
