#include "store/etcd_client.h"

#include <fmt/format.h>
#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <string_view>
#include <thread>
#include <utility>

#include "base/status.h"

namespace signalbox::store {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Between two rounds through all members.
constexpr milliseconds kPause{50};
constexpr milliseconds kReconnectFirst{100};
constexpr milliseconds kReconnectMax{1000};
// Members close connections on which pings come more often than every 5 s.
constexpr milliseconds kKeepalive{6000};

std::shared_ptr<grpc::Channel> Connect(const std::string& endpoint, milliseconds timeout) {
  auto count = [](milliseconds time) { return static_cast<int>(time.count()); };
  grpc::ChannelArguments arguments;
  // Members limit what they are sent, not what they send: the contents of a whole store may come in one answer.
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, count(kKeepalive));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, count(timeout));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_MIN_SENT_PING_INTERVAL_WITHOUT_DATA_MS, count(kKeepalive));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, count(timeout));
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, count(kReconnectFirst));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, count(kReconnectMax));
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel("dns:///" + endpoint, grpc::InsecureChannelCredentials(), arguments);
}

bool Mentions(const grpc::Status& status, std::string_view words) {
  return std::string_view(status.error_message()).find(words) != std::string_view::npos;
}

}  // namespace

EtcdClient::EtcdClient(std::string store, const EtcdOptions& options)
    : store_(std::move(store)), request_timeout_(options.request_timeout), patience_(options.patience) {
  // Never shut down: its end, when the last channel goes, can take 10 s.
  [[maybe_unused]] static const bool kKeepGrpc = (grpc_init(), true);
  for (const std::string& endpoint : options.endpoints)
    members_.push_back({endpoint, Connect(endpoint, options.request_timeout)});
}

absl::StatusOr<etcd::RangeResponse> EtcdClient::Range(const etcd::RangeRequest& request) {
  return Ask<etcd::RangeResponse>([&](const Member& member, grpc::ClientContext& context, etcd::RangeResponse* answer) {
    return etcd::KV::NewStub(member.channel)->Range(&context, request, answer);
  });
}

absl::StatusOr<etcd::TxnResponse> EtcdClient::Read(const etcd::TxnRequest& request) {
  return Ask<etcd::TxnResponse>([&](const Member& member, grpc::ClientContext& context, etcd::TxnResponse* answer) {
    return etcd::KV::NewStub(member.channel)->Txn(&context, request, answer);
  });
}

absl::StatusOr<etcd::TxnResponse> EtcdClient::Commit(const etcd::TxnRequest& request) {
  return AskOnce<etcd::TxnResponse>([&](const Member& member, grpc::ClientContext& context, etcd::TxnResponse* answer) {
    return etcd::KV::NewStub(member.channel)->Txn(&context, request, answer);
  });
}

absl::StatusOr<int64_t> EtcdClient::GrantLease(int64_t seconds) {
  etcd::LeaseGrantRequest request;
  request.set_ttl(seconds);
  // A lease that was granted without our hearing of it has no keys, and ends by itself.
  ASSIGN_OR_RETURN(etcd::LeaseGrantResponse lease,
                   Ask<etcd::LeaseGrantResponse>(
                       [&](const Member& member, grpc::ClientContext& context, etcd::LeaseGrantResponse* answer) {
                         return etcd::Lease::NewStub(member.channel)->LeaseGrant(&context, request, answer);
                       }));
  return lease.id();
}

const EtcdClient::Member& EtcdClient::current() const {
  std::lock_guard lock(mutex_);
  return members_[current_];
}

template <typename Response>
absl::StatusOr<Response> EtcdClient::AskOnce(const Question<Response>& question) {
  const Member& member = current();
  int64_t revision_before = 0;
  {
    std::lock_guard lock(mutex_);
    revision_before = revision_;
  }
  grpc::ClientContext context;
  // A member that is cut off from the others then says so at once.
  context.AddMetadata("hasleader", "true");
  // Not the time of day, which jumps.
  context.set_deadline(
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(request_timeout_.count(), GPR_TIMESPAN)));
  Response answer;
  absl::Status status = ToStatus(question(member, context, &answer), member);
  if (status.ok()) status = CheckHeader(answer.header(), member, revision_before);
  if (absl::IsUnavailable(status)) PassOver(member);
  if (!status.ok()) return status;
  return answer;
}

template <typename Response>
absl::StatusOr<Response> EtcdClient::Ask(const Question<Response>& question) {
  const auto deadline = steady_clock::now() + patience_;
  std::vector<std::string> troubles;  // of the last round
  while (true) {
    absl::StatusOr<Response> answer = AskOnce<Response>(question);
    if (answer.ok() || !absl::IsUnavailable(answer.status())) return answer;
    if (troubles.size() == members_.size()) troubles.erase(troubles.begin());
    troubles.emplace_back(Message(answer.status()));
    if (steady_clock::now() >= deadline) {
      return absl::UnavailableError(fmt::format("store {}: no member of etcd could answer within {} ms; {}", store_,
                                                patience_.count(), fmt::join(troubles, "; ")));
    }
    if (troubles.size() == members_.size()) std::this_thread::sleep_for(kPause);
  }
}

absl::Status EtcdClient::CheckHeader(const etcd::ResponseHeader& header, const Member& member,
                                     int64_t revision_before) {
  std::lock_guard lock(mutex_);
  if (cluster_id_ == 0) cluster_id_ = header.cluster_id();
  if (header.cluster_id() != cluster_id_) {
    return absl::UnavailableError(
        fmt::format("{} belongs to another etcd cluster than the member that answered first", member.endpoint));
  }
  // Leases are granted outside of what revisions count, and their answers have none.
  if (header.revision() != 0 && header.revision() < revision_before) {
    return absl::UnavailableError(fmt::format("{} answered from the past: revision {}, {} is known; was it restored?",
                                              member.endpoint, header.revision(), revision_before));
  }
  revision_ = std::max(revision_, header.revision());
  return absl::OkStatus();
}

absl::Status EtcdClient::ToStatus(const grpc::Status& status, const Member& member) const {
  if (status.ok()) return absl::OkStatus();
  auto message = [&](std::string_view what) {
    return fmt::format("store {}: {} ({}: {})", store_, what, member.endpoint, status.error_message());
  };
  switch (status.error_code()) {
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      if (Mentions(status, "database space exceeded")) {
        return absl::ResourceExhaustedError(
            message("etcd's space is used up; nothing was written; make room (docs/operators.md) and try again"));
      }
      break;
    case grpc::StatusCode::INVALID_ARGUMENT:
      if (Mentions(status, "request is too large") || Mentions(status, "too many operations")) {
        return absl::ResourceExhaustedError(
            message("etcd takes less in a request than signalbox needs; nothing was written; start its members without "
                    "--max-request-bytes and --max-txn-ops, or with more"));
      }
      if (Mentions(status, "key not found")) return absl::NotFoundError(message("a part is missing"));
      if (Mentions(status, "user name is empty")) break;
      return absl::InternalError(message("unexpected"));
    case grpc::StatusCode::NOT_FOUND:
      // A lease that has ended before it was used.
      return absl::NotFoundError(message("a part is missing"));
    case grpc::StatusCode::UNIMPLEMENTED:
      return absl::FailedPreconditionError(message("this is no etcd of version 3.4 or later"));
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
      return absl::PermissionDeniedError(message("etcd asks for a user, which signalbox does not have"));
    default:
      break;
  }
  if (Mentions(status, "user name is empty"))
    return absl::PermissionDeniedError(message("etcd asks for a user, which signalbox does not have"));
  return absl::UnavailableError(fmt::format("{}: {}", member.endpoint, status.error_message()));
}

void EtcdClient::PassOver(const Member& member) {
  std::lock_guard lock(mutex_);
  // Another thread may have gone on already.
  if (&member == &members_[current_]) current_ = (current_ + 1) % members_.size();
}

}  // namespace signalbox::store
