// Many HTTP requests at once from one thread, by libcurl.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace signalbox::allocate {

// Of an answer, body and headers each. An answer that names a cell has some hundred bytes.
inline constexpr size_t kHttpAnswerBytesMax = 64 << 10;

struct HttpRequest {
  std::string url;
  std::string body;  // JSON; it is a POST
  std::string token;
  std::chrono::milliseconds timeout{0};
};

struct HttpAnswer {
  enum class Outcome { kAnswered, kTooLarge, kTimeout, kUnreachable, kBadAnswer };
  Outcome outcome = Outcome::kAnswered;
  int status = 0;
  std::string body;
  std::string retry_after;  // the header's value
};

// For one thread, but for Wakeup. Connections are kept and used again. Redirects are not followed, environment
// variables that name proxies are not read, certificates of https servers are checked.
class HttpClient {
 public:
  using Done = std::function<void(HttpAnswer)>;

  HttpClient();
  // Gives up what is under way.
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `done` is called by Work.
  void Start(HttpRequest request, Done done);
  // Does what can be done now.
  void Work();
  // Returns when there is something to do, after `timeout` at the latest, or because of Wakeup.
  void Wait(std::chrono::milliseconds timeout);
  // From any thread. Never waits.
  void Wakeup();

 private:
  struct Transfer;

  static size_t OnBody(char* data, size_t size, size_t count, void* transfer);
  static size_t OnHeader(char* data, size_t size, size_t count, void* transfer);
  static HttpAnswer::Outcome OutcomeOf(CURLcode code, const Transfer& transfer);
  void Finish(CURL* easy, CURLcode code);

  CURLM* multi_;
  absl::flat_hash_map<CURL*, std::unique_ptr<Transfer>> transfers_;
};

}  // namespace signalbox::allocate
