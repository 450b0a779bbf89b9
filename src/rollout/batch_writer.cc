#include "rollout/batch_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/canonical_json.h"
#include "base/printable.h"
#include "base/status.h"
#include "rollout/limits.h"

namespace signalbox::rollout {
namespace {

std::string ActiveTopicName(const std::string& name, const std::string& scope) {
  return scope.empty() ? fmt::format("active/{}", name) : fmt::format("active/{}/{}", name, scope);
}

bool IsNew(const Book& book) {
  return (book.HasCurrent() || !book.rollouts.past().empty()) && book.rollouts.SerializeAsString() != book.read;
}

// Only how far it is has changed: nobody waits for that.
bool IsProgressAlone(const Book& book) {
  v1::Rollouts read;
  return book.activations.empty() && read.ParseFromString(book.read) && read.has_current() &&
         read.current().rules_version() == book.current().rules_version() &&
         read.current().transitions_size() == book.current().transitions_size() &&
         read.past_size() == book.rollouts.past_size();
}

}  // namespace

void BatchWriter::Observe(Work& work) {
  if (!under_way_ || !work.seen.batch_status.has_value()) return;
  under_way_ = false;
  const absl::Status& status = *work.seen.batch_status;
  if (!alone_.empty()) alone_.pop_front();
  if (status.ok()) {
    failures_ = 0;
    told_.clear();
    return;
  }
  ++failures_;
  // Without an answer it may still take effect, later than what is read next.
  const bool was_answered =
      absl::IsAborted(status) || absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status);
  if (!was_answered) unsettled_until_ms_ = work.wake.now_ms() + kBatchSettledMs;
  // ABORTED: what was read was not the newest. What has been read since is looked at as if nothing had happened.
  if (absl::IsAborted(status) && failures_ < 3) return;
  if (absl::IsInvalidArgument(status)) TakeRefusal(status);
  const int64_t pause = std::min(kBatchRetryMaxMs, kBatchRetryFirstMs << std::min(failures_ - 1, 20));
  not_before_ms_ = work.wake.now_ms() + pause;
  if (told_ == Message(status)) return;
  told_ = Message(status);
  work.step.log.push_back(
      fmt::format("what has become of rollouts could not be written, and is tried again: {}", told_));
}

// The store will never take it. Whose fault it is shows when each writes alone; then only that one's rollout fails.
void BatchWriter::TakeRefusal(const absl::Status& status) {
  if (writing_.size() == 1) {
    refused_[writing_.begin()->first] = {writing_.begin()->second, std::string(Message(status))};
  } else if (alone_.empty()) {
    for (const auto& [name, version] : writing_) alone_.push_back(name);
  }
}

const std::string* BatchWriter::Refusal(const Book& book) const {
  const auto found = refused_.find(book.name);
  if (found == refused_.end() || !book.HasCurrent()) return nullptr;
  return found->second.rules_version == book.current().rules_version() ? &found->second.reason : nullptr;
}

void BatchWriter::Write(Work& work, const PlacementDraft& draft) {
  if (under_way_) return;
  std::vector<const Book*> books;
  bool is_progress_alone = !draft.Differs();
  for (const Book& book : work.books) {
    if (only() != nullptr && *only() != book.name) continue;
    if (!IsNew(book) && book.activations.empty()) continue;
    books.push_back(&book);
    is_progress_alone = is_progress_alone && IsProgressAlone(book);
  }
  if (books.empty() && !draft.Differs()) {
    alone_.clear();
    return;
  }
  if (!work.wake.Passed(is_progress_alone ? std::max(progress_due_ms_, not_before_ms_) : not_before_ms_)) return;
  progress_due_ms_ = work.wake.now_ms() + kProgressEveryMs;
  writing_.clear();

  store::Batch batch;
  if (draft.Differs()) {
    Publish(work, batch, std::string(store::kPlacementTopic), draft.Write(), work.store.placement.version,
            EscapeControlCharacters(draft.Summary()));
  }
  // Those that activate something first: the placement that goes with it is in this batch already.
  std::stable_partition(books.begin(), books.end(), [](const Book* book) { return !book->activations.empty(); });
  size_t records_bytes = 0;
  for (const Book* book : books) {
    const size_t bytes = book->rollouts.ByteSizeLong();
    const bool has_room = batch.records.size() < kBatchRecordsMax && records_bytes + bytes <= kBatchRecordBytesMax;
    if (book->activations.empty() && !batch.records.empty() && !has_room) break;  // the next batch has them
    records_bytes += bytes;
    AddBook(work, *book, batch);
  }
  batch.fence = work.seen.leadership;
  work.step.batch = std::move(batch);
  under_way_ = true;
}

void BatchWriter::AddBook(Work& work, const Book& book, store::Batch& batch) {
  writing_[book.name] = book.HasCurrent() ? book.current().rules_version() : 0;
  for (const v1::ActiveRules& active : book.activations) {
    const auto now = book.observed->active.find(active.scope());
    Publish(work, batch, ActiveTopicName(book.name, active.scope()), active,
            now == book.observed->active.end() ? 0 : now->second.version,
            active.rules_version() == 0
                ? "what runs everywhere"
                : fmt::format("rules version {} of {}", active.rules_version(), book.target->author));
  }
  if (!IsNew(book)) return;
  const auto& record = book.observed->rollout;
  batch.records.push_back({.key = fmt::format("{}{}", kRolloutRecords, book.name),
                           .value = book.rollouts.SerializeAsString(),
                           .expected_revision = record.has_value() ? record->revision : 0});
}

void BatchWriter::Publish(Work& work, store::Batch& batch, std::string topic, const google::protobuf::Message& content,
                          int64_t version, std::string message) const {
  absl::StatusOr<std::string> json = CanonicalJson(content);
  if (!json.ok()) {
    work.step.log.push_back(fmt::format("{}: {}", topic, Message(json.status())));
    return;
  }
  batch.publications.push_back({.topic = std::move(topic),
                                .content = *std::move(json),
                                .author = work.seen.node_id,
                                .message = std::move(message),
                                .expected = {.version = version}});
}

}  // namespace signalbox::rollout
