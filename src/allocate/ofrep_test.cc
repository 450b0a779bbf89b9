#include "allocate/ofrep.h"

#include <gtest/gtest.h>

#include <string>

namespace signalbox::allocate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Answer Read(std::string_view body) { return ReadOfrepAnswer(200, body, std::nullopt); }

TEST(Ofrep, TheFlagIsPartOfThePath) {
  EXPECT_EQ(OfrepPath("ranker-test"), "/ofrep/v1/evaluate/flags/ranker-test");
  EXPECT_EQ(OfrepPath("a/b ?#\xc3\xa9"), "/ofrep/v1/evaluate/flags/a%2Fb%20%3F%23%C3%A9");
}

TEST(Ofrep, TheUnitIsTheTargetingKeyAndTheContextIsBesideIt) {
  Inquiry inquiry;
  inquiry.unit = "user \"1\"";
  inquiry.context = {{"country", "US"}, {"segments", " kids premium "}, {"targetingKey", "somebody else"}};
  EXPECT_EQ(OfrepBody(inquiry),
            R"({"context":{"country":"US","segments":["kids","premium"],"targetingKey":"user \"1\""}})");
}

TEST(Ofrep, TheVariantIsTheCell) {
  const Answer answer = Read(R"({"key":"f","value":true,"variant":"treatment","reason":"SPLIT","metadata":{"a":1}})");
  EXPECT_EQ(answer.result, Result::kCell);
  EXPECT_EQ(answer.cell, "treatment");
}

TEST(Ofrep, WithoutAVariantTheValueIsWhenItIsATextOrANumber) {
  for (const auto& [value, cell] : {std::pair("\"2\"", "2"),
                                    {"2", "2"},
                                    {"2.0", "2"},
                                    {"-1", "-1"},
                                    {"18446744073709551615", "18446744073709551615"}}) {
    const Answer answer = Read(std::string(R"({"key":"f","value":)") + value + "}");
    EXPECT_EQ(answer.result, Result::kCell) << value;
    EXPECT_EQ(answer.cell, cell) << value;
  }
  for (const char* value : {"true", "null", "{}", "[1]", "\"\""}) {
    EXPECT_EQ(Read(std::string(R"({"key":"f","variant":null,"value":)") + value + "}").result, Result::kNoCell)
        << value;
  }
}

TEST(Ofrep, NeitherMeansThatTheDefaultIsTheCallersBusiness) {
  EXPECT_EQ(Read(R"({"key":"f","reason":"DISABLED"})").result, Result::kNoCell);
}

TEST(Ofrep, WhatIsNoAnswerIsRecognised) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  for (const std::string& body :
       {std::string(), std::string("<html>"), std::string("[]"), std::string("\"2\""),
        std::string("{\"variant\":\"2\""), std::string("{\"variant\":2}"),
        std::string("{\"variant\":\"") + std::string(201, 'x') + "\"}", std::string("{\"variant\":\"\xff\"}"), deep,
        "{\"variant\":\"2\",\"metadata\":" + deep + "}"}) {
    EXPECT_EQ(Read(body).result, Result::kBadAnswer) << body.substr(0, 60);
  }
  EXPECT_EQ(Read(R"({"errorCode":"GENERAL","variant":"2"})").result, Result::kServerError);
}

TEST(Ofrep, StatusesMeanWhatTheProtocolSays) {
  for (const auto& [status, result] : {std::pair(400, Result::kRefused),
                                       {401, Result::kUnauthorised},
                                       {403, Result::kUnauthorised},
                                       {404, Result::kNotFound},
                                       {429, Result::kRateLimited},
                                       {302, Result::kRedirect},
                                       {500, Result::kServerError},
                                       {503, Result::kServerError},
                                       {418, Result::kServerError},
                                       {204, Result::kBadAnswer},
                                       {101, Result::kBadAnswer}}) {
    EXPECT_EQ(ReadOfrepAnswer(status, R"({"variant":"2"})", std::nullopt).result, result) << status;
  }
  EXPECT_EQ(ReadOfrepAnswer(429, "", seconds(3)).retry_after, seconds(3));
}

TEST(Ofrep, RetryAfterIsReadInEveryFormThatIsInUse) {
  constexpr int64_t kNow = 1'700'000'000'000;  // 2023-11-14 22:13:20 UTC
  EXPECT_EQ(ParseRetryAfter("120", kNow), seconds(120));
  EXPECT_EQ(ParseRetryAfter("Tue, 14 Nov 2023 22:13:50 GMT", kNow), seconds(30));
  EXPECT_EQ(ParseRetryAfter("2023-11-14T22:13:21Z", kNow), seconds(1));
  EXPECT_EQ(ParseRetryAfter("2023-11-14T22:00:00Z", kNow), milliseconds(0));
  // As JavaScript writes a Date, and as others write a zone.
  EXPECT_EQ(ParseRetryAfter("2023-11-14T22:13:21.500Z", kNow), milliseconds(1'500));
  EXPECT_EQ(ParseRetryAfter("2023-11-14T23:13:21+01:00", kNow), seconds(1));
  for (const char* text : {"", "soon", "-1", "1e9", "99999999999999999999", "2023-11-14", "Tue, 14 Nov 2023"}) {
    EXPECT_EQ(ParseRetryAfter(text, kNow), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace signalbox::allocate
