#include "control/leadership.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace signalbox::control {

std::optional<store::Fence> Leadership::fence() const {
  return fence_ && Clock::now() < valid_until_ ? fence_ : std::nullopt;
}

absl::Status Leadership::Keep(DataPlaneBook& book) {
  const bool due = Clock::now() >= next_;
  if (due) RETURN_IF_ERROR(Renew(book));
  if (due && !fence_) RETURN_IF_ERROR(Acquire());
  // News of data planes alone put nothing off: who hears much would never try to lead.
  if (due) next_ = Clock::now() + lease_ / 3;
  return Write(book);
}

absl::Status Leadership::Renew(DataPlaneBook& book) {
  const Clock::time_point start = Clock::now();
  // What it has said of its data planes may have been dropped while it was taken for gone.
  if (start >= present_until_) book.WriteAgain();
  store::Batch batch;
  batch.records.push_back(
      {.key = fmt::format("{}{}", kControlRecords, node_id_), .value = "", .expires_after = lease_});
  if (fence_) {
    batch.records.push_back({.key = std::string(kLeaderRecord), .value = node_id_, .expires_after = lease_});
    batch.fence = fence_;
  }
  absl::StatusOr<store::BatchResult> written = store_.Write(batch);
  if (absl::IsAborted(written.status()) && fence_) {
    // Not the leader any more. What else was to be said is said by the next turn.
    Lose();
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(written.status());
  present_until_ = start + lease_;
  // A part of the lease is kept back for what is under way when it ends: calls to hosts carry no fence.
  if (fence_) valid_until_ = start + lease_ * 2 / 3;
  return absl::OkStatus();
}

// Apart from the lease, which must not depend on how much there is to say.
absl::Status Leadership::Write(DataPlaneBook& book) {
  const std::optional<store::RecordWrite> data_planes = book.ToWrite();
  if (!data_planes) return absl::OkStatus();
  RETURN_IF_ERROR(store_.Write({.records = {*data_planes}}).status());
  book.Written(*data_planes);
  return absl::OkStatus();
}

absl::Status Leadership::Acquire() {
  ASSIGN_OR_RETURN(std::optional<store::Record> leader, store_.GetRecord(kLeaderRecord));
  leader_ = leader ? leader->value : "";
  if (leader) return absl::OkStatus();
  const Clock::time_point start = Clock::now();
  absl::StatusOr<store::BatchResult> written = store_.Write(
      {.publications = {},
       .records = {
           {.key = std::string(kLeaderRecord), .value = node_id_, .expected_revision = 0, .expires_after = lease_}}});
  if (absl::IsAborted(written.status())) return absl::OkStatus();  // another one was faster
  RETURN_IF_ERROR(written.status());
  fence_ = store::Fence{std::string(kLeaderRecord), written->records_revision};
  valid_until_ = start + lease_ * 2 / 3;
  leader_ = node_id_;
  return absl::OkStatus();
}

void Leadership::Release() {
  store::Batch batch;
  batch.records.push_back({.key = fmt::format("{}{}", kControlRecords, node_id_), .value = std::nullopt});
  if (fence_) {
    batch.records.push_back({.key = std::string(kLeaderRecord), .value = std::nullopt});
    batch.fence = fence_;
  }
  // Where it fails, it ends by itself.
  (void)store_.Write(batch);
  fence_.reset();
}

}  // namespace signalbox::control
