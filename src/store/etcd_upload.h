// Lays contents down in etcd before the transaction that makes them a version's. Internal to src/store.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "store/etcd_client.h"
#include "store/etcd_layout.h"

namespace signalbox::store {

// The contents of one batch, of which its transaction may need all or some. Small ones go with its transaction, as far
// as the request has room; others before it, in parts that a lease takes away unless the transaction takes the lease
// from them.
class EtcdUpload {
 public:
  // `id` is of this batch alone. `room_bytes`: for contents in the transaction.
  EtcdUpload(EtcdClient& client, const EtcdKeys& keys, std::string id, size_t room_bytes)
      : client_(client), keys_(keys), id_(std::move(id)), room_bytes_(room_bytes) {}

  // The name of its chunks. Nothing is sent yet. `content` must stay.
  std::string Add(std::string_view content);
  // Sends what must be there before the transaction. Again: starts anew.
  absl::Status Send();
  // The operations that make the content of this name stay.
  void AddTo(etcd::TxnRequest& transaction, std::string_view name) const;

 private:
  struct Part {
    std::string name;  // of the content
    std::string key;
    std::string_view bytes;
    bool goes_before = false;
  };

  EtcdClient& client_;
  const EtcdKeys& keys_;
  const std::string id_;
  size_t room_bytes_;
  size_t contents_ = 0;
  std::vector<Part> parts_;
};

}  // namespace signalbox::store
