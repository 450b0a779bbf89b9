// A store that hands everything on to another one: for tests that change what single calls do.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace signalbox::store {

class ForwardingStore : public Store {
 public:
  // `to` outlives it.
  explicit ForwardingStore(Store& to) : to_(to) {}

  absl::StatusOr<BatchResult> Write(const Batch& batch) override { return to_.Write(batch); }
  absl::StatusOr<Published> Publish(const Publication& publication) override { return to_.Publish(publication); }
  absl::StatusOr<Published> Rollback(const Restoration& restoration) override { return to_.Rollback(restoration); }
  absl::StatusOr<Version> Get(std::string_view topic, std::optional<int64_t> version) override {
    return to_.Get(topic, version);
  }
  absl::StatusOr<std::vector<VersionInfo>> History(std::string_view topic, size_t versions_max) override {
    return to_.History(topic, versions_max);
  }
  absl::StatusOr<std::vector<VersionInfo>> Changes(int64_t after_sequence, size_t changes_max) override {
    return to_.Changes(after_sequence, changes_max);
  }
  absl::StatusOr<LatestVersions> Latest() override { return to_.Latest(); }
  absl::StatusOr<std::unique_ptr<Watch>> WatchChanges(int64_t after_sequence) override {
    return to_.WatchChanges(after_sequence);
  }
  absl::StatusOr<std::vector<Record>> Records(std::string_view prefix) override { return to_.Records(prefix); }
  absl::StatusOr<std::optional<Record>> GetRecord(std::string_view key) override { return to_.GetRecord(key); }
  absl::StatusOr<size_t> Prune(std::string_view topic, size_t keep_newest, const std::set<int64_t>& keep) override {
    return to_.Prune(topic, keep_newest, keep);
  }
  absl::Status Import(const std::vector<Version>& versions) override { return to_.Import(versions); }
  const std::string& name() const override { return to_.name(); }

 protected:
  Store& to() { return to_; }

 private:
  Store& to_;
};

}  // namespace signalbox::store
