#include "inference/combine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/status.h"
#include "inference/open_inference.pb.h"

namespace signalbox::combine {
namespace {

using ::inference::ModelInferResponse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
std::string Raw(const std::vector<T>& values) {
  std::string raw(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(raw.data(), values.data(), raw.size());
  return raw;
}

template <typename T>
std::vector<T> Values(const std::string& raw) {
  std::vector<T> values(raw.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), raw.data(), raw.size());
  return values;
}

void AddRaw(ModelInferResponse& response, const std::string& name, const std::string& datatype,
            const std::vector<int64_t>& shape, const std::string& raw) {
  auto& output = *response.add_outputs();
  output.set_name(name);
  output.set_datatype(datatype);
  for (const int64_t dimension : shape) output.add_shape(dimension);
  response.add_raw_output_contents(raw);
}

ModelInferResponse RawResponse(const std::string& datatype, const std::vector<int64_t>& shape, const std::string& raw) {
  ModelInferResponse response;
  AddRaw(response, "y", datatype, shape, raw);
  return response;
}

ModelInferResponse Fp32(const std::vector<float>& values, std::vector<int64_t> shape = {}) {
  if (shape.empty()) shape = {static_cast<int64_t>(values.size())};
  return RawResponse("FP32", shape, Raw(values));
}

// The mean of answers of models m1, m2, ...
absl::StatusOr<ModelInferResponse> MeanOf(const std::vector<ModelInferResponse>& responses,
                                          const std::vector<double>& weights = {}) {
  std::vector<std::string> bytes;
  std::vector<std::string> models;
  for (size_t i = 0; i < responses.size(); ++i) {
    bytes.push_back(responses[i].SerializeAsString());
    models.push_back("m" + std::to_string(i + 1));
  }
  std::vector<MemberAnswer> answers;
  for (size_t i = 0; i < responses.size(); ++i) {
    answers.push_back({.model = models[i], .response = bytes[i], .weight = weights.empty() ? 1 : weights[i]});
  }
  absl::StatusOr<std::string> combined = Mean("ensemble:mix", answers);
  if (!combined.ok()) return combined.status();
  ModelInferResponse response;
  EXPECT_TRUE(response.ParseFromString(*combined));
  return response;
}

template <typename T>
std::vector<T> MeanOfRaw(const std::string& datatype, const std::vector<T>& a, const std::vector<T>& b) {
  const std::vector<int64_t> shape = {static_cast<int64_t>(a.size())};
  const auto mean = MeanOf({RawResponse(datatype, shape, Raw(a)), RawResponse(datatype, shape, Raw(b))});
  EXPECT_TRUE(mean.ok()) << mean.status();
  return mean.ok() ? Values<T>(mean->raw_output_contents(0)) : std::vector<T>();
}

std::string ErrorOf(const std::vector<ModelInferResponse>& responses) {
  const auto mean = MeanOf(responses);
  return mean.ok() ? "" : std::string(Message(mean.status()));
}

TEST(Mean, IsTakenElementByElement) {
  const auto mean = MeanOf({Fp32({1, 2, 3, 4, 5, 6}, {2, 3}), Fp32({3, 2, 1, 0, 0, 1}, {2, 3})});
  ASSERT_TRUE(mean.ok()) << mean.status();
  EXPECT_EQ(mean->model_name(), "ensemble:mix");
  EXPECT_EQ(mean->outputs(0).name(), "y");
  EXPECT_THAT(mean->outputs(0).shape(), ElementsAre(2, 3));
  EXPECT_THAT(Values<float>(mean->raw_output_contents(0)), ElementsAre(2, 2, 2, 2, 2.5F, 3.5F));
}

TEST(Mean, WeightsCountByTheirRatio) {
  for (const double scale : {1.0, 0.1, 7.0}) {
    const auto mean = MeanOf({Fp32({8}), Fp32({4})}, {0.5 * scale, 0.25 * scale});
    ASSERT_TRUE(mean.ok());
    EXPECT_THAT(Values<float>(mean->raw_output_contents(0)), ElementsAre(20.0F / 3));
  }
}

TEST(Mean, OfEveryNumericDatatype) {
  EXPECT_THAT(MeanOfRaw<uint8_t>("UINT8", {0, 255, 1}, {1, 255, 2}), ElementsAre(0, 255, 2)) << "halves to even";
  EXPECT_THAT(MeanOfRaw<uint16_t>("UINT16", {65535, 3}, {65535, 4}), ElementsAre(65535, 4));
  EXPECT_THAT(MeanOfRaw<uint32_t>("UINT32", {4294967295U, 1}, {4294967295U, 2}), ElementsAre(4294967295U, 2));
  constexpr uint64_t kLargest = std::numeric_limits<uint64_t>::max();
  EXPECT_THAT(MeanOfRaw<uint64_t>("UINT64", {kLargest, 1}, {kLargest, 3}), ElementsAre(kLargest, 2));
  EXPECT_THAT(MeanOfRaw<int8_t>("INT8", {-128, 127, -1}, {-128, 127, -2}), ElementsAre(-128, 127, -2));
  EXPECT_THAT(MeanOfRaw<int16_t>("INT16", {-32768, 7}, {-32768, 9}), ElementsAre(-32768, 8));
  EXPECT_THAT(MeanOfRaw<int32_t>("INT32", {-5, 2147483647}, {-7, 2147483647}), ElementsAre(-6, 2147483647));
  constexpr int64_t kBig = (int64_t{1} << 53) + 1;  // which a double does not have
  EXPECT_THAT(MeanOfRaw<int64_t>("INT64", {kBig, INT64_MIN}, {kBig, INT64_MIN}), ElementsAre(kBig, INT64_MIN));
  EXPECT_THAT(MeanOfRaw<float>("FP32", {1, 3e38F}, {2, 3e38F}), ElementsAre(1.5F, 3e38F));
  EXPECT_THAT(MeanOfRaw<double>("FP64", {1, 1e308}, {2, 1.5e308}), ElementsAre(1.5, 1.25e308));
}

TEST(Mean, OfHalfPrecisionIsRoundedOnce) {
  // 1.0, 65504 (the largest), 2^-24 (the smallest), -2.0, 1.0 with the next above it.
  EXPECT_THAT(
      MeanOfRaw<uint16_t>("FP16", {0x3C00, 0x7BFF, 0x0001, 0xC000, 0x3C00}, {0x4000, 0x7BFF, 0x0001, 0xC400, 0x3C01}),
      ElementsAre(0x3E00, 0x7BFF, 0x0001, 0xC200, 0x3C00))
      << "1.5, the same, the same, -3, to even";
  // The same of the 16 high bits of a float.
  EXPECT_THAT(MeanOfRaw<uint16_t>("BF16", {0x3F80, 0xC000, 0x3F80}, {0x4000, 0xC080, 0x3F81}),
              ElementsAre(0x3FC0, 0xC040, 0x3F80));
  EXPECT_EQ(MeanOfRaw<uint16_t>("FP16", {0x7C00}, {0x3C00})[0], 0x7C00) << "infinity";
  EXPECT_EQ(MeanOfRaw<uint16_t>("FP16", {0x7C01}, {0x3C00})[0] & 0x7E00, 0x7E00) << "NaN";
  EXPECT_EQ(MeanOfRaw<uint16_t>("BF16", {0x7FC1}, {0x3F80})[0], 0x7FC0) << "NaN";
}

// Every finite half is its own mean.
TEST(Mean, KeepsEveryHalf) {
  std::vector<uint16_t> all;
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    if ((bits & 0x7C00) != 0x7C00) all.push_back(static_cast<uint16_t>(bits));
  }
  EXPECT_EQ(MeanOfRaw("FP16", all, all), all);
  all.clear();
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    if ((bits & 0x7F80) != 0x7F80) all.push_back(static_cast<uint16_t>(bits));
  }
  EXPECT_EQ(MeanOfRaw("BF16", all, all), all);
}

TEST(Mean, ANanIsSeen) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto mean = MeanOfRaw<float>("FP32", {nan, 1}, {1, 1});
  EXPECT_TRUE(std::isnan(mean[0]));
  EXPECT_EQ(mean[1], 1);
}

TEST(Mean, OfTypedContentsIsTyped) {
  ModelInferResponse a;
  auto add = [&](const std::string& datatype) -> ::inference::InferTensorContents& {
    auto& output = *a.add_outputs();
    output.set_name(datatype);
    output.set_datatype(datatype);
    output.add_shape(1);
    return *output.mutable_contents();
  };
  add("BOOL").add_bool_contents(true);
  for (const char* datatype : {"INT8", "INT16", "INT32"}) add(datatype).add_int_contents(-3);
  for (const char* datatype : {"UINT8", "UINT16", "UINT32"}) add(datatype).add_uint_contents(3);
  add("INT64").add_int64_contents(-3);
  add("UINT64").add_uint64_contents(3);
  add("FP32").add_fp32_contents(3);
  add("FP64").add_fp64_contents(3);
  add("BYTES").add_bytes_contents("three");
  ModelInferResponse b = a;
  b.mutable_outputs(10)->mutable_contents()->set_fp64_contents(0, 4);
  const auto mean = MeanOf({a, b});
  ASSERT_TRUE(mean.ok()) << mean.status();
  EXPECT_EQ(mean->raw_output_contents_size(), 0);
  a.mutable_outputs(10)->mutable_contents()->set_fp64_contents(0, 3.5);
  for (int i = 0; i < a.outputs_size(); ++i) {
    EXPECT_EQ(mean->outputs(i).SerializeAsString(), a.outputs(i).SerializeAsString()) << a.outputs(i).name();
  }
}

TEST(Mean, TakesRawAndTypedTogether) {
  ModelInferResponse typed;
  auto& output = *typed.add_outputs();
  output.set_name("y");
  output.set_datatype("FP32");
  output.add_shape(2);
  output.mutable_contents()->add_fp32_contents(1);
  output.mutable_contents()->add_fp32_contents(2);
  const auto mean = MeanOf({typed, Fp32({3, 4})});
  ASSERT_TRUE(mean.ok()) << mean.status();
  EXPECT_THAT(mean->outputs(0).contents().fp32_contents(), ElementsAre(2, 3)) << "in the form of the first";
}

TEST(Mean, OutputsMayComeInAnyOrder) {
  ModelInferResponse a;
  AddRaw(a, "x", "FP32", {1}, Raw<float>({1}));
  AddRaw(a, "y", "INT64", {1}, Raw<int64_t>({10}));
  ModelInferResponse b;
  AddRaw(b, "y", "INT64", {1}, Raw<int64_t>({20}));
  AddRaw(b, "x", "FP32", {1}, Raw<float>({2}));
  const auto mean = MeanOf({a, b});
  ASSERT_TRUE(mean.ok()) << mean.status();
  EXPECT_EQ(mean->outputs(0).name(), "x");
  EXPECT_THAT(Values<float>(mean->raw_output_contents(0)), ElementsAre(1.5F));
  EXPECT_THAT(Values<int64_t>(mean->raw_output_contents(1)), ElementsAre(15));
}

TEST(Mean, KeepsWhatAllAnswersHaveInCommon) {
  ModelInferResponse a = Fp32({1});
  a.set_id("7");
  (*a.mutable_parameters())["same"].set_int64_param(1);
  (*a.mutable_parameters())["other"].set_int64_param(1);
  (*a.mutable_parameters())["mine"].set_int64_param(1);
  ModelInferResponse b = Fp32({1});
  b.set_id("7");
  (*b.mutable_parameters())["same"].set_int64_param(1);
  (*b.mutable_parameters())["other"].set_int64_param(2);
  auto mean = MeanOf({a, b});
  EXPECT_EQ(mean->id(), "7");
  EXPECT_EQ(mean->parameters().size(), 1U);
  EXPECT_TRUE(mean->parameters().contains("same"));
  b.set_id("8");
  EXPECT_EQ(MeanOf({a, b})->id(), "");
}

TEST(Mean, OfTensorsWithoutElementsIsOne) {
  const auto mean = MeanOf({Fp32({}, {0, 3}), Fp32({}, {0, 3})});
  ASSERT_TRUE(mean.ok()) << mean.status();
  EXPECT_EQ(mean->raw_output_contents(0), "");
  EXPECT_TRUE(MeanOf({ModelInferResponse(), ModelInferResponse()}).ok()) << "nor outputs";
  const auto scalar = MeanOf({RawResponse("FP32", {}, Raw<float>({1})), RawResponse("FP32", {}, Raw<float>({3}))});
  ASSERT_TRUE(scalar.ok()) << scalar.status();
  EXPECT_THAT(Values<float>(scalar->raw_output_contents(0)), ElementsAre(2));
}

TEST(Mean, WhatHasNoMeanMustBeEqual) {
  const std::string film("\5\0\0\0Alien", 9);
  EXPECT_TRUE(MeanOf({RawResponse("BYTES", {1}, film), RawResponse("BYTES", {1}, film)}).ok());
  EXPECT_EQ(ErrorOf({RawResponse("BYTES", {1}, film), RawResponse("BYTES", {1}, std::string(4, '\0'))}),
            "output y is BYTES, which has no mean, and models m1 and m2 answer different values");
  EXPECT_THAT(ErrorOf({RawResponse("BOOL", {1}, "\1"), RawResponse("BOOL", {1}, std::string(1, '\0'))}),
              HasSubstr("output y is BOOL, which has no mean"));
}

TEST(Mean, SaysWhatDoesNotFitTogether) {
  EXPECT_EQ(ErrorOf({Fp32({1, 2, 3}), Fp32({1, 2, 3}, {1, 3})}),
            "output y has shape [3] of model m1 and [1,3] of model m2");
  EXPECT_EQ(ErrorOf({Fp32({1}), RawResponse("FP64", {1}, Raw<double>({1}))}),
            "output y is FP32 of model m1 and FP64 of model m2");
  ModelInferResponse other;
  AddRaw(other, "z", "FP32", {1}, Raw<float>({1}));
  EXPECT_EQ(ErrorOf({Fp32({1}), other}), "model m1 does not answer output z");
  EXPECT_EQ(ErrorOf({Fp32({1}), ModelInferResponse()}), "model m2 does not answer output y");
  ModelInferResponse twice = Fp32({1});
  AddRaw(twice, "y", "FP32", {1}, Raw<float>({1}));
  EXPECT_EQ(ErrorOf({Fp32({1}), twice}), "model m2 answers output y twice");
  EXPECT_EQ(ErrorOf({}), "there is no answer to combine");
}

TEST(Mean, SaysWhatIsNotValid) {
  const std::vector<std::pair<ModelInferResponse, std::string>> wrong = {
      {Fp32({1, 2}, {3}), "its contents have 2 elements, but FP32 of shape [3] has 3 elements"},
      {RawResponse("FP32", {1}, "abc"), "its contents have 3 bytes, which do not add up"},
      {RawResponse("FP33", {1}, "abcd"), "its datatype is \"FP33\", which the protocol does not have"},
      {RawResponse("FP32", {-1}, "abcd"), "its shape is [-1], which no tensor can have"},
      {RawResponse("FP32", {INT64_MAX, INT64_MAX}, "abcd"), "which no tensor can have"},
      {RawResponse("BYTES", {1}, std::string("\xff\0\0\0x", 5)), "which do not add up"}};
  for (const auto& [response, message] : wrong) {
    const std::string error = ErrorOf({Fp32({1}), response});
    EXPECT_THAT(error, HasSubstr("the answer of model m2 is not valid: output y: "));
    EXPECT_THAT(error, HasSubstr(message));
  }
  ModelInferResponse missing = Fp32({1});
  missing.add_raw_output_contents("abcd");
  EXPECT_EQ(ErrorOf({missing}), "the answer of model m1 is not valid: it has 1 outputs and 2 raw contents");
  const std::array<MemberAnswer, 1> garbage = {MemberAnswer{.model = "m1", .response = "\xff\xff"}};
  EXPECT_THAT(std::string(Message(Mean("mix", garbage).status())), HasSubstr("it is no inference.ModelInferResponse"));
}

// Whatever becomes of an answer on its way, it is combined or refused with words.
TEST(Mean, BytesThatWereChangedAreCombinedOrRefused) {
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  ModelInferResponse response = Fp32({1, 2, 3});
  AddRaw(response, "film", "BYTES", {1}, std::string("\5\0\0\0Alien", 9));
  AddRaw(response, "half", "FP16", {2}, Raw<uint16_t>({1, 2}));
  const std::string good = response.SerializeAsString();
  for (int round = 0; round < 20'000; ++round) {
    std::string bad = good;
    for (size_t changes = 1 + random() % 3; changes > 0; --changes) {
      bad[random() % bad.size()] = static_cast<char>(random());
    }
    if (random() % 8 == 0) bad.resize(random() % bad.size());
    const std::array<MemberAnswer, 2> answers = {MemberAnswer{.model = "m1", .response = good},
                                                 MemberAnswer{.model = "m2", .response = bad}};
    for (const auto& combined : {Mean("mix", answers), Labelled("mix", answers)}) {
      ModelInferResponse read;
      ASSERT_TRUE(combined.ok() ? read.ParseFromString(*combined) : !Message(combined.status()).empty())
          << "seed " << seed << ", round " << round;
    }
  }
}

TEST(Labelled, AnswersSideBySide) {
  ModelInferResponse a = Fp32({1});
  (*a.mutable_parameters())["k"].set_int64_param(1);
  ModelInferResponse typed;
  auto& output = *typed.add_outputs();
  output.set_name("y");
  output.set_datatype("BYTES");
  output.add_shape(2);
  output.mutable_contents()->add_bytes_contents("Alien");
  output.mutable_contents()->add_bytes_contents("");
  const std::string first = a.SerializeAsString();
  const std::string second = typed.SerializeAsString();
  const std::array<MemberAnswer, 2> answers = {MemberAnswer{.model = "ranker@1", .response = first},
                                               MemberAnswer{.model = "ranker@2", .response = second}};
  const auto labelled = Labelled("ensemble:mix", answers);
  ASSERT_TRUE(labelled.ok()) << labelled.status();
  ModelInferResponse response;
  ASSERT_TRUE(response.ParseFromString(*labelled));
  ASSERT_EQ(response.outputs_size(), 2);
  EXPECT_EQ(response.outputs(0).name(), "ranker@1/y");
  EXPECT_EQ(response.outputs(1).name(), "ranker@2/y");
  EXPECT_EQ(response.parameters().at("ranker@1/k").int64_param(), 1);
  ASSERT_EQ(response.raw_output_contents_size(), 2) << "as one of them is raw";
  EXPECT_FALSE(response.outputs(1).has_contents());
  EXPECT_EQ(response.raw_output_contents(1), std::string("\5\0\0\0Alien\0\0\0\0", 13));

  const std::array<MemberAnswer, 2> both_typed = {MemberAnswer{.model = "ranker@1", .response = second},
                                                  MemberAnswer{.model = "ranker@2", .response = second}};
  ASSERT_TRUE(response.ParseFromString(*Labelled("ensemble:mix", both_typed)));
  EXPECT_EQ(response.raw_output_contents_size(), 0);
  EXPECT_THAT(response.outputs(1).contents().bytes_contents(), ElementsAre("Alien", ""));
}

}  // namespace
}  // namespace signalbox::combine
