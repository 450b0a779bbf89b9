#include "proxy/enrich.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "decide/enrichment.h"
#include "inference/open_inference.pb.h"
#include "signalbox/v1/serving.pb.h"
#include "tests/support/grpc_frame.h"

namespace signalbox::proxy {
namespace {

using ::signalbox::testing::GrpcFrame;

// The messages of a body, as a host reads them.
std::vector<std::string> Unframed(const std::string& body) {
  std::vector<std::string> messages;
  for (size_t at = 0; at + 5 <= body.size();) {
    size_t size = 0;
    for (size_t i = 1; i < 5; ++i) size = size << 8 | static_cast<uint8_t>(body[at + i]);
    EXPECT_LE(at + 5 + size, body.size()) << "a prefix lies";
    messages.push_back(body.substr(at + 5, size));
    at += 5 + size;
  }
  return messages;
}

std::string Drain(BodyQueue& queue) {
  std::string out;
  while (!queue.empty()) {
    const Piece piece = queue.TakeFront(queue.bytes());
    out.append(piece.data, piece.size);
  }
  return out;
}

// Feeds `body` in random parts and takes it out in random parts.
std::string Enrich(const std::string& body, std::string_view suffix, std::mt19937_64& random) {
  WorkerMemory memory;
  RequestBody sent(memory);
  BodyReader from;
  from.Begin(sent);
  BodyQueue to(memory);
  MessageEnricher enricher(suffix);
  std::string out;
  bool overflow = false;
  size_t moved = 0;
  for (size_t at = 0; at < body.size();) {
    const size_t part = std::min<size_t>(1 + random() % 40, body.size() - at);
    sent.Append(std::string_view(body).substr(at, part), {});
    at += part;
    moved += enricher.Move(from, to, 1 + random() % 60, overflow);
    if (random() % 2 == 0) out += Drain(to);
  }
  while (!from.empty()) {
    moved += enricher.Move(from, to, 1 + random() % 60, overflow);
    out += Drain(to);
  }
  EXPECT_EQ(moved, body.size());
  EXPECT_FALSE(overflow);
  return out + Drain(to);
}

v1::ObjectiveConfig Config() {
  v1::ObjectiveConfig config;
  config.set_objective("TitleRanking");
  config.set_model_name("ranker");
  config.set_model_version("3");
  config.set_experiment("12345");
  config.set_cell("2");
  (*config.mutable_parameters())["depth"] = "80";
  return config;
}

TEST(Enrich, MessagesOfAnyStreamAreTheMergedOnes) {
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  const std::string suffix = decide::OpenInferenceSuffix(Config());
  for (int round = 0; round < 300; ++round) {
    std::string body;
    const size_t count = random() % 5;
    for (size_t i = 0; i < count; ++i) {
      inference::ModelInferRequest request;
      request.set_model_name("TitleRanking");
      request.set_id(std::string(random() % 30, 'i'));
      request.add_raw_input_contents(std::string(random() % 300, 'x'));
      (*request.mutable_parameters())["sb_cell"].set_string_param("forged");
      (*request.mutable_parameters())["mine"].set_int64_param(7);
      body += GrpcFrame(request.SerializeAsString());
    }
    const std::vector<std::string> messages = Unframed(Enrich(body, suffix, random));
    ASSERT_EQ(messages.size(), count) << "seed " << seed;
    for (const std::string& message : messages) {
      inference::ModelInferRequest request;
      ASSERT_TRUE(request.ParseFromString(message)) << "seed " << seed;
      EXPECT_EQ(request.model_name(), "ranker");
      EXPECT_EQ(request.model_version(), "3");
      EXPECT_EQ(request.parameters().at("sb_cell").string_param(), "2");
      EXPECT_EQ(request.parameters().at("depth").string_param(), "80");
      EXPECT_EQ(request.parameters().at("mine").int64_param(), 7);
      EXPECT_EQ(request.raw_input_contents_size(), 1);
    }
  }
}

TEST(Enrich, EmptyMessagesTakeTheSuffixToo) {
  std::mt19937_64 random(1);
  const std::vector<std::string> messages = Unframed(Enrich(GrpcFrame(""), decide::ServeSuffix(Config()), random));
  ASSERT_EQ(messages.size(), 1);
  v1::ServeRequest request;
  ASSERT_TRUE(request.ParseFromString(messages[0]));
  EXPECT_EQ(request.objective_config().cell(), "2");
}

TEST(Enrich, CompressedMessagesPassUntouched) {
  std::mt19937_64 random(1);
  const std::string body = GrpcFrame("compressed", 1) + GrpcFrame("plain", 0);
  EXPECT_EQ(Enrich(body, "+suffix", random), GrpcFrame("compressed", 1) + GrpcFrame("plain+suffix", 0));
}

TEST(Enrich, AMessageThatWouldBecomeTooLongIsAnOverflow) {
  WorkerMemory memory;
  RequestBody sent(memory);
  sent.Append(std::string("\0\xff\xff\xff\xff", 5), {});
  BodyReader from;
  from.Begin(sent);
  BodyQueue to(memory);
  MessageEnricher enricher("x");
  bool overflow = false;
  enricher.Move(from, to, 100, overflow);
  EXPECT_TRUE(overflow);
}

}  // namespace
}  // namespace signalbox::proxy
