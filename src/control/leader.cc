#include "control/leader.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "base/status.h"
#include "base/unix_time.h"
#include "control/data_plane_book.h"
#include "control/host_records.h"
#include "control/leadership.h"
#include "control/placement_explanation.h"
#include "control/store_view.h"
#include "fleet/fleet.h"
#include "signalbox/v1/registration.pb.h"

namespace signalbox::control {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The longest that a change at a host or a data plane may wait: their signals only make it sooner.
constexpr milliseconds kPauseMax{1000};
constexpr milliseconds kPauseAfterError{500};
// A thousand data planes acknowledge a snapshot one by one: they are heard together, and written in one record.
constexpr milliseconds kHearInterval{50};
constexpr milliseconds kExplanationInterval{1000};
constexpr milliseconds kRetentionInterval = std::chrono::hours(1);
// More than a composition looks back for one that it can read.
constexpr size_t kContentsKept = 250;

// Hosts know no fence: what would hurt a successor, to unload what it has found loaded, must have ended before there
// can be one. A command is sent in the first two thirds of the lease (Leadership::fence).
LeaderOptions WithUnloadsWithinTheLease(LeaderOptions options) {
  options.controller.unload_timeout = options.lease / 3;
  return options;
}

class LeaderImpl : public Leader {
 public:
  LeaderImpl(store::Store& store, std::function<std::vector<SubscriberInfo>()> subscribers, LeaderOptions options)
      : options_(WithUnloadsWithinTheLease(std::move(options))),
        store_(store),
        subscribers_(std::move(subscribers)),
        book_(options_.node_id, options_.controller.forget_data_plane_after),
        leadership_(store, options_.node_id, options_.lease),
        view_(store),
        fleet_(fleet::Fleet::Start({}, [this] { Wake(); })) {
    thread_ = std::thread([this] { Run(); });
  }
  ~LeaderImpl() override { Stop(); }

  void StoreChanged() override {
    std::lock_guard lock(mutex_);
    store_changed_ = woken_ = true;
    wake_.notify_one();
  }
  void RecordsChanged() override {
    std::lock_guard lock(mutex_);
    records_changed_ = woken_ = true;
    wake_.notify_one();
  }
  void SubscriberChanged() override {
    std::lock_guard lock(mutex_);
    if (std::exchange(reported_, true)) return;
    wake_.notify_one();
  }

  LeaderStatus status() const override {
    std::lock_guard lock(mutex_);
    return now_;
  }

  void Stop() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      wake_.notify_one();
    }
    std::lock_guard lock(stop_mutex_);
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Wake() {
    std::lock_guard lock(mutex_);
    woken_ = true;
    wake_.notify_one();
  }

  void Run() {
    while (true) {
      milliseconds pause = kPauseMax;
      absl::Status status = Turn(pause);
      NoteStatus(status);
      if (!status.ok()) {
        pause = kPauseAfterError;
        book_.StoreIsAway(Now());
      }
      const bool keeps_lease = status.ok() && managed_;
      const auto until = std::min(Clock::now() + pause, keeps_lease ? leadership_.next() : Clock::time_point::max());
      std::unique_lock lock(mutex_);
      wake_.wait_until(lock, until, [this] { return stopping_ || woken_ || reported_; });
      wake_.wait_until(lock, std::min(until, next_hearing_), [this] { return stopping_ || woken_; });
      if (stopping_) break;
      woken_ = false;
      if (Clock::now() >= next_hearing_) reported_ = false;  // this turn hears it
      view_is_old_ = view_is_old_ || std::exchange(store_changed_, false);
      if (std::exchange(records_changed_, false)) next_poll_ = {};
    }
    fleet_->Stop();
    if (managed_) leadership_.Release();
  }

  absl::Status Turn(milliseconds& pause) {
    // In a store that is not managed there is nothing to lead. It is not written to either: of a SQLite file, a process
    // that is stopped in the middle of a write keeps all others from writing.
    ASSIGN_OR_RETURN(managed_, IsManaged());
    if (!managed_) return absl::OkStatus();
    if (!book_is_read_) {
      // Before it is written: what an earlier life of this control plane knew must not be lost.
      ASSIGN_OR_RETURN(const std::vector<store::Record> records, store_.Records(kDataPlaneRecords));
      book_.Read(records, {}, Now());
      book_is_read_ = true;
    }
    Hear();
    RETURN_IF_ERROR(leadership_.Keep(book_));
    const std::optional<store::Fence> fence = leadership_.fence();
    if (!fence) {
      Follow();
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(Look());
    if (!view_.observed()->fleet.content) return absl::OkStatus();  // it cannot be read
    if (controller_ == nullptr) {
      spdlog::info("this control plane, {}, leads from now on", options_.node_id);
      controller_ = std::make_unique<rollout::Controller>(options_.controller);
      batch_status_ = absl::OkStatus();
    }
    const rollout::Step step = controller_->Next(Observe(*fence));
    for (const std::string& line : step.log) spdlog::info("{}", line);
    batch_status_.reset();
    absl::Status written;
    if (step.batch) {
      written = Write(*step.batch, *fence);
      pause = milliseconds(0);
    } else {
      batch_status_ = absl::OkStatus();
      pause = std::min(step.wake_after, kPauseMax);
    }
    // Whatever has become of the batch: the controller counts them as under way from now on.
    Execute(step.commands);
    RETURN_IF_ERROR(written);
    RETURN_IF_ERROR(Explain(*fence));
    RETURN_IF_ERROR(DropAbandonedRecords(*fence));
    return DropOldContents(pause);
  }

  static DataPlaneBook::Moment Now() {
    return {NowUnixMs(), std::chrono::duration_cast<milliseconds>(Clock::now().time_since_epoch()).count()};
  }

  // Of control planes that are gone for good. One that has come back meanwhile has written its record again.
  absl::Status DropAbandonedRecords(const store::Fence& fence) {
    for (store::RecordWrite& record : book_.TakeAbandoned()) {
      const std::string key = record.key;
      absl::Status status = store_.Write({.publications = {}, .records = {std::move(record)}, .fence = fence}).status();
      if (status.ok()) spdlog::info("{}: this control plane has been away for so long that it is forgotten", key);
      if (!status.ok() && !absl::IsAborted(status)) return status;
    }
    return absl::OkStatus();
  }

  void Hear() {
    if (Clock::now() < next_hearing_) return;
    book_.Hear(subscribers_(), Now());
    next_hearing_ = Clock::now() + kHearInterval;
  }

  void Execute(std::vector<rollout::HostCommand> commands) {
    if (commands.empty()) return;
    if (!leadership_.fence()) {
      for (const rollout::HostCommand& command : commands) {
        rollout::CommandResult& result = not_begun_.emplace_back();
        result.kind = command.kind;
        result.host = command.host;
        result.instance = command.instance;
        result.model = command.model;
        result.status = absl::AbortedError("this control plane may not lead any more");
        result.begun = false;
      }
      return;
    }
    fleet_->Execute(std::move(commands));
  }

  // Each activation copies its rules, each change of a host writes the placement: their history stays, their contents
  // need not.
  //
  // One topic in a turn: what else a leader has to do must not wait for all of them.
  absl::Status DropOldContents(milliseconds& pause) {
    if (Clock::now() >= next_retention_) {
      next_retention_ = Clock::now() + kRetentionInterval;
      ASSIGN_OR_RETURN(const store::LatestVersions latest, store_.Latest());
      to_prune_.clear();
      for (const store::LatestVersion& newest : latest.topics) {
        const std::string& topic = newest.info.topic;
        if (topic == store::kPlacementTopic || store::NameOfActiveTopic(topic)) to_prune_.push_back(topic);
      }
    }
    if (to_prune_.empty()) return absl::OkStatus();
    const std::string topic = std::move(to_prune_.back());
    to_prune_.pop_back();
    if (!to_prune_.empty()) pause = milliseconds(0);
    return store_.Prune(topic, kContentsKept, {}).status();
  }

  // For people: now and then is often enough.
  absl::Status Explain(const store::Fence& fence) {
    if (Clock::now() < next_explanation_) return absl::OkStatus();
    next_explanation_ = Clock::now() + kExplanationInterval;
    std::string explanation = Explanation(controller_->placement(), options_.node_id).SerializeAsString();
    if (explanation == explained_) return absl::OkStatus();
    absl::Status status = store_
                              .Write({.publications = {},
                                      .records = {{.key = std::string(kExplanationRecord), .value = explanation}},
                                      .fence = fence})
                              .status();
    if (status.ok()) explained_ = std::move(explanation);
    return absl::IsAborted(status) ? absl::OkStatus() : status;
  }

  absl::StatusOr<bool> IsManaged() {
    if (managed_ || !view_is_old_) return managed_;
    absl::Status status = store_.History(store::kFleetTopic, 1).status();
    if (!status.ok() && !absl::IsNotFound(status)) return status;
    view_is_old_ = status.ok();
    return status.ok();
  }

  // Another one leads: what was found out about hosts is of no use to anybody any more, and not to be told either.
  void Follow() {
    if (!std::exchange(looks_, false)) return;
    if (controller_ != nullptr) {
      spdlog::warn("this control plane, {}, does not lead any more", options_.node_id);
    }
    controller_.reset();
    not_begun_.clear();
    fleet_->SetHosts({});
    host_troubles_.clear();
    explained_.clear();  // the other one writes that record; when this one leads again it is to write its own
    std::lock_guard lock(mutex_);
    now_.hosts = now_.hosts_alive = 0;
    now_.troubles.clear();
  }

  absl::Status Look() {
    looks_ = true;
    const Clock::time_point now = Clock::now();
    if (view_.observed() == nullptr || view_is_old_) {
      RETURN_IF_ERROR(view_.Refresh());
      view_is_old_ = false;
    } else if (now < next_poll_) {
      return absl::OkStatus();
    } else {
      RETURN_IF_ERROR(view_.RefreshRecords());
    }
    next_poll_ = now + options_.poll_interval;
    ASSIGN_OR_RETURN(const std::vector<store::Record> records, store_.Records(""));
    std::set<std::string> living;
    std::vector<v1::HostIdentity> registered;
    for (const store::Record& record : records) {
      if (record.key.starts_with(kControlRecords)) living.insert(record.key.substr(kControlRecords.size()));
      v1::HostIdentity host;
      if (record.key.starts_with(kHostRecords) && host.ParseFromString(record.value)) {
        registered.push_back(std::move(host));
      }
    }
    book_.Read(records, living, Now());
    if (view_.observed()->fleet.content) {
      fleet::KnownHosts known = fleet::JoinHosts(*view_.observed()->fleet.content, registered);
      fleet_->SetHosts(std::move(known.hosts));
      host_troubles_ = std::move(known.troubles);
    }
    return absl::OkStatus();
  }

  rollout::Observation Observe(const store::Fence& fence) {
    rollout::Observation observation;
    observation.now_unix_ms = NowUnixMs();
    observation.steady_ms = std::chrono::duration_cast<milliseconds>(Clock::now().time_since_epoch()).count();
    observation.node_id = options_.node_id;
    observation.leadership = fence;
    observation.store = view_.observed();
    observation.results = fleet_->TakeResults();  // before the hosts: their indexes then have what the results say
    observation.results.insert(observation.results.end(), not_begun_.begin(), not_begun_.end());
    not_begun_.clear();
    observation.hosts = fleet_->Observe();
    observation.host_troubles = host_troubles_;
    observation.data_planes = book_.All();
    observation.batch_status = batch_status_;
    std::lock_guard lock(mutex_);
    now_.hosts = observation.hosts.size();
    now_.hosts_alive = static_cast<size_t>(
        std::count_if(observation.hosts.begin(), observation.hosts.end(), [](const auto& host) { return host.alive; }));
    now_.troubles = view_.troubles();
    now_.troubles.insert(now_.troubles.end(), observation.host_troubles.begin(), observation.host_troubles.end());
    return observation;
  }

  // What was expected and did not hold any more is not an error: the next step sees what is there now.
  absl::Status Write(store::Batch batch, const store::Fence& fence) {
    batch.fence = fence;
    absl::Status status = store_.Write(batch).status();
    view_is_old_ = true;
    batch_status_ = status;
    if (!absl::IsAborted(status)) return status;
    spdlog::info("looking again before writing: {}", Message(status));
    return absl::OkStatus();
  }

  void NoteStatus(const absl::Status& status) {
    std::lock_guard lock(mutex_);
    now_.leads = leadership_.fence().has_value();
    now_.leader = leadership_.leader();
    if (status == now_.store) return;
    if (!status.ok()) spdlog::error("rollouts wait: {}", Message(status));
    now_.store = status;
  }

  const LeaderOptions options_;
  store::Store& store_;
  const std::function<std::vector<SubscriberInfo>()> subscribers_;

  // Of the thread.
  DataPlaneBook book_;
  bool book_is_read_ = false;
  Leadership leadership_;
  StoreView view_;
  bool managed_ = false;
  bool view_is_old_ = true;
  bool looks_ = false;  // it has looked for hosts since it leads
  Clock::time_point next_hearing_{};
  Clock::time_point next_poll_{};
  std::unique_ptr<rollout::Controller> controller_;  // while this one leads
  std::optional<absl::Status> batch_status_;
  std::vector<rollout::CommandResult> not_begun_;  // of the last step
  std::vector<std::string> host_troubles_;
  std::string explained_;
  Clock::time_point next_explanation_{};
  std::vector<std::string> to_prune_;  // topics
  Clock::time_point next_retention_ = Clock::now() + kRetentionInterval;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false;  // guarded by mutex_, as are the next five
  bool reported_ = false;
  bool store_changed_ = false;
  bool records_changed_ = false;
  bool stopping_ = false;
  LeaderStatus now_;

  const std::unique_ptr<fleet::Fleet> fleet_;  // calls Wake()
  std::mutex stop_mutex_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Leader> Leader::Start(store::Store& store, std::function<std::vector<SubscriberInfo>()> subscribers,
                                      LeaderOptions options) {
  return std::make_unique<LeaderImpl>(store, std::move(subscribers), std::move(options));
}

}  // namespace signalbox::control
