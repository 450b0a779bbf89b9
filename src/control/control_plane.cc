#include "control/control_plane.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "base/printable.h"
#include "base/status.h"

namespace signalbox::control {
namespace {

using std::chrono::milliseconds;

// A wait on the store that nothing ends: only bounds how long a lost wake-up could go unnoticed.
constexpr milliseconds kWatchWait{1000};
constexpr milliseconds kStoreRetryFirst{100};
constexpr milliseconds kStoreRetryMax{2000};

class ControlPlaneImpl : public ControlPlane {
 public:
  ControlPlaneImpl(std::unique_ptr<store::Store> store, ControlOptions options)
      : options_(std::move(options)), store_(std::move(store)), composition_(*store_) {}
  ~ControlPlaneImpl() override { Stop(); }

  absl::Status Begin() {
    // Listens first: a process that cannot must not have published anything. Subscribers wait for the first snapshot.
    ASSIGN_OR_RETURN(distribution_, Distribution::Start(options_.distribution));
    ASSIGN_OR_RETURN(placement_, PlacementPublisher::Start(*store_, options_.placement));
    RETURN_IF_ERROR(composition_.Advance());
    ASSIGN_OR_RETURN(watch_, store_->WatchChanges(composition_.sequence()));
    Announce();
    thread_ = std::thread([this] { Run(); });
    return absl::OkStatus();
  }

  int port() const override { return distribution_->port(); }

  ControlStatus status() const override {
    ControlStatus status;
    {
      std::lock_guard lock(mutex_);
      status = status_of_store_;
    }
    status.placement = placement_->last_error();
    status.distribution = distribution_->status();
    return status;
  }

  void Stop() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      stop_.notify_all();
    }
    if (watch_ != nullptr) watch_->Stop();
    std::lock_guard lock(stop_mutex_);
    if (thread_.joinable()) thread_.join();
    if (distribution_ != nullptr) distribution_->Stop();
  }

 private:
  void Run() {
    milliseconds pause = kStoreRetryFirst;
    while (!stopping()) {
      absl::Status status = Follow();
      if (absl::IsCancelled(status)) return;
      NoteStore(status);
      if (status.ok()) {
        pause = kStoreRetryFirst;
        continue;
      }
      std::unique_lock lock(mutex_);
      stop_.wait_for(lock, pause, [this] { return stopping_; });
      pause = std::min(2 * pause, kStoreRetryMax);
    }
  }

  // What has changed by now, or changes within a while.
  absl::Status Follow() {
    ASSIGN_OR_RETURN(std::vector<store::VersionInfo> changes, watch_->Next(behind_ ? milliseconds(0) : kWatchWait));
    behind_ = behind_ || !changes.empty();
    if (!behind_) return absl::OkStatus();
    for (const store::VersionInfo& change : changes) {
      spdlog::info(
          "{} version {} by {}{}: sequence {}", change.topic, change.version, EscapeControlCharacters(change.author),
          change.rollback_of == 0 ? "" : fmt::format(" (rollback to version {})", change.rollback_of), change.sequence);
    }
    RETURN_IF_ERROR(composition_.Advance());
    behind_ = false;
    Announce();
    return absl::OkStatus();
  }

  void Announce() {
    const decide::Snapshot& snapshot = *composition_.snapshot();
    distribution_->Publish(snapshot);
    LogHeldBack();
    LogWarnings();
    std::lock_guard lock(mutex_);
    status_of_store_.version = snapshot.version();
    status_of_store_.hash = snapshot.hash();
    status_of_store_.created_unix_ms = snapshot.created_unix_ms();
    status_of_store_.held_back = composition_.held_back();
  }

  void LogHeldBack() {
    for (const HeldBack& held : composition_.held_back()) {
      const bool known = std::any_of(
          status_of_store_.held_back.begin(), status_of_store_.held_back.end(), [&](const HeldBack& before) {
            return before.topic == held.topic && before.newest_version == held.newest_version;
          });
      if (known) continue;
      spdlog::error("{} version {} cannot run and is held back; {}: {}", held.topic, held.newest_version,
                    held.running_version == 0 ? "no older one runs either"
                                              : fmt::format("version {} goes on running", held.running_version),
                    held.reason);
    }
  }

  // Each when it comes up.
  void LogWarnings() {
    for (const std::string& warning : composition_.warnings()) {
      if (std::find(warned_.begin(), warned_.end(), warning) == warned_.end()) spdlog::warn("{}", warning);
    }
    warned_ = composition_.warnings();
  }

  void NoteStore(const absl::Status& status) {
    std::lock_guard lock(mutex_);
    if (status == status_of_store_.store) return;
    if (status.ok()) {
      spdlog::info("the store is read again");
    } else {
      spdlog::error("{}; what was read last stays out", Message(status));
    }
    status_of_store_.store = status;
  }

  bool stopping() const {
    std::lock_guard lock(mutex_);
    return stopping_;
  }

  const ControlOptions options_;
  // Made in this order, and destroyed in the reverse.
  const std::unique_ptr<store::Store> store_;
  Composition composition_;          // of the thread, once it runs
  bool behind_ = false;              // of the thread: there are changes that are not composed yet
  std::vector<std::string> warned_;  // of the thread: the composition's warnings that were logged
  std::unique_ptr<store::Watch> watch_;
  std::unique_ptr<Distribution> distribution_;
  std::unique_ptr<PlacementPublisher> placement_;

  mutable std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;          // guarded by mutex_, as is the next
  ControlStatus status_of_store_;  // without placement and distribution
  std::mutex stop_mutex_;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ControlPlane>> ControlPlane::Start(ControlOptions options) {
  ASSIGN_OR_RETURN(std::unique_ptr<store::Store> store,
                   store::OpenStore(options.store, store::OpenMode::kCreateIfMissing));
  auto control = std::make_unique<ControlPlaneImpl>(std::move(store), std::move(options));
  RETURN_IF_ERROR(control->Begin());
  return control;
}

}  // namespace signalbox::control
