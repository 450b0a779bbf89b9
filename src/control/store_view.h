// The store as the rollout controller looks at it: every topic understood, all of one moment.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message.h"
#include "rollout/observation.h"
#include "store/store.h"

namespace signalbox::control {

// For one thread at a time.
class StoreView {
 public:
  // `store` must outlive it. Reads nothing yet.
  explicit StoreView(store::Store& store) : store_(store) {}

  // Reads what has changed. An error is one of the store's: what was read before stays, and the call can be repeated.
  // Content that is damaged, or not understood, is none: an older version of its topic stands in, and troubles() says
  // so.
  absl::Status Refresh();
  // The records of rollouts alone, which change without any topic.
  absl::Status RefreshRecords();

  // nullptr before the first Refresh that succeeded. Another one after each change.
  const std::shared_ptr<const rollout::ObservedStore>& observed() const { return observed_; }
  const std::vector<std::string>& troubles() const { return troubles_; }

 private:
  struct Version {
    int64_t version = 0;
    int64_t sequence = 0;
    std::string author;
    int64_t rollback_of = 0;
    std::shared_ptr<const google::protobuf::Message> content;
    absl::Status fault;
  };
  absl::Status TakePinned(const std::string& namespace_name, rollout::ObservedNamespace& of);
  template <typename Content>
  absl::Status Take(const store::LatestVersion& newest, rollout::Topic<Content>& topic);
  template <typename Content>
  static Version Parse(const store::VersionInfo& info, const absl::StatusOr<std::string>& content);
  static Version Unreadable(absl::Status fault);

  store::Store& store_;
  std::shared_ptr<const rollout::ObservedStore> observed_;
  std::vector<std::string> troubles_;
  // By topic, the version that stands for it, and the newest that was looked at for that.
  struct Known {
    int64_t newest = 0;
    Version used;
    std::string trouble;
  };
  std::map<std::string, Known, std::less<>> known_;
};

}  // namespace signalbox::control
