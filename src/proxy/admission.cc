// The stages of a request at which it may be refused, and what becomes of what it was given.
#include "proxy/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "base/status.h"
#include "decide/decide.h"
#include "proxy/host.h"
#include "proxy/request.h"
#include "proxy/routes.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

using limit::PriorityClass;
using std::chrono::milliseconds;

// Where nothing says when there will be room. Clients that all came back at once would only be refused at once again.
constexpr milliseconds kBusyFor{50};
constexpr milliseconds kOverloadedFor{500};
// One that has no more waiting than this is not what fills a bulkhead.
constexpr int64_t kHarmlessBytes = 64 << 10;
constexpr int kDeadlineExceeded = static_cast<int>(absl::StatusCode::kDeadlineExceeded);
constexpr int kResourceExhausted = static_cast<int>(absl::StatusCode::kResourceExhausted);

PriorityClass ClassOf(const decide::Policy* policy, decide::TrafficType traffic) {
  const v1::Limits::Priority priority = policy == nullptr ? v1::Limits::NORMAL : policy->limits.priority;
  const int live = priority == v1::Limits::HIGH ? 0 : priority == v1::Limits::LOW ? 2 : 1;
  return static_cast<PriorityClass>(live + (traffic == decide::TrafficType::kLive ? 0 : 1));
}

limit::Limits LimitsOf(const decide::Policy::Limits& limits) {
  limit::Limits declared{.requests_per_second = limits.requests_per_second,
                         .burst = limits.burst,
                         .concurrent_requests = limits.concurrent_requests,
                         .adaptive = limits.concurrency_is_adaptive};
  if (limits.adaptive_min != 0) declared.adaptive_bounds.min = limits.adaptive_min;
  if (limits.adaptive_max != 0) declared.adaptive_bounds.max = limits.adaptive_max;
  return declared;
}

uint64_t Number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

std::string Whose(const decide::Decision& decision, std::string_view tenant, bool tenant_is_shared) {
  const std::string of_tenant = tenant_is_shared ? std::string("tenants beyond those that have a limit of their own")
                                : tenant.empty() ? std::string("requests without a tenant")
                                                 : fmt::format("tenant {}", tenant);
  return fmt::format("Objective {}, model {}, {}", decision.answer->objective, decision.answer->model->id, of_tenant);
}

// `50 in this proxy, one of 4 that share 200`, or the number alone.
std::string Value(const limit::Refusal& refusal) {
  if (refusal.proxies <= 1) return fmt::format("{:g}", refusal.value);
  return fmt::format("{:g} in this proxy, which is one of {} that share {:g}", refusal.value, refusal.proxies,
                     refusal.declared);
}

}  // namespace

absl::Status Request::Refuse(RefusedBy by, milliseconds retry_after, std::string message) {
  refusal_ = {.refused = true,
              .by = by,
              .priority = ClassOf(decision_.policy, context_.context.traffic_type),
              .retry_after = retry_after};
  if (retry_after >= milliseconds(0)) {
    // Up to twice as long, so that those who were refused together do not come back together.
    const uint64_t spread = static_cast<uint64_t>(std::max<int64_t>(1, retry_after.count()));
    refusal_.retry_after += milliseconds(worker_.NextDecisionId() % spread);
  }
  return absl::ResourceExhaustedError(message);
}

// Before anything is done for it: no platform is asked, no host looked for, and of the body no more is read than the
// Objective needed.
absl::Status Request::AdmitToWorker() {
  limit::Overload& overload = worker_.admission().overload;
  if (!overload.sheds()) {
    overload.Count();
    return absl::OkStatus();
  }
  // What platforms say does not change the policy.
  const decide::Decision decision = decide::Decide(routes_->snapshot(), context_.context);
  if (decision.answer == nullptr) return absl::OkStatus();  // the next stage says so
  const PriorityClass priority = ClassOf(decision.policy, context_.context.traffic_type);
  if (overload.Admit(priority, worker_.NextDecisionId())) return absl::OkStatus();
  absl::Status status = Refuse(
      RefusedBy::kOverload, kOverloadedFor,
      fmt::format(
          "this proxy is overloaded (its work waits for {:.1f} ms) and lets in {:.0f}% of the priority class "
          "{}: ask again later; more workers or proxies, or a higher priority in the policy of Objective {}, help",
          std::chrono::duration<double, std::milli>(overload.delay()).count(), 100 * overload.share(priority),
          limit::Name(priority), decision.answer->objective));
  refusal_.priority = priority;
  return status;
}

// The limits of the Objective, and of the model that was decided on. A fallback that takes its place has none of its
// own: what it is given was admitted already.
absl::Status Request::Admit() {
  RETURN_IF_ERROR(EnterBulkhead());
  const decide::Policy* policy = decision_.policy;
  if (policy == nullptr) return absl::OkStatus();
  admitted_.payload_bytes_max = policy->limits.payload_bytes;
  RETURN_IF_ERROR(CheckPayload());
  const limit::Limits limits = LimitsOf(policy->limits);
  if (!limits.any()) return absl::OkStatus();
  const decide::RequestContext& context = context_.context;
  const limit::Key key{.objective = decision_.answer->objective,
                       .tenant = context.tenant,
                       .model = decision_.answer->model->id,
                       .policy = policy->name};
  const limit::Refusal refusal = worker_.admission().limits.Admit(key, limits, ClassOf(policy, context.traffic_type),
                                                                  context.traffic_type != decide::TrafficType::kLive,
                                                                  worker_.ReadClock(), admitted_.lease);
  if (refusal.limit == limit::Limit::kNone) return absl::OkStatus();
  const std::string whose = Whose(decision_, context.tenant, refusal.tenant_is_shared);
  if (refusal.limit == limit::Limit::kRate) {
    return Refuse(RefusedBy::kRate, std::chrono::ceil<milliseconds>(refusal.wait),
                  fmt::format("more than {} requests a second (requestsPerSecond of policy {}) for {}: send fewer, or "
                              "raise the limit",
                              Value(refusal), policy->name, whose));
  }
  if (refusal.limit == limit::Limit::kConcurrency) {
    return Refuse(RefusedBy::kConcurrency, kBusyFor,
                  fmt::format("more than {} requests at a time (concurrentRequests of policy {}) for {}: wait for "
                              "answers before sending more, or raise the limit",
                              Value(refusal), policy->name, whose));
  }
  return Refuse(RefusedBy::kConcurrency, kBusyFor,
                fmt::format("more than the {:g} requests at a time that the model's latency lets through now "
                            "(adaptiveConcurrency of policy {}, priority class {}) for {}: wait for answers before "
                            "sending more; more hosts raise it",
                            refusal.value, policy->name, limit::Name(ClassOf(policy, context.traffic_type)), whose));
}

absl::Status Request::EnterBulkhead() {
  const decide::Policy::Bulkhead bulkhead =
      decision_.policy == nullptr ? decide::Policy::Bulkhead{} : decision_.policy->bulkhead;
  const uint32_t requests_max = bulkhead.requests == 0 ? limit::kBulkheadRequests : bulkhead.requests;
  admitted_.buffered_bytes_max = bulkhead.buffered_bytes == 0 ? limit::kBulkheadBytes : bulkhead.buffered_bytes;
  const std::string_view objective = decision_.answer->objective;
  using Full = limit::WorkerBulkheads::Full;
  const Full full =
      worker_.admission().bulkheads.Enter(objective, requests_max, admitted_.buffered_bytes_max, admitted_.berth);
  const std::string_view policy = decision_.policy == nullptr ? "its policy" : decision_.policy->name;
  if (full == Full::kRequests) {
    return Refuse(RefusedBy::kBulkhead, kBusyFor,
                  fmt::format("Objective {} has {} requests open in this proxy, which is what its bulkhead holds: wait "
                              "for answers before sending more, or raise bulkhead.requests of {}",
                              objective, requests_max, policy));
  }
  if (full == Full::kBytes) {
    return Refuse(RefusedBy::kBulkhead, kBusyFor,
                  fmt::format("Objective {} has {} bytes waiting in this proxy, which is what its bulkhead holds: "
                              "clients or hosts do not read what is sent to them; see to these, or raise "
                              "bulkhead.bufferedBytes of {}",
                              objective, admitted_.buffered_bytes_max, policy));
  }
  return absl::OkStatus();
}

// As soon as it can be known: from content-length, from the prefix of the first message, else when it has come.
absl::Status Request::CheckPayload() {
  const uint64_t bytes_max = admitted_.payload_bytes_max;
  if (bytes_max == 0) return absl::OkStatus();
  const uint64_t announced = std::max(Number(request_headers_.Find("content-length")), first_message_bytes_);
  const uint64_t bytes = std::max(request_bytes_, announced);
  if (bytes <= bytes_max) return absl::OkStatus();
  return Refuse(
      RefusedBy::kPayload, milliseconds(-1),
      fmt::format("the request has {} bytes or more, and payloadBytes of policy {} for Objective {} is {}: send "
                  "less in one request, or raise the limit",
                  bytes, decision_.policy->name, decision_.answer->objective, bytes_max));
}

absl::Status Request::AccountBytes() {
  limit::Berth& berth = admitted_.berth;
  if (!berth.SetBytes(body_.bytes() + response_body().bytes())) return absl::OkStatus();
  if (berth.counted_bytes() <= kHarmlessBytes) return absl::OkStatus();
  // New ones are refused from there on. What is open already could go on to fill the memory that all share.
  const auto bytes =
      static_cast<uint64_t>(std::max<int64_t>(0, berth.bulkhead()->bytes.load(std::memory_order_relaxed)));
  if (bytes <= 2 * admitted_.buffered_bytes_max) return absl::OkStatus();
  return Refuse(RefusedBy::kBulkhead, kOverloadedFor,
                fmt::format("Objective {} has {} bytes waiting in this proxy, twice what its bulkhead holds, and this "
                            "request {} of them: its client or its host does not read; see to these, or raise "
                            "bulkhead.bufferedBytes",
                            berth.bulkhead()->objective, bytes, berth.counted_bytes()));
}

Lane Request::lane() const {
  const uint32_t declared = decision_.policy == nullptr ? 0 : decision_.policy->bulkhead.connections_per_host;
  return {.objective = admitted_.berth.bulkhead(),
          .connections_max = declared == 0 ? static_cast<uint32_t>(kConnectionsPerHostMax) : declared};
}

// Once: when the model has answered, or nothing more is expected of it.
void Request::ReturnLease() {
  limit::Lease lease = std::move(admitted_.lease);
  if (!lease.held()) return;
  const Time none{};
  if (response_ended_ && !own_trailers_ && answered_ != none && dispatched_ != none) {
    // What a model refuses it refuses fast: that says nothing of how long it takes.
    if (grpc_status_ == kResourceExhausted || grpc_status_ == kDeadlineExceeded) return lease.OnOverload(worker_.now());
    if (grpc_status_ == 0) lease.OnAnswer(worker_.now(), answered_ - dispatched_);
  } else if (own_trailers_ && grpc_status_ == kDeadlineExceeded && host_ != nullptr) {
    lease.OnOverload(worker_.now());
  }
}

// `grpc-retry-pushback-ms` as gRPC's retry design has it, where below 0 means not to try again; `retry-after` in
// seconds, rounded up.
void Request::AddRefusalHeaders(HeaderFields& fields) {
  if (!refusal_.refused) return;
  const int64_t ms = refusal_.retry_after.count();
  auto write = [](std::array<char, 24>& text, int64_t value) {
    return std::string_view(text.data(),
                            std::to_chars(text.data(), text.data() + text.size(), value).ptr - text.data());
  };
  fields.AddUnique("grpc-retry-pushback-ms", write(pushback_text_, ms));
  if (ms >= 0) fields.AddUnique("retry-after", write(retry_after_text_, (ms + 999) / 1000));
}

}  // namespace signalbox::proxy
