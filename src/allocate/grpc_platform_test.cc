// Platforms that speak signalbox.v1.Allocator.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "allocate/allocator.h"
#include "allocate/test_platform.h"
#include "allocate/test_worker.h"
#include "signalbox/v1/allocator.grpc.pb.h"
#include "tests/support/raw_http2.h"

namespace signalbox::allocate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

using Handler = GrpcPlatform::Handler;

Handler Cell(const std::string& cell) {
  return [cell](grpc::ServerContext&, const v1::AllocateRequest&, v1::AllocateResponse& response) {
    response.set_cell(cell);
    return grpc::Status::OK;
  };
}

Question For(std::string_view unit) {
  return {.platform = "p",
          .flag = "f",
          .unit = unit,
          .context = {},
          .attributes = {},
          .ttl = seconds(300),
          .deadline = milliseconds(100)};
}

std::unique_ptr<Allocator> Asking(int port, const std::string& token = "") {
  PlatformOptions options;
  options.name = "p";
  options.protocol = PlatformOptions::Protocol::kGrpc;
  options.address = "127.0.0.1:" + std::to_string(port);
  options.token = token;
  options.attributes = {"plan"};
  return Allocator::Start({options}, [](std::string_view) {});
}

double Exchanges(const Allocator& allocator, Result result) {
  return MetricOf(allocator, "signalbox_allocation_exchanges_total", {"p", std::string(Name(result))});
}

TEST(GrpcPlatform, GivesACellForUnitAndContext) {
  std::mutex mutex;
  v1::AllocateRequest seen;
  std::string authorization;
  GrpcPlatform platform(
      [&](grpc::ServerContext& context, const v1::AllocateRequest& request, v1::AllocateResponse& response) {
        std::lock_guard lock(mutex);
        seen = request;
        const auto found = context.client_metadata().find("authorization");
        if (found != context.client_metadata().end()) authorization = {found->second.data(), found->second.size()};
        response.set_cell("2");
        return grpc::Status::OK;
      });
  const auto allocator = Asking(platform.port(), "secret-1");
  TestWorker worker(*allocator);
  const Field context[] = {{"country", "US"}, {"segments", "kids premium"}};
  const Field attributes[] = {{"plan", "basic"}, {"email", "a@b.c"}};
  Question question = For("u1");
  question.context = context;
  question.attributes = attributes;
  EXPECT_EQ(worker.Ask(question), "2");
  EXPECT_EQ(worker.Ask(question), "2");
  EXPECT_EQ(platform.asked(), 1);
  std::lock_guard lock(mutex);
  EXPECT_EQ(seen.flag(), "f");
  EXPECT_EQ(seen.unit(), "u1");
  EXPECT_EQ(seen.context_size(), 2);
  EXPECT_EQ(seen.context().at("country"), "US");
  EXPECT_EQ(seen.context().at("plan"), "basic");
  ASSERT_EQ(seen.segments_size(), 2);
  EXPECT_EQ(seen.segments(1), "premium");
  EXPECT_EQ(authorization, "Bearer secret-1");
}

TEST(GrpcPlatform, WhateverElseItSaysIsNoCell) {
  using grpc::StatusCode;
  for (const auto& [code, result] : {std::pair(StatusCode::NOT_FOUND, Result::kNotFound),
                                     {StatusCode::INVALID_ARGUMENT, Result::kRefused},
                                     {StatusCode::UNAUTHENTICATED, Result::kUnauthorised},
                                     {StatusCode::PERMISSION_DENIED, Result::kUnauthorised},
                                     {StatusCode::RESOURCE_EXHAUSTED, Result::kRateLimited},
                                     {StatusCode::UNAVAILABLE, Result::kUnreachable},
                                     {StatusCode::INTERNAL, Result::kBadAnswer},
                                     {StatusCode::UNIMPLEMENTED, Result::kBadAnswer},
                                     {StatusCode::UNKNOWN, Result::kServerError},
                                     {StatusCode::DATA_LOSS, Result::kServerError}}) {
    GrpcPlatform platform([code = code](grpc::ServerContext&, const v1::AllocateRequest&, v1::AllocateResponse&) {
      return grpc::Status(code, "no");
    });
    const auto allocator = Asking(platform.port());
    TestWorker worker(*allocator);
    EXPECT_EQ(worker.Ask(For("u1")), "") << code;
    EXPECT_EQ(Exchanges(*allocator, result), 1) << code << ": expected " << Name(result);
  }
}

TEST(GrpcPlatform, AnEmptyCellALongOneAndAGiantAnswerAreNone) {
  for (const auto& [bytes, result] : {std::pair(size_t{0}, Result::kNoCell),
                                      {size_t{201}, Result::kBadAnswer},
                                      {size_t{10} << 20, Result::kTooLarge}}) {
    GrpcPlatform platform(Cell(std::string(bytes, 'x')));
    const auto allocator = Asking(platform.port());
    TestWorker worker(*allocator);
    EXPECT_EQ(worker.Ask(For("u1")), "") << bytes;
    EXPECT_EQ(Exchanges(*allocator, result), 1) << bytes << ": expected " << Name(result);
  }
}

TEST(GrpcPlatform, OneThatIsNotThereIsNoCell) {
  const auto allocator = Asking(::signalbox::testing::UnusedPort());
  TestWorker worker(*allocator);
  EXPECT_EQ(worker.Ask(For("u1")), "");
  EXPECT_EQ(Exchanges(*allocator, Result::kUnreachable), 1);
}

TEST(GrpcPlatform, OneThatHangsIsGivenUpAndTheAllocatorEndsMeanwhile) {
  ::signalbox::testing::RawListener silent([](int socket) { ::signalbox::testing::ReadToEnd(socket); });
  auto allocator = Asking(silent.port());
  TestWorker worker(*allocator);
  EXPECT_EQ(worker.Ask(For("u1")), "");
  EXPECT_EQ(Exchanges(*allocator, Result::kTimeout) + Exchanges(*allocator, Result::kUnreachable), 1);
  TestWaiter waiter;
  worker.Find(For("u2"), waiter);
  ASSERT_TRUE(worker.RunUntil([&] { return MetricOf(*allocator, "signalbox_allocation_exchanges_open", {"p"}) == 1; }));
  worker.cells().GiveUp(waiter, Outcome::kAbandoned);
  allocator.reset();
}

TEST(GrpcPlatform, SaysForHowLongItWantsNoQuestions) {
  GrpcPlatform platform([](grpc::ServerContext& context, const v1::AllocateRequest&, v1::AllocateResponse&) {
    context.AddTrailingMetadata("grpc-retry-pushback-ms", "200000");
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many");
  });
  const auto allocator = Asking(platform.port());
  TestWorker worker(*allocator);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(worker.Ask(For("u" + std::to_string(i))), "");
  EXPECT_EQ(platform.asked(), 1);
}

}  // namespace
}  // namespace signalbox::allocate
