// One request on its way: from a client's stream to hosts, and back.
//
// request.cc reads from top to bottom as what happens to it; dispatch.cc says which hosts are tried. A request lives
// until the client's stream knows it no more; it belongs to one worker and is reused, memory and all, for later
// requests.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "decide/decide.h"
#include "proxy/admission.h"
#include "proxy/attempt.h"
#include "proxy/body_queue.h"
#include "proxy/context_headers.h"
#include "proxy/deadline_queue.h"
#include "proxy/ensemble_call.h"
#include "proxy/grpc_protocol.h"
#include "proxy/header_list.h"
#include "proxy/intrusive_list.h"
#include "proxy/message_walk.h"
#include "proxy/model_call.h"
#include "proxy/remote_cells.h"
#include "proxy/request_body.h"
#include "proxy/shadow_copy.h"

namespace signalbox::proxy {

class ClientConnection;
class Host;
class Worker;
struct Routes;

class Request final : private EnsembleOwner {
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
  bool request_ended() const { return body_.ended(); }

  // What can be sent to the client now.
  Available ResponseAvailable(size_t bytes_max);
  // The bytes announced by ResponseAvailable leave with Connection::SendData from this queue; OnResponseSent follows.
  BodyQueue& response_body() { return attempt_ == nullptr ? own_body_ : attempt_->response_body(); }
  void OnResponseSent(size_t bytes);
  void OnResponseHeadersSent() { headers_sent_ = ReadClockOnce(headers_sent_); }
  void AddTrailers(HeaderFields& fields) const;

  // --- What experimentation platforms report: all that will come has come (remote_cells.cc).
  void OnRemoteCells();

  // --- What time reports.
  void OnDeadline();

  Deadline deadline;
  ListHook<Request> client_hook;

 private:
  // The stages of a request, in order.
  absl::Status CheckProtocol();
  absl::Status ReadDeadline();
  absl::Status FindObjective();
  absl::Status TakeSnapshot();
  absl::Status AdmitToWorker();
  // True when answers have to come before the request can be decided: OnRemoteCells goes on.
  bool AskPlatforms();
  bool waits_for_cells() const;
  // What is left when nothing has to be asked any more.
  absl::Status Handle();
  absl::Status Choose();
  absl::Status Admit();
  // Takes from the policy what it says of deadlines and further tries.
  void Prepare();
  absl::Status Dispatch();
  absl::Status WalkBody(std::string_view data);

  // --- Copies for shadows (request_shadows.cc).
  void StartShadows();
  // What its host is to get.
  void WriteShadow(const decide::Answer& answer, ShadowCopy& copy);
  bool IsComparable() const;
  void EndShadows();

  // Asks what is asked_ now, a model or an ensemble.
  absl::Status Ask();
  bool CanRun(const decide::Answer& ensemble) const;
  // Takes up the next fallback. False when there is none.
  bool TakeUpNext();
  // After what was asked has failed: what comes next. `safe`: another model may be asked.
  void GoOn(const absl::Status& why, bool safe);
  bool idempotent() const { return decision_.policy != nullptr && decision_.policy->retries.idempotent; }
  absl::Status NothingReachable();
  bool TooLate() const;
  void FailOrTooLate(const absl::Status& why);
  absl::Status UnknownObjective() const;

  // --- What admission.cc has more of.
  absl::Status EnterBulkhead();
  absl::Status CheckPayload();
  // To be called when what waits here has grown. RESOURCE_EXHAUSTED where the Objective holds too much already.
  absl::Status AccountBytes();
  absl::Status Refuse(RefusedBy by, std::chrono::milliseconds retry_after, std::string message);
  void AddRefusalHeaders(HeaderFields& fields);
  void ReturnLease();
  Lane lane() const;

  // --- What calls ask and report (model_call.h, ensemble_call.h).
  void AddHostHeaders(const Attempt& attempt, HeaderFields& fields) override;
  std::string_view SuffixFor(const Attempt& attempt, std::string& buffer) override;
  void AddHeadersFor(const decide::Answer& answer, HeaderFields& fields);
  std::string_view SuffixOf(const decide::Answer& answer, std::string& buffer);
  void OnBodyTaken() override { ReleaseRequestBytes(body_.TakeReleasable()); }
  void OnCallAnswered(ModelCall& call, bool ended) override;
  void OnCallData(ModelCall& call) override;
  void OnCallEnd(ModelCall& call) override;
  void OnCallFailed(ModelCall& call, const absl::Status& why) override;
  void OnCombined(std::string message) override;
  void OnEnsembleFailed(const absl::Status& why) override;

  // Goes on after more of the request is known.
  void Advance();
  // Answers with a status instead of a host's response, and lets go of what was asked.
  void Fail(const absl::Status& status);
  void RefuseProtocol(std::string_view http_status, const absl::Status& status);
  void AnswerForServer();
  // Answers with what the rules declare for when no model can be reached. False when they declare nothing, or it has no
  // place here.
  bool GiveStaticAnswer();
  // What these have in common.
  void EndWith(const absl::Status& status);
  void SendTrailersOnly(std::string_view http_status);
  // A whole gRPC message of our own, with status OK.
  void SubmitOwnHeaders();
  void AddDecisionHeaders(HeaderFields& fields);
  std::string_view AttemptsText();
  // Ends all that was asked of hosts.
  void LetGo();
  void DropRequestBody();
  void ReleaseRequestBytes(size_t bytes);
  void WakeClient();
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
  Attempt* attempt_ = nullptr;  // the one whose answer the client gets

  // Of the request.
  HeaderList request_headers_;
  ContextHeaders context_;
  BodyKind body_kind_ = BodyKind::kOpaque;
  MessageWalk walk_;
  RequestBody body_;
  bool headers_too_large_ = false;
  bool has_deadline_ = false;
  std::array<char, 16> timeout_text_;

  // Of the decision.
  Routes* routes_ = nullptr;
  std::unique_ptr<RemoteCells> remote_cells_;  // since the first request that needed it
  decide::Decision decision_;
  const decide::Answer* asked_ = nullptr;   // the decision's, or one of its fallbacks
  const decide::Answer* answer_ = nullptr;  // the same, or the member of its ensemble that answered
  size_t fallbacks_tried_ = 0;
  size_t tried_in_vain_ = 0;  // answers
  bool static_answer_ = false;
  std::string experiments_text_;  // for `sb-experiments`; its memory is kept for later requests
  uint64_t decision_id_ = 0;
  std::array<char, 16> decision_text_;
  Admitted admitted_;
  Refusal refusal_;
  std::array<char, 24> pushback_text_;
  std::array<char, 24> retry_after_text_;
  absl::Status last_failure_;

  // Of what is asked of hosts.
  CallSetting setting_;
  TryCounts tries_;
  ModelCall call_;
  std::unique_ptr<EnsembleCall> ensemble_;  // since the first request that needed it
  bool deadline_is_policys_ = false;
  const Host* host_ = nullptr;  // the one that answered, or was asked last
  std::array<char, 12> attempts_text_;
  std::string members_text_;  // for `sb-members`

  // Of copies for shadows.
  RequestShadows shadows_;
  uint32_t shadows_not_sent_ = 0;

  // Of the response.
  BodyQueue own_body_;             // what is sent where no attempt answers
  size_t response_announced_ = 0;  // bytes of response_body() that a frame waits for
  bool response_begun_ = false;    // headers were submitted to the client
  bool response_ended_ = false;    // nothing more will be put into response_body()
  bool own_trailers_ = false;      // they are status_text_ and message_text_
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
  uint64_t first_message_bytes_ = 0;  // with its prefix, as that says; 0: not known yet
  uint64_t response_bytes_ = 0;
};

}  // namespace signalbox::proxy
