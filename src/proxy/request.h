// One request on its way: from a client's stream to a host's stream and back.
//
// request.cc reads from top to bottom as what happens to it. A request lives until neither stream knows it any more; it
// belongs to one worker and is reused, memory and all, for later requests.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "decide/decide.h"
#include "proxy/body_queue.h"
#include "proxy/context_headers.h"
#include "proxy/deadline_queue.h"
#include "proxy/enrich.h"
#include "proxy/grpc_protocol.h"
#include "proxy/header_list.h"
#include "proxy/intrusive_list.h"
#include "proxy/message_walk.h"
#include "proxy/remote_cells.h"

namespace signalbox::proxy {

class ClientConnection;
class Host;
class HostConnection;
class Worker;
struct Routes;

class Request {
 public:
  explicit Request(Worker& worker);
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  // --- What the client's connection reports.
  void Begin(ClientConnection& client, int32_t stream_id);
  void OnRequestHeader(std::string_view name, std::string_view value);
  void OnRequestHeadersEnd();
  // `block` is where `data` lies. What is not wanted any more is dropped.
  void OnRequestData(std::string_view data, const BlockRef& block);
  void OnRequestEnd();
  // The stream is closed; by the client's reset, with its connection, or because the answer is complete. Ends the
  // request.
  void OnClientGone();
  bool request_ended() const { return request_ended_; }

  // What can be sent to the client now: the number of bytes (0: see `ended`), whether nothing follows them, and whether
  // trailers do.
  struct Available {
    size_t bytes = 0;
    bool ended = false;
    bool trailers = false;
  };
  Available ResponseAvailable(size_t bytes_max);
  // The bytes announced by ResponseAvailable leave with Connection::SendData from this queue; OnResponseSent follows.
  BodyQueue& response_body() { return response_body_; }
  void OnResponseSent(size_t bytes);
  void OnResponseHeadersSent() { headers_sent_ = ReadClockOnce(headers_sent_); }
  void AddTrailers(HeaderFields& fields) const;

  // --- What the host and its connection report.
  void OnHostStream(HostConnection& connection, int32_t stream_id);
  Available RequestAvailable(size_t bytes_max);
  BodyQueue& enriched_body() { return enriched_body_; }
  void OnHeadersSentToHost();
  // Name, value and content of the request that the host gets.
  void AddHostHeaders(HeaderFields& fields);
  bool has_request_body() const { return !(request_ended_ && request_body_.empty()); }
  void OnResponseHeader(std::string_view name, std::string_view value);
  void OnResponseHeadersEnd(bool end_stream);
  void OnResponseData(std::string_view data, const BlockRef& block);
  void OnResponseEnd();
  // There is no stream to the host any more, or there will be none. `why` matters when the response is not complete.
  // `processed`: whether the host may have worked on the request.
  enum class Processed { kMaybe, kNo };
  void OnHostGone(const absl::Status& why, Processed processed);
  bool response_ended() const { return response_ended_; }

  // --- What experimentation platforms report: all that will come has come (remote_cells.cc).
  void OnRemoteCells();

  // --- What time reports.
  void OnDeadline();

  Deadline deadline;
  ListHook<Request> client_hook;
  ListHook<Request> host_hook;
  ListHook<Request> waiting_hook;

 private:
  // The stages of a request, in order.
  absl::Status CheckProtocol();
  absl::Status ReadDeadline();
  absl::Status FindObjective();
  absl::Status TakeSnapshot();
  // True when answers have to come before the request can be decided: OnRemoteCells goes on.
  bool AskPlatforms();
  bool waits_for_cells() const;
  absl::Status Choose();
  absl::Status Dispatch();
  absl::Status WalkBody(std::string_view data);

  // Makes `answer` the one that is tried now: itself, or the first member of its ensemble.
  void TakeUp(const decide::Answer& answer);
  // The same with what comes next: a further member, else the next fallback. False when there is none.
  bool TakeUpNext();
  absl::Status TryNextHost();
  absl::Status NothingReachable() const;
  absl::Status UnknownObjective() const;

  // Goes on after more of the request is known.
  void Advance();
  // Answers with a status instead of a host's response, and lets go of the host.
  void Fail(const absl::Status& status);
  void RefuseProtocol(std::string_view http_status, const absl::Status& status);
  void AnswerForServer();
  // Answers with what the rules declare for when no model can be reached. False when they declare nothing, or it has no
  // place here.
  bool GiveStaticAnswer();
  // What these have in common.
  void EndWith(const absl::Status& status);
  void SendTrailersOnly(std::string_view http_status);
  void SubmitOwnHeaders();
  void AddDecisionHeaders(HeaderFields& fields) const;
  void LetGoOfHost();
  void DropRequestBody();
  void DropResponseBody();
  void ReleaseRequestBytes(size_t bytes);
  void WakeClient();
  void WakeHost();
  // `time`, or now when it is not set.
  Time ReadClockOnce(Time time) const;
  // What the client, metrics and the log are told: why the model that is tried now.
  decide::Reason reason() const { return static_answer_ ? decide::Reason::kFallback : asked_->reason; }
  void WriteExperiments();
  void Record();
  void Reset();

  Worker& worker_;
  ClientConnection* client_ = nullptr;
  int32_t client_stream_ = 0;
  HostConnection* host_connection_ = nullptr;  // also while only bytes from it wait here
  int32_t host_stream_ = 0;                    // 0: no open stream
  Host* waiting_for_ = nullptr;

  // Of the request.
  HeaderList request_headers_;
  ContextHeaders context_;
  BodyKind body_kind_ = BodyKind::kOpaque;
  MessageWalk walk_;
  BodyQueue request_body_;   // as the client sent it
  BodyQueue enriched_body_;  // what goes to the host next
  MessageEnricher enricher_;
  bool headers_too_large_ = false;
  bool request_ended_ = false;
  bool body_was_taken_ = false;
  bool host_has_headers_ = false;
  bool has_deadline_ = false;
  std::array<char, 16> timeout_text_;

  // Of the decision.
  Routes* routes_ = nullptr;
  std::unique_ptr<RemoteCells> remote_cells_;  // since the first request that needed it
  decide::Decision decision_;
  const decide::Answer* asked_ = nullptr;   // the decision's, or one of its fallbacks
  const decide::Answer* answer_ = nullptr;  // what is tried now for it: itself, or a member of its ensemble
  size_t fallbacks_tried_ = 0;
  size_t members_tried_ = 0;
  size_t hosts_tried_ = 0;
  size_t tried_in_vain_ = 0;  // answers
  bool static_answer_ = false;
  // Their memory is kept for later requests.
  std::string suffix_buffer_;     // what is appended to messages, where that is not the snapshot's
  std::string experiments_text_;  // for `sb-experiments`
  uint64_t decision_id_ = 0;
  std::array<char, 16> decision_text_;
  Host* host_ = nullptr;  // the one that is tried now, or answered
  absl::Status last_failure_;

  // Of the response.
  HeaderList response_headers_;  // headers, later trailers
  BodyQueue response_body_;
  size_t response_announced_ = 0;   // bytes of response_body_ that a frame waits for
  bool response_begun_ = false;     // headers were submitted to the client
  bool response_ended_ = false;     // nothing more will be put into response_body_
  bool response_trailers_ = false;  // response_headers_ are trailers
  bool response_too_large_ = false;
  bool own_trailers_ = false;  // they are status_text_ and message_text_
  int grpc_status_ = -1;
  std::string status_text_;
  std::string message_text_;

  // Of the log.
  int64_t start_unix_us_ = 0;
  Time start_;
  Time ready_;         // the Objective was known
  Time dispatched_;    // the request went to the host
  Time answered_;      // the host's answer, or our own, was there
  Time headers_sent_;  // its headers went to the client
  uint64_t request_bytes_ = 0;
  uint64_t response_bytes_ = 0;
};

}  // namespace signalbox::proxy
