// The models of a host: what is on disk, what is in memory, and how one becomes the other.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/string_map.h"
#include "host/model.h"

namespace signalbox::host {

enum class ModelState { kUnavailable, kLoading, kReady };
// "UNAVAILABLE", "LOADING", "READY", as the protocol spells them.
std::string_view Name(ModelState state);

struct ModelIndexEntry {
  std::string name;
  int64_t version = 0;
  ModelState state = ModelState::kUnavailable;
  std::string reason;  // why it is not ready; empty otherwise
};

// A loaded version. Held by shared_ptr because requests in flight outlive an unload.
struct LoadedModel {
  std::string name;
  int64_t version = 0;
  std::shared_ptr<const Model> model;
  uint64_t memory_bytes = 0;  // of its files
};

// FOLDER/NAME/VERSION/, where NAME has letters, digits, '.', '_' and '-' (1 to 200, not starting with '.') and VERSION
// is a number from 1 without leading zeros. Anything else in the folder is not looked at. The folder is read again at
// every Load and Index: a version that was copied in later can be loaded without a restart.
//
// Thread-safe. Find takes no lock that a load holds while it reads or parses.
class Repository {
 public:
  // NOT_FOUND or FAILED_PRECONDITION when the folder is not one that can be listed. Loads nothing. `memory_bytes_max`:
  // what the files of all loaded models may have together; 0: no limit.
  static absl::StatusOr<std::unique_ptr<Repository>> Open(std::string folder, uint64_t memory_bytes_max = 0);

  // The version that answers: an empty `version` is the highest one that is loaded. NOT_FOUND when the folder has no
  // such model or version (the message lists what there is), UNAVAILABLE, with the reason, when it has and it is not
  // loaded, INVALID_ARGUMENT for a version that is not a number.
  absl::StatusOr<LoadedModel> Find(std::string_view name, std::string_view version) const;

  // Loaded versions of `name`, ascending.
  std::vector<int64_t> LoadedVersions(std::string_view name) const;

  // Loads `version`, or all versions when it is empty. What is loaded already stays as it is: versions are immutable.
  // Loads one at a time; blocks for as long as reading takes. NOT_FOUND as Find; FAILED_PRECONDITION with the reasons
  // when a version could not be loaded; the others are. RESOURCE_EXHAUSTED when one of the reasons is the memory.
  absl::Status Load(std::string_view name, std::string_view version);
  absl::Status LoadAll();

  // The version that is being loaded is finished; the others, now and later, are not loaded: CANCELLED.
  void StopLoading() { stopping_ = true; }

  // The reverse, for requests that come from now on. Nothing to unload is no error; NOT_FOUND as Find.
  absl::Status Unload(std::string_view name, std::string_view version);

  // Of the files of all loaded models. They take about as much in memory, which nobody can measure for each alone.
  uint64_t memory_bytes() const;
  uint64_t memory_bytes_max() const { return memory_bytes_max_; }

  // Everything in the folder or in memory, by name and version.
  std::vector<ModelIndexEntry> Index() const;

 private:
  struct Entry {
    ModelState state = ModelState::kUnavailable;
    std::string reason;
    std::shared_ptr<const Model> model;
    uint64_t memory_bytes = 0;
  };
  using Versions = std::map<int64_t, Entry>;

  Repository(std::string folder, uint64_t memory_bytes_max)
      : folder_(std::move(folder)), memory_bytes_max_(memory_bytes_max) {}
  // Makes `models_` follow the folder: adds what is new, forgets what is gone and not loaded.
  absl::Status Scan() const;
  absl::Status CheckMemory(uint64_t bytes) const;
  absl::Status LoadVersion(const std::string& name, int64_t version);
  // The versions of `name` that `version` means, loaded or not.
  absl::StatusOr<std::vector<int64_t>> Select(std::string_view name, std::string_view version) const;
  absl::Status UnknownModel(std::string_view name) const;
  absl::Status UnknownVersion(std::string_view name, std::string_view version, const Versions& versions) const;

  const std::string folder_;
  const uint64_t memory_bytes_max_;
  std::atomic<bool> stopping_ = false;
  std::mutex loading_;  // one load at a time; taken before mutex_
  mutable std::shared_mutex mutex_;
  mutable std::map<std::string, Versions, std::less<>> models_;
};

}  // namespace signalbox::host
