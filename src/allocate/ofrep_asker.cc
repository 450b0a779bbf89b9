#include "allocate/ofrep_asker.h"

#include <utility>

#include "allocate/ofrep.h"
#include "base/unix_time.h"

namespace signalbox::allocate {
namespace {

Answer AnswerOf(const HttpAnswer& http) {
  switch (http.outcome) {
    case HttpAnswer::Outcome::kAnswered:
      return ReadOfrepAnswer(http.status, http.body, ParseRetryAfter(http.retry_after, NowUnixMs()));
    case HttpAnswer::Outcome::kTooLarge:
      return {.result = Result::kTooLarge};
    case HttpAnswer::Outcome::kTimeout:
      return {.result = Result::kTimeout};
    case HttpAnswer::Outcome::kBadAnswer:
      return {.result = Result::kBadAnswer};
    case HttpAnswer::Outcome::kUnreachable:
      break;
  }
  return {.result = Result::kUnreachable};
}

class OfrepAsker : public Asker {
 public:
  OfrepAsker(const PlatformOptions& options, HttpClient& client) : options_(options), client_(client) {}

  void Ask(const Inquiry& inquiry, std::chrono::milliseconds timeout, Done done) override {
    client_.Start({.url = options_.address + OfrepPath(inquiry.flag),
                   .body = OfrepBody(inquiry),
                   .token = options_.token,
                   .timeout = timeout},
                  [done = std::move(done)](const HttpAnswer& http) { done(AnswerOf(http)); });
  }

  void SetToken(std::string token) override { options_.token = std::move(token); }

 private:
  PlatformOptions options_;
  HttpClient& client_;
};

}  // namespace

std::unique_ptr<Asker> MakeOfrepAsker(const PlatformOptions& options, HttpClient& client) {
  return std::make_unique<OfrepAsker>(options, client);
}

}  // namespace signalbox::allocate
