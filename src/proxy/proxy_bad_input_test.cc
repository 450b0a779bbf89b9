// What clients can send that they should not: a clear answer, the proxy stays up, others are not disturbed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "inference/open_inference.pb.h"
#include "proxy/header_list.h"
#include "proxy/test_proxy.h"
#include "tests/support/echo_host.h"
#include "tests/support/raw_http2.h"

namespace signalbox::proxy {
namespace {

using ::signalbox::testing::CallOptions;
using ::signalbox::testing::EchoClient;
using ::signalbox::testing::EchoHost;
using ::signalbox::testing::GrpcFrame;
using ::signalbox::testing::GrpcHeaders;
using ::signalbox::testing::Headers;
using ::signalbox::testing::RawHttp2;
using ::signalbox::testing::RawStream;
using ::signalbox::testing::Reply;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kInfer[] = "/inference.GRPCInferenceService/ModelInfer";

std::string InferFor(const std::string& name) {
  inference::ModelInferRequest request;
  request.set_model_name(name);
  request.add_raw_input_contents("film film film");
  return request.SerializeAsString();
}

// A header block, written as HPACK has it, in HEADERS and CONTINUATION frames of stream 1.
std::string HeaderFrames(const std::string& block) {
  constexpr size_t kFrameBytes = 16'384;
  std::string frames;
  for (size_t at = 0; at < block.size(); at += kFrameBytes) {
    const std::string part = block.substr(at, kFrameBytes);
    const bool last = at + kFrameBytes >= block.size();
    for (int shift = 16; shift >= 0; shift -= 8) frames.push_back(static_cast<char>(part.size() >> shift));
    frames.push_back(at == 0 ? 1 : 9);                                        // HEADERS, CONTINUATION
    frames.push_back(static_cast<char>((last ? 4 : 0) | (at == 0 ? 1 : 0)));  // END_HEADERS, END_STREAM
    frames += std::string("\0\0\0\1", 4) + part;
  }
  return frames;
}

// A literal of HPACK, of which `kind` is the first byte, with a name of its own (RFC 7541, 6.2).
std::string HpackLiteral(char kind, const std::string& name, const std::string& value) {
  std::string literal = {kind, static_cast<char>(name.size())};
  literal += name + '\x7f';
  size_t length = value.size() - 127;
  for (; length >= 128; length >>= 7) literal.push_back(static_cast<char>(length | 128));
  literal.push_back(static_cast<char>(length));
  return literal + value;
}

class BadInputTest : public ::testing::Test {
 protected:
  BadInputTest() { proxy_.Route({host_.address()}); }
  ~BadInputTest() override {
    // Whatever came: the next request is answered.
    EchoClient other(proxy_.port());
    const Reply reply = other.Unary("/acme.Ranker/Rank", "x", {.headers = {{"sb-objective", "Echo"}}});
    EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
    while (proxy_->requests_open() > 0) std::this_thread::yield();
  }

  // Sends a raw request and returns the closed stream.
  RawStream Send(const Headers& headers, const std::string& body) {
    RawHttp2 client(proxy_.port());
    const int32_t stream = client.Open(headers, body);
    EXPECT_TRUE(client.RunUntilClosed(stream));
    return client.stream(stream);
  }
  void ExpectRefused(const Headers& headers, const std::string& body, const std::string& status,
                     const std::string& message) {
    RawStream stream = Send(headers, body);
    EXPECT_EQ(stream.headers["grpc-status"], status) << stream.headers["grpc-message"];
    EXPECT_THAT(stream.headers["grpc-message"], HasSubstr(message));
    EXPECT_EQ(stream.headers["sb-decision"].size(), 16U) << "also a refused request can be found in the log";
  }

  EchoHost host_;
  TestProxy proxy_;
};

TEST_F(BadInputTest, ARequestWithoutAnObjective) {
  ExpectRefused(GrpcHeaders("/acme.Ranker/Rank"), GrpcFrame("x"), "3", "set the header sb-objective");
  ExpectRefused(GrpcHeaders(kInfer), GrpcFrame(InferFor("")), "3", "model_name");
  ExpectRefused(GrpcHeaders(kInfer), GrpcFrame(""), "3", "model_name");
  ExpectRefused(GrpcHeaders(kInfer), "", "3", "model_name");
  ExpectRefused(GrpcHeaders("/signalbox.v1.ModelServing/Serve"), GrpcFrame(""), "3", "objective");
}

TEST_F(BadInputTest, AnUnknownObjective) {
  ExpectRefused(GrpcHeaders(kInfer), GrpcFrame(InferFor("Ecco")), "5", "did you mean \"Echo\"?");
  ExpectRefused(GrpcHeaders("/acme.Ranker/Rank", {{"sb-objective", "FraudScoring"}}), GrpcFrame("x"), "5",
                "\"FraudScoring\"");
}

TEST_F(BadInputTest, AModelNameInPlaceOfAnObjective) {
  ExpectRefused(GrpcHeaders(kInfer), GrpcFrame(InferFor("echo")), "5", "is a model");
  ExpectRefused(GrpcHeaders(kInfer), GrpcFrame(InferFor("echo@1")), "5", "is a model");
}

TEST_F(BadInputTest, ATruncatedMessage) {
  const std::string message = InferFor("Echo");
  for (size_t size : {message.size() - 1, message.size() - 10, size_t{8}}) {
    ExpectRefused(GrpcHeaders(kInfer), GrpcFrame(message.substr(0, size)), "3", "ends inside field");
  }
  EXPECT_EQ(host_.calls(), host_.cancelled()) << "no host has seen such a message whole";
}

TEST_F(BadInputTest, AMessageWhosePrefixLies) {
  const std::string whole = GrpcFrame(InferFor("Echo"));
  std::string longer = whole;
  longer[4] = static_cast<char>(longer[4] + 5);
  ExpectRefused(GrpcHeaders(kInfer), longer, "3", "the body ends 5 bytes before");
  std::string shorter = whole;
  shorter[4] = static_cast<char>(shorter[4] - 5);
  ExpectRefused(GrpcHeaders(kInfer), shorter, "3", "malformed");
  std::string huge = whole;
  huge[1] = huge[2] = '\x7f';
  ExpectRefused(GrpcHeaders(kInfer), huge, "3", "before the end");
  ExpectRefused(GrpcHeaders(kInfer), whole.substr(0, 3), "3", "5-byte prefix");
  std::string flag = whole;
  flag[0] = 7;
  ExpectRefused(GrpcHeaders(kInfer), flag, "3", "compression flag is 7");
}

TEST_F(BadInputTest, ASecondObjectiveInTheMessage) {
  ExpectRefused(GrpcHeaders(kInfer), GrpcFrame(InferFor("Echo") + InferFor("Other")), "3",
                "one stream has one Objective");
}

TEST_F(BadInputTest, AnObjectiveBehindMoreBytesThanAreHeldForIt) {
  inference::ModelInferRequest rest;
  rest.add_raw_input_contents(std::string(400'000, 'x'));
  ExpectRefused(GrpcHeaders(kInfer), GrpcFrame(rest.SerializeAsString() + InferFor("Echo")), "3", "put it first");
}

TEST_F(BadInputTest, ACompressedMessageWithoutTheHeader) {
  EchoClient client(proxy_.port());
  // What would not become smaller gRPC does not compress.
  const std::string message = InferFor("Echo") + "\x3a\x80\x80\x01" + std::string(16'384, 'x');
  const Reply reply = client.Unary(kInfer, message, {.headers = {}, .gzip = true});
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(reply.status.error_message(), AllOf(HasSubstr("compressed"), HasSubstr("sb-objective")));
}

TEST_F(BadInputTest, ACompressedMessageWithTheHeaderIsCarriedUntouched) {
  EchoClient client(proxy_.port());
  inference::ModelInferRequest request;
  request.set_model_name("anything");
  request.add_raw_input_contents(std::string(10'000, 'x'));
  const Reply reply =
      client.Unary(kInfer, request.SerializeAsString(), {.headers = {{"sb-objective", "Echo"}}, .gzip = true});
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(reply.message, request.SerializeAsString());
  EXPECT_FALSE(reply.trailer("got-sb-objective-config-bin").empty());
}

TEST_F(BadInputTest, ContextThatCannotBeRead) {
  ExpectRefused(GrpcHeaders("/a/b", {{"sb-objective", "Echo"}, {"sb-context", "country=US,,"}}), "", "3",
                "sb-context, column 12");
  ExpectRefused(GrpcHeaders("/a/b", {{"sb-objective", "Echo"}, {"sb-traffic", "test"}}), "", "3",
                "expected live, synthetic");
  ExpectRefused(GrpcHeaders("/a/b", {{"sb-objective", "Echo"}, {"grpc-timeout", "soon"}}), "", "3", "grpc-timeout");
}

TEST_F(BadInputTest, WhatIsNotGrpc) {
  RawStream stream = Send({{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "x"}}, "");
  EXPECT_EQ(stream.headers[":status"], "415");
  EXPECT_THAT(stream.headers["grpc-message"], HasSubstr("application/grpc"));
  Headers web = GrpcHeaders("/acme.Ranker/Rank", {{"sb-objective", "Echo"}});
  for (auto& [name, value] : web) {
    if (name == "content-type") value = "application/grpc-web";
  }
  EXPECT_EQ(Send(web, "").headers[":status"], "415");

  RawHttp2 client(proxy_.port());
  client.SendBytes("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  EXPECT_FALSE(client.RunUntil([] { return false; }));
  EXPECT_TRUE(client.disconnected());
}

TEST_F(BadInputTest, BytesThatAreNotHttp2) {
  for (const std::string& bytes :
       {std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string(100, '\xff'), std::string(5000, '\0')}) {
    RawHttp2 client(proxy_.port());
    client.SendBytes(bytes);
    EXPECT_FALSE(client.RunUntil([] { return false; }));
    EXPECT_TRUE(client.disconnected());
  }
}

TEST_F(BadInputTest, HeadersOfMoreThanTheLimit) {
  Headers headers = GrpcHeaders("/acme.Ranker/Rank", {{"sb-objective", "Echo"}});
  for (int i = 0; i < 5; ++i) headers.emplace_back("filler-" + std::to_string(i), std::string(15'000, 'f'));
  ExpectRefused(headers, GrpcFrame("x"), "8", "more than 65536 bytes or 128 in number");
  Headers many = GrpcHeaders("/acme.Ranker/Rank", {{"sb-objective", "Echo"}});
  for (int i = 0; i < 200; ++i) many.emplace_back("filler-" + std::to_string(i), "f");
  ExpectRefused(many, GrpcFrame("x"), "8", "more than 65536 bytes or 128 in number");
}

TEST_F(BadInputTest, HeadersOfAMebibyte) {
  Headers headers = GrpcHeaders("/acme.Ranker/Rank", {{"sb-objective", "Echo"}});
  for (int i = 0; i < 35; ++i) headers.emplace_back("filler-" + std::to_string(i), std::string(30'000, 'f'));
  ExpectRefused(headers, GrpcFrame("x"), "8", "more than 65536 bytes or 128 in number");
}

// One header of that size is more than HPACK's decoder takes, and its encoder: the frames are written here, with a
// literal without indexing (RFC 7541, 6.2.2). What cannot be decoded ends the connection, as HTTP/2 demands, but no
// other one.
TEST_F(BadInputTest, OneHeaderOfAMebibyte) {
  RawHttp2 client(proxy_.port());
  client.Flush();
  client.SendBytes(HeaderFrames(HpackLiteral('\0', "filler", std::string(1 << 20, 'f'))));
  EXPECT_TRUE(client.RunUntil([&] { return client.goaway() || client.disconnected(); }));
}

// A byte that refers to a header which HPACK remembers stands for kilobytes of it: what is small on the way would keep
// the worker from everybody else for seconds.
TEST_F(BadInputTest, OneHeaderThatIsReferredToAMillionTimes) {
  constexpr char kWithIndexing = '\x40';
  constexpr char kNewestIndex = '\xbe';
  RawHttp2 client(proxy_.port());
  const int32_t stream =
      client.Open(GrpcHeaders("/acme.Ranker/Rank", {{"sb-objective", "Echo"}}), GrpcFrame("x"), /*end=*/false);
  client.Flush();
  ASSERT_EQ(stream, 1);
  // As its trailers, which would end a request that is answered otherwise.
  client.SendBytes(HeaderFrames(HpackLiteral(kWithIndexing, "filler", std::string(4'000, 'f')) +
                                std::string(1'000'000, kNewestIndex)));
  client.RunUntil([&] { return client.disconnected() || client.stream(stream).closed; });
  EXPECT_TRUE(client.disconnected());
  EXPECT_EQ(client.stream(stream).headers["grpc-status"], "");
}

TEST_F(BadInputTest, TenThousandStreamsOpenedAndReset) {
  RawHttp2 client(proxy_.port());
  for (int i = 0; i < 10'000 && !client.disconnected(); ++i) {
    const int32_t stream = client.Open(GrpcHeaders("/acme.Ranker/Hang", {{"sb-objective", "Echo"}}), "", /*end=*/false);
    client.Flush();
    client.Reset(stream);
    client.Flush();
    // While it goes on, another client is served.
    if (i % 2'000 == 0) {
      EchoClient other(proxy_.port());
      EXPECT_TRUE(other.Unary("/acme.Ranker/Rank", "x", {.headers = {{"sb-objective", "Echo"}}}).status.ok());
    }
  }
  // After a burst of a thousand the connection is ended.
  client.RunUntil([&] { return client.goaway(); });
  EXPECT_TRUE(client.goaway() || client.disconnected());
}

TEST_F(BadInputTest, AClientThatNeverEndsItsRequest) {
  RawHttp2 client(proxy_.port());
  const int32_t stream = client.Open(GrpcHeaders(kInfer, {{"grpc-timeout", "100m"}}),
                                     GrpcFrame(InferFor("Echo")).substr(0, 9), /*end=*/false);
  ASSERT_TRUE(client.RunUntilClosed(stream));
  EXPECT_EQ(client.stream(stream).headers["grpc-status"], "4");
}

TEST_F(BadInputTest, ABodyForARequestThatWasRefusedAlready) {
  RawHttp2 client(proxy_.port());
  const int32_t stream =
      client.Open(GrpcHeaders("/acme.Ranker/Rank"), GrpcFrame(std::string(3 << 20, 'x')), /*end=*/true);
  const int32_t good = client.Open(GrpcHeaders("/acme.Ranker/Rank", {{"sb-objective", "Echo"}}), GrpcFrame("y"));
  ASSERT_TRUE(client.RunUntil([&] { return client.stream(stream).closed && client.stream(good).closed; }));
  EXPECT_EQ(client.stream(stream).headers["grpc-status"], "3");
  EXPECT_EQ(client.stream(good).headers["grpc-status"], "0");
}

}  // namespace
}  // namespace signalbox::proxy
