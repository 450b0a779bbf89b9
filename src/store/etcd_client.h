// Requests to the members of an etcd cluster: one after the other until one answers, with deadlines, and with errors
// that say who was asked. Internal to src/store.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "etcd/rpc.grpc.pb.h"
#include "store/etcd_store.h"

namespace signalbox::store {

namespace etcd = ::etcdserverpb;

// Thread-safe.
//
// An answer must be of the cluster that answered first, and never of a revision that is older than what was known when
// the question was asked: a member that breaks this is passed over like one that does not answer.
class EtcdClient {
 public:
  // `store`: for messages.
  EtcdClient(std::string store, const EtcdOptions& options);

  absl::StatusOr<etcd::RangeResponse> Range(const etcd::RangeRequest& request);
  // A transaction that only reads.
  absl::StatusOr<etcd::TxnResponse> Read(const etcd::TxnRequest& request);
  // One that writes and may be done several times, as often as it takes.
  absl::Status Repeat(const etcd::TxnRequest& request) { return Read(request).status(); }
  // One that writes, asked once. UNAVAILABLE: it may have been done, may be done later, or not at all. NOT_FOUND: a
  // lease or a key that it needs is gone; nothing was done.
  absl::StatusOr<etcd::TxnResponse> Commit(const etcd::TxnRequest& request);
  // The id of a lease that ends after `seconds`, or what etcd makes of it, unless it is revoked.
  absl::StatusOr<int64_t> GrantLease(int64_t seconds);

  // The member that is asked first now.
  struct Member {
    std::string endpoint;
    std::shared_ptr<grpc::Channel> channel;
  };
  const Member& current() const;

 private:
  template <typename Response>
  using Question = std::function<grpc::Status(const Member&, grpc::ClientContext&, Response*)>;

  // One member, once.
  template <typename Response>
  absl::StatusOr<Response> AskOnce(const Question<Response>& question);
  // All members, until one answers or patience ends.
  template <typename Response>
  absl::StatusOr<Response> Ask(const Question<Response>& question);

  absl::Status CheckHeader(const etcd::ResponseHeader& header, const Member& member, int64_t revision_before);
  absl::Status ToStatus(const grpc::Status& status, const Member& member) const;
  void PassOver(const Member& member);

  const std::string store_;
  const std::chrono::milliseconds request_timeout_;
  const std::chrono::milliseconds patience_;
  std::vector<Member> members_;

  mutable std::mutex mutex_;
  size_t current_ = 0;       // guarded by mutex_, as are the next
  uint64_t cluster_id_ = 0;  // 0: nobody has answered yet
  int64_t revision_ = 0;     // the newest that any answer was of
};

}  // namespace signalbox::store
