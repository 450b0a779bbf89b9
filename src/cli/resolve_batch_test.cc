#include "cli/resolve_batch.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/allocation_count.h"
#include "base/file.h"
#include "base/status.h"
#include "base/test_folder.h"
#include "decide/test_snapshot.h"

namespace signalbox::cli {
namespace {

using ::testing::HasSubstr;

class ResolveBatchTest : public testing::Test {
 protected:
  // Through real files, as a shell would do it.
  BatchCounts Resolve(const std::string& input) {
    const std::string input_path = folder_.File("in");
    const std::string output_path = folder_.File("out");
    EXPECT_TRUE(WriteFileAtomically(input_path, input).ok());
    const int in = open(input_path.c_str(), O_RDONLY);
    const int out = open(output_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const auto counts = ResolveBatch(*snapshot_, in, out);
    close(in);
    close(out);
    EXPECT_TRUE(counts.ok()) << counts.status();
    lines_.clear();
    const std::string output = *ReadFile(output_path, 1U << 30);
    for (size_t begin = 0; begin < output.size();) {
      const size_t end = output.find('\n', begin);
      EXPECT_NE(end, std::string::npos) << "the last line has no newline";
      lines_.push_back(nlohmann::json::parse(output.substr(begin, end - begin)));
      begin = end + 1;
    }
    EXPECT_EQ(lines_.size(), counts->lines);
    return *counts;
  }

  std::string ErrorOfLine(size_t number) {
    EXPECT_EQ(lines_[number - 1].at("line"), number);
    return lines_[number - 1].at("error");
  }

  TestFolder folder_;
  std::shared_ptr<const decide::Snapshot> snapshot_ = decide::CompileOrDie(decide::ExampleSnapshot());
  std::vector<nlohmann::json> lines_;
};

TEST_F(ResolveBatchTest, AnswersEveryLineInOrderAndLikeDecide) {
  std::string input;
  const std::vector<std::string_view> objectives = snapshot_->ObjectiveNames();
  // Enough to fill the buffers several times over.
  constexpr size_t kLines = 50'000;
  for (size_t i = 0; i < kLines; ++i) {
    input +=
        nlohmann::json({{"objective", objectives[i % objectives.size()]}, {"user", "u" + std::to_string(i)}}).dump();
    input += i % 7 == 0 ? "\r\n" : "\n";
  }
  EXPECT_EQ(Resolve(input).failed, 0u);
  ASSERT_EQ(lines_.size(), kLines);
  for (size_t i = 0; i < kLines; ++i) {
    const std::string user = "u" + std::to_string(i);
    const decide::Decision decision =
        decide::Decide(*snapshot_, {.objective = objectives[i % objectives.size()], .user = user});
    ASSERT_EQ(lines_[i].at("objective"), objectives[i % objectives.size()]);
    ASSERT_EQ(lines_[i].at("model"), decision.answer->model->id);
    ASSERT_EQ(lines_[i].at("routing_key"), decision.answer->model->routing_key);
    ASSERT_EQ(lines_[i].at("reason"), Name(decision.answer->reason));
    if (const decide::Enrolment main = decision.main_enrolment(); !main.experiment.empty()) {
      ASSERT_EQ(lines_[i].at("experiment"), "12345");
      ASSERT_EQ(lines_[i].at("cell"), main.cell);
    } else {
      ASSERT_TRUE(lines_[i].at("experiment").is_null());
      ASSERT_TRUE(lines_[i].at("cell").is_null());
    }
    ASSERT_EQ(lines_[i].at("fallbacks").size(), decision.fallbacks.size());
    ASSERT_EQ(lines_[i], nlohmann::json::parse(DecisionJson(decision)));
  }
}

TEST_F(ResolveBatchTest, ErrorsAreOnTheirLineAndDoNotStopTheBatch) {
  const std::string good = R"({"objective":"TitleSearch"})";
  const std::string input = good + "\n" + R"({"objective":"Nope"})" + "\n" + R"({"objective":"ranker@1"})" + "\n" +
                            "{\n" + good + "\n\n" + std::string("\0\xff\n", 3) +
                            R"({"objective":"TitleSearch","x":1})" + "\n" + good;
  const BatchCounts counts = Resolve(input);
  EXPECT_EQ(counts.lines, 9u);
  EXPECT_EQ(counts.failed, 6u);
  EXPECT_EQ(ErrorOfLine(2), "unknown Objective \"Nope\"");
  EXPECT_THAT(ErrorOfLine(3), HasSubstr("is a model, not an Objective"));
  EXPECT_THAT(ErrorOfLine(4), HasSubstr("not JSON"));
  EXPECT_THAT(ErrorOfLine(6), HasSubstr("an empty line"));
  EXPECT_THAT(ErrorOfLine(7), HasSubstr("not UTF-8"));
  EXPECT_THAT(ErrorOfLine(8), HasSubstr("\"x\": unknown field"));
  for (size_t number : {1u, 5u, 9u}) EXPECT_EQ(lines_[number - 1].at("objective"), "TitleSearch");
}

TEST_F(ResolveBatchTest, AnEmptyInputHasNoAnswers) {
  EXPECT_EQ(Resolve("").lines, 0u);
  EXPECT_EQ(Resolve("\n").lines, 1u);
}

TEST_F(ResolveBatchTest, ALineOfAHundredMegabytesIsAnErrorAndNothingElseIs) {
  const std::string good = R"({"objective":"TitleSearch"})";
  std::string input = good + "\n{\"objective\":\"";
  input.append(100U << 20, 'x');
  input += "\"}\n" + good + "\n";
  input.append(2U << 20, '[');
  EXPECT_EQ(Resolve(input).failed, 2u);
  ASSERT_EQ(lines_.size(), 4u);
  EXPECT_THAT(ErrorOfLine(2), HasSubstr("more than 1048576 bytes"));
  EXPECT_EQ(lines_[2].at("objective"), "TitleSearch");
  EXPECT_THAT(ErrorOfLine(4), HasSubstr("more than 1048576 bytes"));
}

TEST_F(ResolveBatchTest, LinesOfEveryLengthAroundTheLimitsOfTheBuffersArrive) {
  std::string input;
  std::vector<bool> is_good;
  for (size_t length : {1UL << 16, 1UL << 18, (1UL << 18) + 1, (1UL << 20) - 1, 1UL << 20, (1UL << 20) + 1, 100UL}) {
    for (int repeat = 0; repeat < 3; ++repeat) {
      std::string line = R"({"objective":"TitleSearch","user":")";
      line += std::string(length - line.size() - 2, 'u') + "\"}";
      input += line + "\n";
      is_good.push_back(length <= ContextReader::kBytesMax);
    }
  }
  Resolve(input);
  ASSERT_EQ(lines_.size(), is_good.size());
  for (size_t i = 0; i < is_good.size(); ++i) EXPECT_EQ(lines_[i].contains("model"), is_good[i]) << i;
}

// A program that writes one line and reads its answer before it writes the next would hang here if answers were held
// back.
TEST_F(ResolveBatchTest, AnswersAtOnceWhenInputPauses) {
  int to_batch[2];
  int from_batch[2];
  ASSERT_EQ(pipe(to_batch), 0);
  ASSERT_EQ(pipe(from_batch), 0);
  BatchCounts counts;
  std::thread batch([&] {
    const auto result = ResolveBatch(*snapshot_, to_batch[0], from_batch[1]);
    EXPECT_TRUE(result.ok()) << result.status();
    counts = *result;
  });
  const std::string line = "{\"objective\":\"TitleSearch\"}\n";
  for (int i = 0; i < 20; ++i) {
    // In two pieces, the second one after a pause of the reader's own.
    ASSERT_EQ(write(to_batch[1], line.data(), 10), 10);
    ASSERT_EQ(write(to_batch[1], line.data() + 10, line.size() - 10), static_cast<ssize_t>(line.size() - 10));
    std::string answer;
    for (char c = 0; c != '\n'; answer.push_back(c)) ASSERT_EQ(read(from_batch[0], &c, 1), 1);
    EXPECT_THAT(answer, HasSubstr("\"model\":\"ranker@1\""));
  }
  close(to_batch[1]);
  batch.join();
  EXPECT_EQ(counts.lines, 20u);
  for (int fd : {to_batch[0], from_batch[0], from_batch[1]}) close(fd);
}

TEST_F(ResolveBatchTest, AnOutputThatCannotBeWrittenEndsTheBatch) {
  const int full = open("/dev/full", O_WRONLY);
  const std::string path = folder_.File("in");
  ASSERT_TRUE(WriteFileAtomically(path, "{}\n").ok());
  const int in = open(path.c_str(), O_RDONLY);
  const auto counts = ResolveBatch(*snapshot_, in, full);
  EXPECT_THAT(Message(counts.status()), HasSubstr("writing decisions: No space left on device"));
  close(in);
  close(full);
}

TEST_F(ResolveBatchTest, DoesNotAllocatePerLine) {
  LineResolver resolver(*snapshot_);
  std::string out;
  out.reserve(1U << 20);
  std::vector<std::string> lines;
  for (int i = 0; i < 1000; ++i) {
    lines.push_back(R"({"objective":"ContinueWatchingRanking","user":"u)" + std::to_string(i) + "\"}");
    lines.back().append(64, ' ');
  }
  const auto resolve_all = [&] {
    out.clear();
    for (const std::string& line : lines) resolver.Resolve(std::string_view(line).substr(0, line.size() - 64), 1, out);
  };
  resolve_all();  // gives every answer once
  const uint64_t before = AllocationCount();
  resolve_all();
  EXPECT_EQ(AllocationCount(), before);
}

}  // namespace
}  // namespace signalbox::cli
