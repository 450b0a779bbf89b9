#include "allocate/http_client.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

namespace signalbox::allocate {
namespace {

// Beyond these, idle connections are closed.
constexpr long kConnectionsKeptMax = 256;

bool InitialiseCurl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  return code == CURLE_OK;
}

}  // namespace

struct HttpClient::Transfer {
  ~Transfer() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
  }

  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  HttpRequest request;
  HttpAnswer answer;
  size_t header_bytes = 0;
  bool too_large = false;
  Done done;
};

HttpClient::HttpClient() : multi_((InitialiseCurl(), curl_multi_init())) {
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, kConnectionsKeptMax);
}

HttpClient::~HttpClient() {
  for (const auto& [easy, transfer] : transfers_) curl_multi_remove_handle(multi_, easy);
  transfers_.clear();
  curl_multi_cleanup(multi_);
}

void HttpClient::Start(HttpRequest request, Done done) {
  auto transfer = std::make_unique<Transfer>();
  transfer->request = std::move(request);
  transfer->done = std::move(done);
  CURL* easy = transfer->easy = curl_easy_init();
  const HttpRequest& asked = transfer->request;
  auto header = [&](const std::string& line) {
    transfer->headers = curl_slist_append(transfer->headers, line.c_str());
  };
  header("content-type: application/json");
  header("accept: application/json");
  header("expect:");  // no round trip before the body
  if (!asked.token.empty()) header("authorization: Bearer " + asked.token);
  curl_easy_setopt(easy, CURLOPT_URL, asked.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  // A name that takes long to look up must not hold up the others when its time is over.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(asked.body.size()));
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, asked.body.data());
  // Of the whole exchange, so that drop by drop helps nobody.
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(asked.timeout.count()));
  curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(kHttpAnswerBytesMax));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &HttpClient::OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer.get());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &HttpClient::OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer.get());
  curl_multi_add_handle(multi_, easy);
  transfers_.emplace(easy, std::move(transfer));
}

size_t HttpClient::OnBody(char* data, size_t size, size_t count, void* transfer) {
  auto& self = *static_cast<Transfer*>(transfer);
  const size_t bytes = size * count;
  self.too_large |= self.answer.body.size() + bytes > kHttpAnswerBytesMax;
  if (self.too_large) return 0;  // ends the transfer
  self.answer.body.append(data, bytes);
  return bytes;
}

size_t HttpClient::OnHeader(char* data, size_t size, size_t count, void* transfer) {
  auto& self = *static_cast<Transfer*>(transfer);
  const size_t bytes = size * count;
  self.header_bytes += bytes;
  self.too_large |= self.header_bytes > kHttpAnswerBytesMax;
  if (self.too_large) return 0;
  constexpr std::string_view kName = "retry-after:";
  std::string_view line(data, bytes);
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  if (line.size() > kName.size() &&
      std::equal(kName.begin(), kName.end(), line.begin(), [&](char b, char a) { return same(a, b); })) {
    line.remove_prefix(kName.size());
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    while (!line.empty() && static_cast<unsigned char>(line.back()) <= ' ') line.remove_suffix(1);
    self.answer.retry_after = line;
  }
  return bytes;
}

void HttpClient::Work() {
  int running = 0;
  curl_multi_perform(multi_, &running);
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE) Finish(message->easy_handle, message->data.result);
  }
}

HttpAnswer::Outcome HttpClient::OutcomeOf(CURLcode code, const Transfer& transfer) {
  using Outcome = HttpAnswer::Outcome;
  if (transfer.too_large || code == CURLE_FILESIZE_EXCEEDED) return Outcome::kTooLarge;
  switch (code) {
    case CURLE_OK:
      return Outcome::kAnswered;
    case CURLE_OPERATION_TIMEDOUT:
      return Outcome::kTimeout;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
      return Outcome::kBadAnswer;
    default:
      return Outcome::kUnreachable;
  }
}

void HttpClient::Finish(CURL* easy, CURLcode code) {
  curl_multi_remove_handle(multi_, easy);
  const auto found = transfers_.find(easy);
  const std::unique_ptr<Transfer> transfer = std::move(found->second);
  transfers_.erase(found);
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  transfer->answer.status = static_cast<int>(status);
  transfer->answer.outcome = OutcomeOf(code, *transfer);
  transfer->done(std::move(transfer->answer));
}

void HttpClient::Wait(std::chrono::milliseconds timeout) {
  curl_multi_poll(multi_, nullptr, 0, static_cast<int>(timeout.count()), nullptr);
}

void HttpClient::Wakeup() { curl_multi_wakeup(multi_); }

}  // namespace signalbox::allocate
