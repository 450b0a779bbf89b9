#include "proxy/grpc_protocol.h"

#include <gtest/gtest.h>

#include <array>

namespace signalbox::proxy {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(GrpcTimeout, IsReadInEachUnit) {
  EXPECT_EQ(ParseGrpcTimeout("250m"), milliseconds(250));
  EXPECT_EQ(ParseGrpcTimeout("1S"), seconds(1));
  EXPECT_EQ(ParseGrpcTimeout("99999999n"), nanoseconds(99999999));
  EXPECT_EQ(ParseGrpcTimeout("0u"), nanoseconds(0));
  EXPECT_EQ(ParseGrpcTimeout("99999999H"), hours(24 * 365));
}

TEST(GrpcTimeout, IsRefusedWhenItIsNone) {
  for (std::string_view text : {"", "S", "1", "1s", "-1S", "1.5S", "123456789S", "1 S", "S1"}) {
    EXPECT_EQ(ParseGrpcTimeout(text), std::nullopt) << text;
  }
}

TEST(GrpcTimeout, IsWrittenNeverLongerAndNearlyAsLong) {
  std::array<char, 16> out;
  for (int64_t ns : {0LL, 1LL, 99'999'999LL, 100'000'000LL, 1'234'567'890'123LL, 31'536'000'000'000'000LL}) {
    const std::optional<nanoseconds> read = ParseGrpcTimeout(FormatGrpcTimeout(nanoseconds(ns), out.data()));
    ASSERT_TRUE(read.has_value()) << ns;
    EXPECT_LE(read->count(), ns);
    EXPECT_GE(static_cast<double>(read->count()), 0.9999 * static_cast<double>(ns));
  }
  EXPECT_EQ(FormatGrpcTimeout(nanoseconds(-5), out.data()), "0n");
}

TEST(GrpcMessage, IsPercentEncodedAndCut) {
  EXPECT_EQ(EncodeGrpcMessage("model \"x\" at 100%"), "model \"x\" at 100%25");
  EXPECT_EQ(EncodeGrpcMessage("a\nb\x80"), "a%0Ab%80");
  EXPECT_LE(EncodeGrpcMessage(std::string(100'000, '\n')).size(), 4'000U);
}

TEST(GrpcStatus, IsReadOrUnknown) {
  EXPECT_EQ(ParseGrpcStatus("0"), 0);
  EXPECT_EQ(ParseGrpcStatus("16"), 16);
  for (std::string_view text : {"", "17", "-1", "x", "1x", "999999999999"}) EXPECT_EQ(ParseGrpcStatus(text), 2) << text;
}

TEST(BodyKind, FollowsTheMethod) {
  EXPECT_EQ(BodyKindOfMethod("/inference.GRPCInferenceService/ModelInfer"), BodyKind::kInfer);
  EXPECT_EQ(BodyKindOfMethod("/inference.GRPCInferenceService/ModelStreamInfer"), BodyKind::kInfer);
  EXPECT_EQ(BodyKindOfMethod("/inference.GRPCInferenceService/ModelReady"), BodyKind::kModel);
  EXPECT_EQ(BodyKindOfMethod("/inference.GRPCInferenceService/RepositoryIndex"), BodyKind::kRefused);
  EXPECT_EQ(BodyKindOfMethod("/signalbox.v1.ModelServing/Serve"), BodyKind::kServe);
  EXPECT_EQ(BodyKindOfMethod("/inference.GRPCInferenceServiceX/ModelInfer"), BodyKind::kOpaque);
  EXPECT_EQ(BodyKindOfMethod("/acme.Ranker/Rank"), BodyKind::kOpaque);
  EXPECT_EQ(BodyKindOfMethod(""), BodyKind::kOpaque);
}

}  // namespace
}  // namespace signalbox::proxy
