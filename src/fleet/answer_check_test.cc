#include "fleet/answer_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace signalbox::fleet {
namespace {

using inference::ModelInferResponse;
using testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

ModelInferResponse::InferOutputTensor& Add(ModelInferResponse& answer, const char* datatype,
                                           std::vector<int64_t> shape) {
  auto* output = answer.add_outputs();
  output->set_name("y");
  output->set_datatype(datatype);
  for (int64_t dimension : shape) output->add_shape(dimension);
  return *output;
}

ModelInferResponse Raw(const char* datatype, std::vector<int64_t> shape, std::string bytes) {
  ModelInferResponse answer;
  Add(answer, datatype, std::move(shape));
  answer.add_raw_output_contents(std::move(bytes));
  return answer;
}

template <typename Number>
std::string BytesOf(std::vector<Number> numbers) {
  std::string bytes(numbers.size() * sizeof(Number), '\0');
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

OutputContracts Contract(const char* datatype, std::vector<int64_t> shape) {
  OutputContracts contracts;
  v1::OutputContract* contract = contracts.Add();
  contract->set_name("y");
  contract->set_datatype(datatype);
  for (int64_t dimension : shape) contract->add_shape(dimension);
  return contracts;
}

std::string ProblemOf(const ModelInferResponse& answer, const OutputContracts& contract = {}) {
  const absl::Status status = CheckAnswer("m", "2", contract, answer);
  EXPECT_TRUE(status.ok() || absl::IsFailedPrecondition(status)) << status;
  return std::string(status.message());
}

TEST(AnswerCheck, WholeAnswersOfEveryDatatypePass) {
  EXPECT_EQ(ProblemOf(Raw("FP32", {2, 1}, BytesOf<float>({1, 2})), Contract("FP32", {-1, 1})), "");
  EXPECT_EQ(ProblemOf(Raw("FP64", {1}, BytesOf<double>({1}))), "");
  EXPECT_EQ(ProblemOf(Raw("FP16", {2}, BytesOf<uint16_t>({0x3c00, 0x7bff}))), "");
  EXPECT_EQ(ProblemOf(Raw("BF16", {1}, BytesOf<uint16_t>({0x3f80}))), "");
  EXPECT_EQ(ProblemOf(Raw("INT8", {3}, "abc")), "");
  EXPECT_EQ(ProblemOf(Raw("BOOL", {0}, "")), "");
  EXPECT_EQ(ProblemOf(Raw("BYTES", {2}, std::string("\x01\0\0\0a\0\0\0\0", 9))), "");
  EXPECT_EQ(ProblemOf(Raw("FP8-E4M3", {2}, "any")), "");
  EXPECT_EQ(ProblemOf(Raw("UINT64", {}, std::string(8, 'x')), Contract("UINT64", {})), "");  // a scalar
  ModelInferResponse typed;
  Add(typed, "BYTES", {2}).mutable_contents()->add_bytes_contents("a");
  typed.mutable_outputs(0)->mutable_contents()->add_bytes_contents("b");
  EXPECT_EQ(ProblemOf(typed, Contract("BYTES", {-1})), "");
}

TEST(AnswerCheck, AnotherModelsAnswerIsNoAnswer) {
  ModelInferResponse answer = Raw("INT8", {1}, "a");
  answer.set_model_name("m");
  answer.set_model_version("2");
  EXPECT_EQ(ProblemOf(answer), "");
  answer.set_model_version("3");
  EXPECT_EQ(ProblemOf(answer), "model \"m\" version \"3\" answered");
  answer.set_model_name("n");
  EXPECT_THAT(ProblemOf(answer), HasSubstr("model \"n\""));
}

TEST(AnswerCheck, EachPromiseIsHeld) {
  const ModelInferResponse answer = Raw("FP32", {2}, BytesOf<float>({1, 2}));
  EXPECT_EQ(ProblemOf(answer, Contract("INT32", {2})), "output \"y\" is FP32, declared is INT32");
  EXPECT_THAT(ProblemOf(answer, Contract("FP32", {3})), HasSubstr("has the shape [2], declared is [3]"));
  EXPECT_THAT(ProblemOf(answer, Contract("FP32", {-1, -1})), HasSubstr("declared is [-1, -1]"));
  OutputContracts other = Contract("FP32", {2});
  other[0].set_name("z");
  EXPECT_EQ(ProblemOf(answer, other), "the answer has no output \"z\", which is declared; it has y");
  ModelInferResponse twice = answer;
  *twice.add_outputs() = answer.outputs(0);
  EXPECT_EQ(ProblemOf(twice, Contract("FP32", {2})), "output \"y\" stands twice in the answer");
  EXPECT_EQ(ProblemOf({}), "the answer has no outputs");
}

TEST(AnswerCheck, ElementsAreAsManyAsTheShapeSays) {
  EXPECT_THAT(ProblemOf(Raw("FP32", {3}, BytesOf<float>({1, 2}))), HasSubstr("3 elements of 4 bytes (FP32), it has 8"));
  EXPECT_THAT(ProblemOf(Raw("BYTES", {2}, std::string("\x01\0\0\0a", 5))), HasSubstr("says 2 elements"));
  EXPECT_THAT(ProblemOf(Raw("BYTES", {1}, std::string("\xff\0\0\0a", 5))), HasSubstr("lengths that do not add up"));
  EXPECT_THAT(ProblemOf(Raw("INT8", {-1}, "a")), HasSubstr("no dimension below 0"));
  EXPECT_THAT(ProblemOf(Raw("INT8", {1LL << 62, 1LL << 62}, "a")), HasSubstr("more elements than can be counted"));
  EXPECT_THAT(ProblemOf(Raw("INT64", {1LL << 62}, "a")), HasSubstr("it has 1 raw bytes"));
  ModelInferResponse typed;
  Add(typed, "FP32", {2}).mutable_contents()->add_fp32_contents(1);
  EXPECT_THAT(ProblemOf(typed), HasSubstr("says 2 elements, its contents of FP32 have 1"));
  ModelInferResponse misplaced;
  Add(misplaced, "FP16", {1});
  EXPECT_THAT(ProblemOf(misplaced), HasSubstr("is FP16 and not in raw_output_contents"));
  ModelInferResponse half = Raw("INT8", {1}, "a");
  Add(half, "INT8", {1});
  EXPECT_EQ(ProblemOf(half), "the answer has 2 outputs and raw contents of 1");
}

TEST(AnswerCheck, NumbersAreFinite) {
  const auto infinite = static_cast<float>(kInfinity);
  EXPECT_THAT(ProblemOf(Raw("FP32", {2}, BytesOf<float>({1, infinite}))), HasSubstr("element 1 is NaN or infinite"));
  EXPECT_THAT(ProblemOf(Raw("FP64", {1}, BytesOf<double>({std::nan("")}))), HasSubstr("element 0 is NaN"));
  EXPECT_THAT(ProblemOf(Raw("FP16", {1}, BytesOf<uint16_t>({0xfc00}))), HasSubstr("element 0"));
  EXPECT_THAT(ProblemOf(Raw("BF16", {1}, BytesOf<uint16_t>({0x7f81}))), HasSubstr("element 0"));
  ModelInferResponse typed;
  Add(typed, "FP64", {1}).mutable_contents()->add_fp64_contents(-kInfinity);
  EXPECT_THAT(ProblemOf(typed), HasSubstr("element 0"));
}

}  // namespace
}  // namespace signalbox::fleet
