#include "inference/compare.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "inference/open_inference.pb.h"

namespace signalbox::compare {
namespace {

using ::inference::ModelInferResponse;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::SizeIs;

v1::Comparison By(const std::string& text) {
  v1::Comparison by;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &by)) << text;
  return by;
}

std::string Response(const std::string& text) {
  ModelInferResponse response;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &response)) << text;
  return response.SerializeAsString();
}

template <typename T>
std::string Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// One tensor `scores`, raw.
template <typename T>
std::string Raw(const std::string& datatype, const std::vector<T>& values) {
  ModelInferResponse response;
  auto& output = *response.add_outputs();
  output.set_name("scores");
  output.set_datatype(datatype);
  output.add_shape(static_cast<int64_t>(values.size()));
  response.add_raw_output_contents(Bytes(values));
  return response.SerializeAsString();
}

std::string Floats(const std::vector<float>& values) { return Raw("FP32", values); }

// The same, typed.
std::string TypedFloats(const std::vector<float>& values) {
  ModelInferResponse response;
  auto& output = *response.add_outputs();
  output.set_name("scores");
  output.set_datatype("FP32");
  output.add_shape(static_cast<int64_t>(values.size()));
  for (const float value : values) output.mutable_contents()->add_fp32_contents(value);
  return response.SerializeAsString();
}

void ExpectAgree(const std::string& by, const std::string& live, const std::string& shadow) {
  const Result result = Compare(By(by), live, shadow);
  EXPECT_EQ(result.verdict, Verdict::kAgree) << by << ": " << result.reason;
  EXPECT_EQ(result.reason, "");
}

void ExpectDisagree(const std::string& by, const std::string& live, const std::string& shadow,
                    const std::string& reason) {
  const Result result = Compare(By(by), live, shadow);
  EXPECT_EQ(result.verdict, Verdict::kDisagree) << by << ": " << result.reason;
  EXPECT_EQ(result.reason, reason);
}

void ExpectNotComparable(const std::string& by, const std::string& live, const std::string& shadow,
                         const std::string& reason) {
  const Result result = Compare(By(by), live, shadow);
  EXPECT_EQ(result.verdict, Verdict::kNotComparable) << by << ": " << result.reason;
  EXPECT_THAT(result.reason, HasSubstr(reason));
}

constexpr char kExact[] = "exact {}";
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(CompareExact, TakesWhatTheModelsSayOfThemselvesForNoDifference) {
  ExpectAgree(
      kExact,
      Response("model_name: 'a' model_version: '1' id: 'x' parameters { key: 'k' value { int64_param: 1 } } "
               "outputs { name: 'p' datatype: 'INT64' shape: 1 contents { int64_contents: 7 } }"),
      Response("model_name: 'b' outputs { name: 'p' datatype: 'INT64' shape: 1 contents { int64_contents: 7 } }"));
}

TEST(CompareExact, MatchesTensorsByNameInAnyOrderAndInEitherForm) {
  ExpectAgree(kExact, TypedFloats({1, 2}), Floats({1, 2}));
  const std::string a = "outputs { name: 'a' datatype: 'BOOL' shape: 1 contents { bool_contents: true } } ";
  const std::string b = "outputs { name: 'b' datatype: 'BYTES' shape: 1 contents { bytes_contents: 'x' } } ";
  ExpectAgree(kExact, Response(a + b), Response(b + a));
}

TEST(CompareExact, NamesTheFirstElementThatDiffersAndBothValues) {
  ExpectDisagree(kExact, Floats({1, 2, 3}), Floats({1, 2.5, 4}),
                 "output scores, element 1: 2 of the live answer, 2.5 of the shadow's");
  ExpectDisagree(kExact, Raw<uint64_t>("UINT64", {UINT64_MAX}), Raw<uint64_t>("UINT64", {UINT64_MAX - 1}),
                 "output scores, element 0: 18446744073709551615 of the live answer, 18446744073709551614 of the "
                 "shadow's");
  ExpectDisagree(kExact, Floats({0.0F}), Floats({-0.0F}),
                 "output scores, element 0: 0 of the live answer, -0 of the shadow's");
  const std::string texts =
      "outputs { name: 't' datatype: 'BYTES' shape: 3 contents { bytes_contents: 'a' "
      "bytes_contents: '%s' bytes_contents: 'c' } }";
  auto with = [&](const std::string& text) { return Response(std::string(texts).replace(texts.find("%s"), 2, text)); };
  ExpectDisagree(kExact, with("long"), with("longer"),
                 "output t, element 1: \"long\" of the live answer, \"longer\" of the shadow's");
  ExpectDisagree(kExact, Response("outputs { name: 'b' datatype: 'BOOL' shape: 1 contents { bool_contents: true } }"),
                 Response("outputs { name: 'b' datatype: 'BOOL' shape: 1 contents { bool_contents: false } }"),
                 "output b, element 0: true of the live answer, false of the shadow's");
}

TEST(Compare, TellsNamesDatatypesAndShapesThatDiffer) {
  for (const std::string by : {"exact {}", "numeric { absolute: 1 }"}) {
    ExpectDisagree(by, Floats({1}), Raw<double>("FP64", {1}),
                   "output scores is FP32 of the live answer, FP64 of the shadow's");
    ExpectDisagree(by, Floats({1}), Floats({1, 2}),
                   "output scores has shape [1] of the live answer, [2] of the shadow's");
    const std::string other = Response("outputs { name: 'x' datatype: 'FP32' shape: 1 contents { fp32_contents: 1 } }");
    ExpectDisagree(by, Floats({1}), other, "the shadow's answer has an output x, the live one has none of that name");
    ExpectDisagree(by, Floats({1}), "", "the live answer has an output scores, the shadow's has none of that name");
  }
}

TEST(CompareNumbers, AllowsAnAbsoluteAndARelativeDifferenceTogether) {
  const std::string by = "numeric { absolute: 0.5 relative: 0.25 }";
  ExpectAgree(by, Floats({8, -8, 0}), Floats({10.5, -10.5, 0.5}));
  ExpectDisagree(
      by, Floats({8}), Floats({10.75}),
      "output scores, element 0: 8 of the live answer, 10.75 of the shadow's; allowed is a difference of 2.5");
  // The live value is the measure: 10.5 +- (0.5 + 2.625).
  ExpectAgree(by, Floats({10.5}), Floats({7.375}));
  ExpectAgree("numeric {}", Floats({0.0F}), Floats({-0.0F}));
}

TEST(CompareNumbers, WorksForEveryDatatype) {
  const std::string by = "numeric { absolute: 1 }";
  auto check = [&]<typename T>(const std::string& datatype, T live, T near, T far) {
    ExpectAgree(by, Raw<T>(datatype, {live}), Raw<T>(datatype, {near}));
    EXPECT_EQ(Compare(By(by), Raw<T>(datatype, {live}), Raw<T>(datatype, {far})).verdict, Verdict::kDisagree)
        << datatype;
  };
  check("UINT8", uint8_t{255}, uint8_t{254}, uint8_t{0});
  check("UINT16", uint16_t{65535}, uint16_t{65534}, uint16_t{0});
  check("UINT32", UINT32_MAX, UINT32_MAX - 1, uint32_t{0});
  check("UINT64", UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 2);
  check("INT8", int8_t{-128}, int8_t{-127}, int8_t{127});
  check("INT16", int16_t{-32768}, int16_t{-32767}, int16_t{32767});
  check("INT32", INT32_MIN, INT32_MIN + 1, INT32_MAX);
  check("INT64", INT64_MIN, INT64_MIN + 1, INT64_MIN + 2);
  check("FP16", uint16_t{0x3C00}, uint16_t{0x4000}, uint16_t{0x4200});  // 1, 2, 3
  check("BF16", uint16_t{0x3F80}, uint16_t{0x4000}, uint16_t{0x4040});  // 1, 2, 3
  check("FP32", 1.F, 2.F, 2.5F);
  check("FP64", 1., 2., 2.5);
}

TEST(CompareNumbers, HasNoDistanceBetweenTextsAndTruths) {
  const std::string live =
      Response("outputs { name: 't' datatype: 'BYTES' shape: 1 contents { bytes_contents: '1' } }");
  const std::string shadow =
      Response("outputs { name: 't' datatype: 'BYTES' shape: 1 contents { bytes_contents: '2' } }");
  ExpectAgree("numeric { absolute: 9 }", live, live);
  ExpectDisagree("numeric { absolute: 9 }", live, shadow,
                 "output t, element 0: \"1\" of the live answer, \"2\" of the shadow's");
}

TEST(CompareNumbers, LetsNanAndInfinityAgreeWithThemselvesAlone) {
  const std::string by = "numeric { absolute: 1e300 relative: 1e300 }";
  ExpectAgree(by, Floats({kNan, kInfinity, -kInfinity}), Floats({-kNan, kInfinity, -kInfinity}));
  for (const auto& [live, shadow] : {std::pair(kNan, 1.F), std::pair(1.F, kNan), std::pair(kInfinity, 1.F),
                                     std::pair(1.F, kInfinity), std::pair(kInfinity, -kInfinity)}) {
    EXPECT_EQ(Compare(By(by), Floats({live}), Floats({shadow})).verdict, Verdict::kDisagree) << live << " " << shadow;
  }
}

TEST(CompareRanks, LooksAtTheOrderOfTheFirstTensorsElements) {
  ExpectAgree("rank { min: 1 }", Floats({1, 2, 3}), Floats({10, 200, 3000}));
  ExpectAgree("rank { min: 1 }", Floats({1, 2, 3}), Raw<int8_t>("INT8", {-3, 0, 5}));
  ExpectAgree("rank { min: -1 }", Floats({1, 2, 3}), Floats({3, 2, 1}));
  ExpectDisagree("rank { min: 0.9 }", Floats({1, 2, 3}), Floats({3, 2, 1}),
                 "output scores: the rank correlation of its 3 elements is -1, at least 0.9 is expected");
  // Ranks 1 2 3 4 and 1 2 4 3: 1 - 6*2/(4*15).
  ExpectAgree("rank { min: 0.799 }", Floats({1, 2, 3, 4}), Floats({1, 2, 4, 3}));
  ExpectDisagree("rank { min: 0.801 }", Floats({1, 2, 3, 4}), Floats({1, 2, 4, 3}),
                 "output scores: the rank correlation of its 4 elements is 0.8, at least 0.801 is expected");
}

TEST(CompareRanks, GivesTiesTheMeanOfTheirRanks) {
  // Ranks 1.5 1.5 3 4 and 1 2 3 4: the covariance is 4.5, the squares 4.5 and 5; correlation sqrt(0.9).
  ExpectAgree("rank { min: 0.9486 }", Floats({1, 1, 3, 4}), Floats({1, 2, 3, 4}));
  ExpectDisagree("rank { min: 0.9488 }", Floats({1, 1, 3, 4}), Floats({1, 2, 3, 4}),
                 "output scores: the rank correlation of its 4 elements is 0.9487, at least 0.9488 is expected");
}

TEST(CompareRanks, SaysWhatCountsWhereScoresAreAllEqual) {
  ExpectAgree("rank { min: 1 }", Floats({2, 2, 2}), Floats({5, 5, 5}));
  ExpectAgree("rank { min: 0 }", Floats({2, 2, 2}), Floats({1, 2, 3}));
  ExpectDisagree("rank { min: 0.1 }", Floats({1, 2, 3}), Floats({5, 5, 5}),
                 "output scores: the rank correlation of its 3 elements is 0, at least 0.1 is expected");
}

TEST(CompareRanks, SaysWhatHasNoRanks) {
  const std::string by = "rank { min: 0 }";
  ExpectNotComparable(by, Floats({1}), Floats({1}), "output scores has 1 elements: ranks need two");
  ExpectNotComparable(by, Floats({1, kNan}), Floats({1, 2}), "element 1 of the live answer is NaN");
  ExpectNotComparable(by, Response("outputs { name: 'scores' datatype: 'BOOL' shape: 0 }"), Floats({1, 2}),
                      "is BOOL, which has no ranks");
  ExpectNotComparable(by, "", Floats({1, 2}), "the live answer has no output");
  ExpectDisagree(by, Floats({1, 2}), Floats({1, kNan}),
                 "output scores, element 1: 2 of the live answer, nan of the shadow's");
  ExpectDisagree(by, Floats({1, 2}), Floats({1, 2, 3}),
                 "output scores has 2 elements of the live answer, 3 of the shadow's");
  ExpectDisagree(by, Floats({1, 2}), "", "the live answer has an output scores, the shadow's has none of that name");
}

TEST(Compare, SaysWhatIsNoAnswer) {
  for (const std::string by : {"exact {}", "numeric {}", "rank { min: 0 }"}) {
    ExpectNotComparable(by, "\xff\xff", Floats({1, 2}), "the live answer is not an inference.ModelInferResponse");
    ExpectNotComparable(by, Floats({1, 2}), "\xff\xff", "the shadow's answer is not an inference.ModelInferResponse");
    ExpectNotComparable(by, Floats({1, 2}), Response("outputs { name: 'scores' datatype: 'FP32' shape: 3 }"),
                        "the shadow's answer is not valid: output scores: its contents have 0 elements");
    ExpectNotComparable(by, Floats({1, 2}), Response("outputs { datatype: 'FP32' shape: -3 }"),
                        "output without a name");
    ExpectNotComparable(by, Floats({1, 2}), Response("outputs { name: 'x' datatype: 'COLOUR' shape: 1 }"), "COLOUR");
    ExpectNotComparable(by, Floats({1, 2}),
                        Response("outputs { datatype: 'FP32' } raw_output_contents: '' raw_output_contents: ''"),
                        "has 1 outputs and 2 raw contents");
    ExpectNotComparable(by, Floats({1, 2}), std::string(kResponseBytesMax + 1, 'x'), "is longer than 1048576 bytes");
    const std::string twice = "outputs { name: 'x' datatype: 'FP32' shape: 0 } ";
    ExpectNotComparable(by, Floats({1, 2}), Response(twice + twice), "the shadow's answer has two outputs x");
  }
  ExpectNotComparable(kExact, "", "", "neither answer has an output");
}

TEST(Compare, BoundsWhatHostsCanMakeItDo) {
  std::string many;
  for (int i = 0; i <= kOutputsMax; ++i) many += std::string("\x2a\x00", 2);
  ExpectNotComparable(kExact, many, many, "has more than 1024 outputs");
  // A shape of 2^62 elements is not believed.
  ExpectNotComparable(kExact, Response("outputs { name: 'x' datatype: 'FP32' shape: 4611686018427387904 }"),
                      Floats({1}), "have 0 elements");
  const std::string name(5000, '\x7f');
  ModelInferResponse named;
  named.add_outputs()->set_name(name);
  named.mutable_outputs(0)->set_datatype("FP32");
  named.mutable_outputs(0)->add_shape(0);
  const Result result = Compare(By(kExact), Floats({1}), named.SerializeAsString());
  EXPECT_EQ(result.verdict, Verdict::kDisagree);
  EXPECT_THAT(result.reason, SizeIs(Le(200u)));
}

// Whatever two answers are: one agrees with itself unless it cannot be compared, and nothing crashes.
TEST(Compare, HoldsForAnyBytes) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::vector<v1::Comparison> kinds = {By("exact {}"), By("numeric { absolute: 0.1 }"), By("rank { min: 0.5 }")};
  const std::vector<std::string> good = {Floats({1, 2, 3}), TypedFloats({1, kNan}), Raw<uint16_t>("FP16", {1, 2}),
                                         Response("outputs { name: 't' datatype: 'BYTES' shape: 2 contents { "
                                                  "bytes_contents: 'a' bytes_contents: 'bc' } }")};
  auto mutated = [&] {
    std::string bytes = good[random() % good.size()];
    for (uint32_t changes = random() % 4; changes > 0 && !bytes.empty(); --changes) {
      const size_t place = random() % bytes.size();
      if (random() % 2 == 0)
        bytes[place] = static_cast<char>(random());
      else
        bytes.erase(place, 1 + random() % 3);
    }
    return bytes;
  };
  for (int round = 0; round < 20'000; ++round) {
    const std::string live = mutated();
    const std::string shadow = mutated();
    const v1::Comparison& by = kinds[random() % kinds.size()];
    const Result result = Compare(by, live, shadow);
    EXPECT_EQ(result.reason.empty(), result.verdict == Verdict::kAgree);
    EXPECT_THAT(result.reason, SizeIs(Le(1000u)));
    EXPECT_NE(Compare(by, live, live).verdict, Verdict::kDisagree) << Compare(by, live, live).reason;
    EXPECT_THAT(Describe(live, 64), SizeIs(Le(64u)));
  }
}

TEST(Describe, SaysWhatIsInAnAnswer) {
  EXPECT_EQ(Describe(Floats({0.5, 1, kNan}), 100), "scores FP32 [3]: 0.5 1 nan");
  EXPECT_EQ(Describe(Floats({0.5, 1, 2}), 21), "scores FP32 [3]: 0...");
  EXPECT_EQ(Describe("\xff", 100), "(1 bytes; it is not an inference.ModelInferResponse)");
  EXPECT_THAT(
      Describe(Response("outputs { name: 'a' datatype: 'BYTES' shape: 1 contents { bytes_contents: 'x\\001' } } "
                        "outputs { name: 'b' datatype: 'BOOL' shape: 1 contents { bool_contents: true } }"),
               100),
      "a BYTES [1]: \"x?\"; b BOOL [1]: true");
}

}  // namespace
}  // namespace signalbox::compare
