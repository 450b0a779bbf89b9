// What a step writes: one batch at a time, each part of it with the version or revision that it was read at, so that
// what was worked out from a stale view is never written.
#pragma once

#include <string_view>

#include <deque>
#include <map>
#include <string>

#include "rollout/placement_draft.h"
#include "rollout/work.h"

namespace signalbox::rollout {

// Where the store has the record of a namespace's rollout: this and the name.
inline constexpr std::string_view kRolloutRecords = "rollout/";

class BatchWriter {
 public:
  // What has become of the batch before.
  void Observe(Work& work);
  // Puts what is new into `work.step`, unless another batch is under way or has just failed.
  void Write(Work& work, const PlacementDraft& draft);

  bool under_way() const { return under_way_; }
  // Whether everything that was written shows in what is read: nothing is under way, and nothing that the store did not
  // answer can still take effect.
  bool IsSettled(Wake& wake) const { return !under_way_ && wake.Passed(unsettled_until_ms_); }
  // Not null: only this namespace may change anything, because a batch of several was refused for what one of them had
  // in it.
  const std::string* only() const { return alone_.empty() ? nullptr : &alone_.front(); }
  // Not null: why the store does not take what this rollout wants to write.
  const std::string* Refusal(const Book& book) const;

 private:
  void TakeRefusal(const absl::Status& status);
  void Publish(Work& work, store::Batch& batch, std::string topic, const google::protobuf::Message& content,
               int64_t version, std::string message) const;
  void AddBook(Work& work, const Book& book, store::Batch& batch);

  bool under_way_ = false;
  int failures_ = 0;
  std::string told_;                        // the failure that the log has told of
  int64_t not_before_ms_ = 0;               // steady
  int64_t unsettled_until_ms_ = 0;          // steady
  int64_t progress_due_ms_ = 0;             // steady; progress alone is not written more often
  std::map<std::string, int64_t> writing_;  // namespaces of the batch under way, and the version that each rolls out
  std::deque<std::string> alone_;           // namespaces that are to write on their own, one after the other
  struct Refused {
    int64_t rules_version = 0;
    std::string reason;
  };
  std::map<std::string, Refused> refused_;  // by namespace
};

}  // namespace signalbox::rollout
