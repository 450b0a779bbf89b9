// The store in etcd: for several machines. Several processes on any of them may use it at the same time.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "store/store.h"

namespace signalbox::store {

struct EtcdOptions {
  std::vector<std::string> endpoints;  // HOST:PORT of members of one cluster, in the order in which they are tried
  std::string prefix = "signalbox";    // of all keys
  bool create_if_missing = true;
  // How long one member has to answer one request, before another one is asked.
  std::chrono::milliseconds request_timeout{2000};
  // How long members are asked, one after the other, before a call fails: longer than the election of a leader takes.
  std::chrono::milliseconds patience{10'000};
  // How often a watch reads what it was not told. Events of etcd are a hint: 3.4 may lose and repeat them.
  std::chrono::milliseconds reread_interval{1000};
};

// "HOST:PORT[,HOST:PORT...][/PREFIX]", what follows "etcd:" in a spec. INVALID_ARGUMENT with an example.
absl::StatusOr<EtcdOptions> ParseEtcdSpec(std::string_view text);

// etcd 3.4 or later, over its gRPC interface without TLS and without users. Every read is linearizable, every write one
// transaction that compares all that it was made from; contents above what a request may hold are laid down in parts
// before, tied to a lease that only the transaction takes away, so that what is not finished goes by itself.
//
// Records expire by etcd's leases: in whole seconds, rounded up, 2 at least, and up to two seconds later than that.
absl::StatusOr<std::unique_ptr<Store>> OpenEtcdStore(EtcdOptions options);

}  // namespace signalbox::store
