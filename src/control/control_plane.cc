#include "control/control_plane.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "base/canonical_json.h"
#include "base/printable.h"
#include "base/status.h"
#include "control/host_records.h"
#include "fleet/host_registry.h"
#include "signalbox/v1/fleet.pb.h"

namespace signalbox::control {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A wait on the store that nothing ends: only bounds how long a lost wake-up could go unnoticed.
constexpr milliseconds kWatchWait{1000};
// While a release is under way: subscribers of its scopes may come, for whom there is no snapshot yet.
constexpr milliseconds kScopesWait{100};
// What an outage of all control planes may take without a host being forgotten.
constexpr milliseconds kHostRecordKept = std::chrono::minutes(30);
// Longer than a wait on the store and what is put together after it. Who has read nothing for so long may have missed
// that a model was unloaded, and would send a new data plane there; and those that it serves would learn of nothing,
// although another control plane may have it.
constexpr milliseconds kUnreadMax{4000};
constexpr milliseconds kStoreRetryFirst{100};
constexpr milliseconds kStoreRetryMax{2000};

class ControlPlaneImpl : public ControlPlane {
 public:
  ControlPlaneImpl(std::unique_ptr<store::Store> store, ControlOptions options)
      : options_(std::move(options)),
        store_(std::move(store)),
        composition_(*store_),
        host_records_(*store_, kHostRecordKept),
        registry_(host_records_, {}) {}
  ~ControlPlaneImpl() override { Stop(); }

  absl::Status Begin() {
    // Listens first: a process that cannot must not have published anything. Subscribers wait for the first snapshot.
    DistributionOptions distribution = options_.distribution;
    distribution.on_report = [this] { SubscriberChanged(); };
    distribution.why_not_to_serve = [this] { return WhyNotToServe(); };
    distribution.services.push_back(&registry_);
    ASSIGN_OR_RETURN(distribution_, Distribution::Start(std::move(distribution)));
    FilePublisherOptions file = options_.placement.file.empty() ? options_.fleet : options_.placement;
    if (!options_.leader.node_id.empty()) file.node_id = options_.leader.node_id;
    if (!file.file.empty()) {
      const bool is_placement = !options_.placement.file.empty();
      ASSIGN_OR_RETURN(file_, FilePublisher::Start(*store_, is_placement ? PlacementFile() : FleetFile(), file));
    }
    const Clock::time_point begun = Clock::now();
    RETURN_IF_ERROR(composition_.Advance());
    last_read_ = begun;
    RETURN_IF_ERROR(OfferShards());
    ASSIGN_OR_RETURN(watch_, store_->WatchChanges(composition_.sequence()));
    Announce();
    {
      std::lock_guard lock(mutex_);
      leader_ = Leader::Start(
          *store_, [this] { return distribution_->status().subscribers; }, options_.leader);
    }
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
    if (file_ != nullptr) status.file = file_->last_error();
    status.distribution = distribution_->status();
    status.leader = leader_->status();
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
    if (leader_ != nullptr) leader_->Stop();
    if (distribution_ != nullptr) distribution_->Stop();
  }

 private:
  void Run() {
    milliseconds pause = kStoreRetryFirst;
    while (!stopping()) {
      absl::Status status = Follow();
      if (absl::IsCancelled(status)) return;
      if (status.ok()) last_read_ = Clock::now();
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

  // Nothing is out before the first reading: then there is nothing to be wrong about.
  std::string WhyNotToServe() const {
    const Clock::time_point last_read = last_read_;
    const Clock::duration unread = Clock::now() - last_read;
    if (last_read == Clock::time_point() || unread < kUnreadMax) return "";
    return fmt::format("this control plane has not read the store for {} s",
                       std::chrono::duration_cast<std::chrono::seconds>(unread).count());
  }

  // What has changed by now, or changes within a while.
  absl::Status Follow() {
    const milliseconds wait = composition_.scopes().empty() ? kWatchWait : kScopesWait;
    ASSIGN_OR_RETURN(std::vector<store::VersionInfo> changes, watch_->Next(behind_ ? milliseconds(0) : wait));
    behind_ = behind_ || !changes.empty();
    if (std::exchange(records_revision_, watch_->records_revision()) != watch_->records_revision()) {
      leader_->RecordsChanged();
    }
    if (!behind_) {
      AnnounceToNewScopes();
      return absl::OkStatus();
    }
    for (const store::VersionInfo& change : changes) {
      spdlog::info(
          "{} version {} by {}{}: sequence {}", change.topic, change.version, EscapeControlCharacters(change.author),
          change.rollback_of == 0 ? "" : fmt::format(" (rollback to version {})", change.rollback_of), change.sequence);
    }
    leader_->StoreChanged();
    // Kept until it has been looked at: the watch tells each change once, whatever becomes of it here.
    fleet_changed_ = fleet_changed_ ||
                     std::any_of(changes.begin(), changes.end(),
                                 [](const store::VersionInfo& change) { return change.topic == store::kFleetTopic; });
    if (fleet_changed_) RETURN_IF_ERROR(OfferShards());
    fleet_changed_ = false;
    RETURN_IF_ERROR(composition_.Advance());
    behind_ = false;
    Announce();
    return absl::OkStatus();
  }

  // Which shards hosts may join. A fleet that cannot be read changes nothing.
  absl::Status OfferShards() {
    absl::StatusOr<store::Version> stored = store_->Get(store::kFleetTopic, std::nullopt);
    if (absl::IsNotFound(stored.status()) || absl::IsDataLoss(stored.status())) return absl::OkStatus();
    RETURN_IF_ERROR(stored.status());
    v1::Fleet fleet;
    if (!ParseJson(stored->content, fleet).ok()) return absl::OkStatus();
    std::set<std::string> shards;
    for (const auto& [name, shard] : fleet.shards()) shards.insert(name);
    registry_.SetShards(std::move(shards));
    return absl::OkStatus();
  }

  // The scopes of subscribers, as far as they have rules of their own.
  std::set<std::vector<std::string>> ScopesToServe() const {
    std::set<std::vector<std::string>> sets;
    const std::vector<std::string>& in_use = composition_.scopes();
    if (in_use.empty()) return sets;
    for (const std::vector<std::string>& of_subscribers : distribution_->scope_sets()) {
      std::vector<std::string> scopes;
      std::set_intersection(in_use.begin(), in_use.end(), of_subscribers.begin(), of_subscribers.end(),
                            std::back_inserter(scopes));
      if (!scopes.empty()) sets.insert(std::move(scopes));
    }
    return sets;
  }

  void AnnounceToNewScopes() {
    std::set<std::vector<std::string>> scopes = ScopesToServe();
    if (!std::includes(served_.begin(), served_.end(), scopes.begin(), scopes.end())) Announce();
  }

  void SubscriberChanged() {
    std::lock_guard lock(mutex_);
    if (leader_ != nullptr) leader_->SubscriberChanged();
  }

  void Announce() {
    const decide::Snapshot& snapshot = *composition_.snapshot();
    served_ = ScopesToServe();
    Outgoing outgoing{composition_.snapshot(), composition_.scopes(), {}};
    for (const auto& scopes : served_) {
      outgoing.of_scopes.emplace(scopes, ScopedSnapshot{composition_.SnapshotOf(scopes), composition_.WhyNot(scopes)});
    }
    distribution_->Publish(std::move(outgoing));
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
  std::atomic<Clock::time_point> last_read_{};  // when all that was there had been read
  Composition composition_;                     // of the thread, once it runs
  int64_t records_revision_ = 0;                // of the thread: of the records that the leader was told of
  bool behind_ = false;                         // of the thread: there are changes that are not composed yet
  bool fleet_changed_ = false;                  // of the thread: and one of them is of the fleet
  std::set<std::vector<std::string>> served_;   // of the thread: the scopes for which snapshots are out
  std::vector<std::string> warned_;             // of the thread: the composition's warnings that were logged
  std::unique_ptr<store::Watch> watch_;
  HostRecords host_records_;
  fleet::HostRegistry registry_;  // the Distribution's server calls it
  std::unique_ptr<Distribution> distribution_;
  std::unique_ptr<FilePublisher> file_;
  std::unique_ptr<Leader> leader_;  // set under mutex_, and not changed after

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
