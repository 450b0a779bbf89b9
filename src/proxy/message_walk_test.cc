#include "proxy/message_walk.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>

#include "base/status.h"
#include "inference/open_inference.pb.h"
#include "tests/support/grpc_frame.h"

namespace signalbox::proxy {
namespace {

using ::signalbox::testing::GrpcFrame;

constexpr uint32_t kModelName = 1;

inference::ModelInferRequest Request(const std::string& objective) {
  inference::ModelInferRequest request;
  request.set_model_name(objective);
  request.set_id("7");
  auto* input = request.add_inputs();
  input->set_name("film");
  input->add_shape(3);
  request.add_raw_input_contents("abcdefgh");
  return request;
}

// Walks `body` in parts of `part_bytes`, to its end.
absl::Status Walk(const std::string& body, size_t part_bytes, uint32_t name_field = kModelName,
                  std::string* name = nullptr) {
  MessageWalk walk;
  walk.Start(name_field);
  for (size_t at = 0; at < body.size(); at += part_bytes) {
    if (absl::Status status = walk.Read(std::string_view(body).substr(at, part_bytes)); !status.ok()) return status;
  }
  if (name != nullptr) *name = walk.name();
  return walk.End();
}

TEST(MessageWalk, FindsTheNameHoweverTheBodyIsCut) {
  const std::string body = GrpcFrame(Request("TitleRanking").SerializeAsString());
  for (size_t part = 1; part <= body.size(); ++part) {
    std::string name;
    EXPECT_TRUE(Walk(body, part, kModelName, &name).ok()) << "parts of " << part;
    EXPECT_EQ(name, "TitleRanking") << "parts of " << part;
  }
}

TEST(MessageWalk, FindsTheNameBehindEverythingElse) {
  inference::ModelInferRequest rest = Request("");
  inference::ModelInferRequest name_only;
  name_only.set_model_name("TitleRanking");
  std::string name;
  EXPECT_TRUE(Walk(GrpcFrame(rest.SerializeAsString() + name_only.SerializeAsString()), 3, kModelName, &name).ok());
  EXPECT_EQ(name, "TitleRanking");
}

TEST(MessageWalk, RefusesAMessageCutAnywhereInsideAField) {
  const std::string message = Request("TitleRanking").SerializeAsString();
  int refused = 0;
  for (size_t size = 0; size <= message.size(); ++size) {
    const std::string cut = message.substr(0, size);
    const bool valid = inference::ModelInferRequest().ParseFromString(cut);
    // What protobuf cannot parse must be refused; what it can parse must pass.
    EXPECT_EQ(Walk(GrpcFrame(cut), 5).ok(), valid) << "cut to " << size << " of " << message.size();
    refused += !valid;
  }
  EXPECT_GT(refused, 20);
}

TEST(MessageWalk, AgreesWithProtobufOnRandomDamage) {
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  const std::string message = Request("TitleRanking").SerializeAsString();
  const google::protobuf::LogSilencer invalid_utf8;  // damaged names
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = message;
    for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    // Where protobuf sees a whole message, the walk sees the same end; it looks at the top level alone and may accept
    // more.
    if (inference::ModelInferRequest().ParseFromString(damaged)) {
      const absl::Status status = Walk(GrpcFrame(damaged), 1 + random() % 20, /*name_field=*/0);
      EXPECT_TRUE(status.ok()) << "seed " << seed << " round " << round << ": " << status;
    }
  }
}

TEST(MessageWalk, RefusesASecondDifferentName) {
  inference::ModelInferRequest first;
  first.set_model_name("TitleRanking");
  inference::ModelInferRequest second;
  second.set_model_name("ArrivalDelay");
  const absl::Status status = Walk(GrpcFrame(first.SerializeAsString() + second.SerializeAsString()), 100);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(Message(status).find("\"ArrivalDelay\""), std::string::npos) << status;
  EXPECT_TRUE(Walk(GrpcFrame(first.SerializeAsString() + first.SerializeAsString()), 100).ok());
  // In a later message of the stream too.
  EXPECT_FALSE(Walk(GrpcFrame(first.SerializeAsString()) + GrpcFrame(second.SerializeAsString()), 100).ok());
}

TEST(MessageWalk, RefusesABodyThatEndsInsideAMessage) {
  const std::string body = GrpcFrame(Request("TitleRanking").SerializeAsString());
  for (size_t size = 1; size < body.size(); ++size) EXPECT_FALSE(Walk(body.substr(0, size), 7).ok()) << size;
  EXPECT_TRUE(Walk("", 1).ok());
}

TEST(MessageWalk, RefusesWhatNoMessageCanHold) {
  EXPECT_FALSE(Walk(GrpcFrame(std::string("\0\0", 2)), 1).ok()) << "field 0";
  EXPECT_FALSE(Walk(GrpcFrame("\x0e"), 1).ok()) << "wire type 6";
  EXPECT_FALSE(Walk(GrpcFrame(std::string(11, '\xff')), 1).ok()) << "a varint without end";
  EXPECT_FALSE(Walk(GrpcFrame("\x0c"), 1).ok()) << "the end of a group that never began";
  EXPECT_FALSE(Walk(GrpcFrame("\x0b"), 1).ok()) << "a group without end";
  EXPECT_FALSE(Walk(GrpcFrame(std::string(200, '\x0b')), 1).ok()) << "groups without end";
  EXPECT_TRUE(Walk(GrpcFrame("\x1b\x1c"), 1).ok()) << "a whole group";
  EXPECT_FALSE(Walk(GrpcFrame("", 2), 1).ok()) << "compression flag 2";
  EXPECT_FALSE(Walk(GrpcFrame("\x0a\xff\xff\xff\xff\x0fx"), 1).ok()) << "a field longer than its message";
  EXPECT_FALSE(Walk(GrpcFrame("\x0a\x81\x02" + std::string(257, 'n')), 9).ok()) << "a name of 257 bytes";
}

TEST(MessageWalk, DoesNotLookIntoCompressedMessages) {
  MessageWalk walk;
  walk.Start(kModelName);
  EXPECT_TRUE(walk.Read(GrpcFrame("\x0e\x0e\x0e", 1)).ok());
  EXPECT_TRUE(walk.End().ok());
  EXPECT_TRUE(walk.met_compressed());
  EXPECT_EQ(walk.messages(), 1);
}

TEST(MessageWalk, WalksManyMessages) {
  std::string body;
  for (int i = 0; i < 50; ++i) body += GrpcFrame(i % 5 == 0 ? "" : Request("TitleRanking").SerializeAsString());
  EXPECT_TRUE(Walk(body, 13).ok());
}

}  // namespace
}  // namespace signalbox::proxy
