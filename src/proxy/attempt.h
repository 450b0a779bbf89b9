// One try at one host: the stream there, what it is given of a request, and what it answers.
//
// It knows neither the client nor what is done when it fails: it reports to its owner, and the owner decides. It
// belongs to one worker and is reused, memory and all, for later attempts.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "balance/host_use.h"
#include "decide/decide.h"
#include "proxy/body_queue.h"
#include "proxy/deadline_queue.h"
#include "proxy/enrich.h"
#include "proxy/header_list.h"
#include "proxy/intrusive_list.h"
#include "proxy/request_body.h"

namespace signalbox::proxy {}  // namespace signalbox::proxy

namespace signalbox::limit {
struct Bulkhead;
}

namespace signalbox::proxy {

class Attempt;
class Host;
class HostConnection;
class Worker;

// What can be sent on a stream now: the number of bytes (0: see `ended`), whether nothing follows them, and whether
// trailers do.
struct Available {
  size_t bytes = 0;
  bool ended = false;
  bool trailers = false;
};

// Whether a host may have worked on what it was asked.
enum class Processed { kMaybe, kNo };

// On whose account a host is asked, and how many connections of its own that may have to one host, should it need any.
struct Lane {
  const limit::Bulkhead* objective = nullptr;  // nullptr: nobody's
  uint32_t connections_max = 1;
};

// Whoever wants what an attempt brings. It may end the attempt in any of these calls.
class AttemptOwner {
 public:
  // --- What an attempt needs of the request when its stream opens.
  // Name, value and content of the request that the host gets. The fields are copied before anything else happens.
  virtual void AddHostHeaders(const Attempt& attempt, HeaderFields& fields) = 0;
  // What is appended to each message: in `buffer`, or as long-lived as the snapshot.
  virtual std::string_view SuffixFor(const Attempt& attempt, std::string& buffer) = 0;

  // --- What it reports.
  // Of the body more was read: window may be there to be given back.
  virtual void OnBodyTaken() = 0;
  // The headers of the host's answer are complete; they are in response_headers(), which its owner clears when it has
  // read them. Where `ended`, they are all there is.
  virtual void OnResponseHeaders(Attempt& attempt, bool ended) = 0;
  // More of it is in response_body().
  virtual void OnResponseData(Attempt& attempt) = 0;
  // That was all. What has trailers() has them in response_headers().
  virtual void OnResponseEnd(Attempt& attempt) = 0;
  // It has no stream any more, or will get none, or what came is not an answer.
  virtual void OnAttemptFailed(Attempt& attempt, const absl::Status& why, Processed processed) = 0;

 protected:
  ~AttemptOwner() = default;
};

// For its worker's thread.
class Attempt {
 public:
  explicit Attempt(Worker& worker);
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  // --- What its owner does.
  // `body` is what is read, from its first byte.
  void Begin(AttemptOwner& owner, const decide::Answer& answer, RequestBody& body, const Lane& lane = {});
  // Asks `host`: now, or as soon as it has room. On an error nothing has happened.
  absl::Status Submit(Host& host);
  // It fails when the host has not begun to answer in this time from now on.
  void SetTimeout(std::chrono::milliseconds timeout);
  void StopTimeout();
  // There is more in the body, or its end.
  void OnBodyGrew();
  // The host has said all it will: what it was still to get is for nobody.
  void StopSending();
  // Ends it, wherever it is. Its owner hears nothing more; its memory goes to the next.
  void LetGo();

  const decide::Answer& answer() const { return *answer_; }
  const Lane& lane() const { return lane_; }
  // 0: it has none.
  int32_t stream() const { return stream_; }
  // The one that was asked last; nullptr when none was.
  const Host* host() const { return host_; }
  // Whether the host knows of the request, and since when.
  bool sent() const { return sent_at_ != Time(); }
  // When the host got to know of it; or when StartClock was called, if that was later.
  Time asked_at() const { return asked_at_; }
  void StartClock();
  Time sent_at() const { return sent_at_; }
  // The headers of the answer were there.
  Time answered_at() const { return answered_at_; }
  bool timed_out() const { return timed_out_; }
  bool body_was_taken() const { return body_.began(); }
  uint64_t body_bytes_read() const { return body_.bytes_read(); }
  bool body_exhausted() const { return body_.exhausted(); }
  bool response_ended() const { return response_ended_; }
  bool trailers() const { return trailers_; }
  // Of gRPC; from the headers, until trailers say what it was. -1 before that.
  int grpc_status() const { return grpc_status_; }
  HeaderList& response_headers() { return response_headers_; }
  BodyQueue& response_body() { return response_body_; }
  // So many bytes of response_body() are not waited for any more.
  void Release(size_t bytes);

  // --- What the host and its connection report.
  void OnStream(HostConnection& connection, int32_t stream_id);
  void AddHostHeaders(HeaderFields& fields);
  bool has_body() const { return !body_.exhausted(); }
  // What the host can be sent now; it leaves with Connection::SendData from enriched_body().
  Available RequestAvailable(size_t bytes_max);
  BodyQueue& enriched_body() { return enriched_body_; }
  void OnHeadersSent();
  void OnResponseHeader(std::string_view name, std::string_view value);
  void OnResponseHeadersEnd(bool end_stream);
  void OnResponseData(std::string_view data, const BlockRef& block);
  void OnResponseEnd();
  // There is no stream any more, or there will be none. `why` matters when the response is not complete.
  void OnHostGone(const absl::Status& why, Processed processed);

  // --- What time reports.
  void OnDeadline();
  Deadline deadline;

  ListHook<Attempt> host_hook;
  ListHook<Attempt> waiting_hook;

 private:
  // What it says of the host that it ended, the first time.
  void EndUse(balance::Outcome outcome);
  void Reset();

  Worker& worker_;
  AttemptOwner* owner_ = nullptr;
  const decide::Answer* answer_ = nullptr;
  Lane lane_;
  Host* host_ = nullptr;
  balance::HostUse use_;
  bool waits_ = false;                    // for host_ to give it a stream
  HostConnection* connection_ = nullptr;  // also while only bytes from it wait here
  int32_t stream_ = 0;                    // 0: no open stream

  // What it sends.
  BodyReader body_;
  MessageEnricher enricher_;
  BodyQueue enriched_body_;      // what goes to the host next
  std::string suffix_buffer_;    // what is appended to messages, where that is not the snapshot's
  bool asked_for_load_ = false;  // by us, and not by the client
  Time asked_at_;
  Time sent_at_;
  std::chrono::milliseconds timeout_{};
  bool timed_out_ = false;

  // What it gets.
  HeaderList response_headers_;  // headers, later trailers
  BodyQueue response_body_;
  bool response_begun_ = false;  // its headers came
  bool response_ended_ = false;
  bool trailers_ = false;
  bool response_too_large_ = false;
  int grpc_status_ = -1;
  Time answered_at_;
};

}  // namespace signalbox::proxy
