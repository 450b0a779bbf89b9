#include "store/etcd_upload.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/status.h"

namespace signalbox::store {
namespace {

// Larger ones go before the transaction even where there is room: so that one of them does not take it from many.
constexpr size_t kSmallContentBytesMax = 64U << 10;
// From the first part to the transaction: the largest batch within the patience of a client, with room to spare.
constexpr int64_t kLeaseSeconds = 120;

}  // namespace

std::string EtcdUpload::Add(std::string_view content) {
  std::string name = fmt::format("{}-{}", id_, contents_++);
  const bool goes_before = content.size() > std::min(kSmallContentBytesMax, room_bytes_);
  if (!goes_before) room_bytes_ -= content.size();
  for (size_t offset = 0; offset < content.size(); offset += kChunkBytes)
    parts_.push_back({name, keys_.Chunk(name, offset / kChunkBytes), content.substr(offset, kChunkBytes), goes_before});
  return name;
}

absl::Status EtcdUpload::Send() {
  if (std::none_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.goes_before; }))
    return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t lease, client_.GrantLease(kLeaseSeconds));
  for (const Part& part : parts_) {
    if (!part.goes_before) continue;
    etcd::TxnRequest put;
    AddPut(put, part.key, std::string(part.bytes)).set_lease(lease);
    // Twice is as good as once: the transaction decides.
    RETURN_IF_ERROR(client_.Repeat(put));
  }
  return absl::OkStatus();
}

void EtcdUpload::AddTo(etcd::TxnRequest& transaction, std::string_view name) const {
  for (const Part& part : parts_) {
    if (part.name != name) continue;
    etcd::PutRequest& put = AddPut(transaction, part.key, part.goes_before ? std::string() : std::string(part.bytes));
    // As it is, but without its lease. An error when it is gone.
    put.set_ignore_value(part.goes_before);
  }
}

}  // namespace signalbox::store
