#include "tests/simulation/control_plane.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "base/status.h"
#include "tests/simulation/simulated_host.h"
#include "tests/simulation/world.h"

namespace signalbox::simulation {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kTickMs = 500;
constexpr int64_t kReadEveryMs = 1500;
constexpr int64_t kStoreTimeoutMs = 1500;
constexpr int64_t kLeaseMs = 5000;
constexpr int64_t kRenewEveryMs = 1500;
// A leader stops to believe in its lease so long before it ends, and a command that is not at its host after
// kCommandDeliveryMs is not sent any more: no command of an old leader arrives after the next has begun.
constexpr int64_t kLeaseMarginMs = 1500;
constexpr int64_t kCommandDeliveryMs = 1000;
constexpr int64_t kProbeEveryMs = 1500;
constexpr int64_t kProbeTimeoutMs = 700;
constexpr int kProbeFailuresMax = 2;
constexpr std::string_view kControlKeys = "control/";
// A control plane that has not read the store for so long serves nobody: what it would send may be of yesterday, and
// another one may have what is of today.
constexpr int64_t kStaleMs = 4000;

}  // namespace

ControlPlane::ControlPlane(World& world, std::string name) : world_(world), name_(std::move(name)) {}

int64_t ControlPlane::wall_ms() const { return kEpochMs + world_.schedule.now_ms() + wall_ahead_ms_; }

bool ControlPlane::leads() const { return up_ && fence_.has_value() && world_.schedule.now_ms() < leads_until_ms_; }

// An event of this life, after the pause if it falls into one.
void ControlPlane::Run(int life, std::function<void()> event) {
  if (life != life_) return;
  if (world_.schedule.now_ms() < paused_until_ms_ || !backlog_.empty()) {
    backlog_.emplace_back(life, std::move(event));
    return;
  }
  event();
}

void ControlPlane::After(int64_t ms, std::function<void()> event) {
  world_.schedule.After(ms, [this, life = life_, event = std::move(event)]() mutable { Run(life, std::move(event)); });
}

void ControlPlane::Start() {
  if (up_) return;
  up_ = true;
  ++life_;
  world_.trace.Say(name_, "starts");
  composition_ = std::make_unique<control::Composition>(world_.store);
  view_ = std::make_unique<control::StoreView>(world_.store);
  book_ = std::make_unique<control::DataPlaneBook>(name_, world_.plan.controller.forget_data_plane_after);
  Tick();
}

void ControlPlane::Crash() {
  if (!up_) return;
  world_.trace.Say(name_, "crashes{}", leads() ? ", while it leads" : "");
  up_ = false;
  ++life_;
  backlog_.clear();
  paused_until_ms_ = 0;
  controller_.reset();
  composition_.reset();
  view_.reset();
  book_.reset();
  observed_.reset();
  read_began_ms_ = -1;
  reading_ = read_again_ = taking_lead_ = step_wanted_ = writing_data_planes_ = false;
  fence_.reset();
  renew_at_ms_ = 0;
  hosts_.clear();
  results_.clear();
  batch_status_.reset();
  read_needed_from_ms_ = 0;
  for (auto& [id, subscriber] : subscribers_) {
    subscriber.stream->data_plane->Heard();
    Break(world_, subscriber.stream,
          world_.network.IsCut(name_, subscriber.stream->data_plane->name()) ? kKeepaliveMs : 20);
  }
  subscribers_.clear();
}

void ControlPlane::Pause(int64_t ms) {
  if (!up_) return;
  world_.trace.Say(name_, "stands still for {} ms{}", ms, leads() ? ", while it leads" : "");
  paused_until_ms_ = std::max(paused_until_ms_, world_.schedule.now_ms() + ms);
  world_.schedule.At(paused_until_ms_, [this, life = life_] {
    if (life != life_ || world_.schedule.now_ms() < paused_until_ms_) return;
    std::deque<std::pair<int, std::function<void()>>> backlog = std::exchange(backlog_, {});
    for (auto& [of_life, event] : backlog) Run(of_life, std::move(event));
  });
}

void ControlPlane::CallStore(std::function<void()> at_store, std::function<void(bool)> done) {
  auto ended = std::make_shared<bool>(false);
  auto end = [this, ended, done = std::move(done)](bool answered) {
    if (std::exchange(*ended, true)) return;
    done(answered);
  };
  After(kStoreTimeoutMs, [end] { end(false); });
  const std::optional<int64_t> there = world_.network.Delay(name_, kStoreName);
  if (!there) return;
  // On its way the request does not care whether its sender still lives.
  world_.schedule.After(*there, [this, life = life_, at_store = std::move(at_store), end] {
    if (world_.store_down) return;
    at_store();
    const std::optional<int64_t> back = world_.network.Delay(kStoreName, name_);
    if (!back) return;
    world_.schedule.After(*back, [this, life, end] { Run(life, [end] { end(true); }); });
  });
}

// --- What is in the store -------------------------------------------------------------------------------------------

void ControlPlane::Tick() {
  const int64_t now_ms = world_.schedule.now_ms();
  if (now_ms - read_began_ms_ >= kReadEveryMs || read_began_ms_ < 0) Read();
  RenewLead();
  if (leads()) ProbeHosts();
  if (controller_ != nullptr && !leads()) WantStep();
  if (is_stale()) SendAllAway();
  After(kTickMs, [this] { Tick(); });
}

void ControlPlane::OnStoreChanged() {
  if (up_) After(0, [this] { Read(); });
}

void ControlPlane::Read() {
  if (reading_) {
    read_again_ = true;
    return;
  }
  reading_ = true;
  struct Answer {
    std::shared_ptr<const rollout::ObservedStore> observed;
    std::vector<store::Record> records;
  };
  auto answer = std::make_shared<Answer>();
  const int64_t began_ms = world_.schedule.now_ms();
  CallStore(
      [this, life = life_, answer] {
        if (life != life_) return;
        // What is made of what was read is made here at once; what follows from it only when the answer is there.
        const bool ok = composition_->Advance().ok() && view_->Refresh().ok();
        world_.truth.Expect(ok, "world", "the store cannot be read");
        answer->observed = view_->observed();
        answer->records = *world_.store.Records("");
      },
      [this, answer, began_ms](bool answered) {
        reading_ = false;
        if (answered) OnRead(std::move(answer->observed), answer->records, began_ms);
        if (std::exchange(read_again_, false)) Read();
      });
}

void ControlPlane::OnRead(std::shared_ptr<const rollout::ObservedStore> observed,
                          const std::vector<store::Record>& records, int64_t began_ms) {
  read_began_ms_ = began_ms;
  observed_ = std::move(observed);
  std::set<std::string> living;
  bool led = false;
  for (const store::Record& record : records) {
    if (record.key.starts_with(kControlKeys)) living.insert(record.key.substr(kControlKeys.size()));
    led = led || record.key == kLeaderKey;
  }
  book_->Read(records, living, {wall_ms(), world_.schedule.now_ms()});
  HearDataPlanes();
  SendSnapshots();
  if (!led) TakeLead();
  WantStep();
}

// --- Leadership -----------------------------------------------------------------------------------------------------

void ControlPlane::TakeLead() {
  if (leads() || taking_lead_) return;
  taking_lead_ = true;
  store::Batch batch;
  batch.records.push_back({std::string(kLeaderKey), name_, 0, milliseconds(kLeaseMs)});
  auto result = std::make_shared<absl::StatusOr<store::BatchResult>>(absl::UnavailableError("no answer"));
  CallStore([this, batch, result] { *result = world_.store.Write(batch); },
            [this, result, began_ms = world_.schedule.now_ms()](bool answered) {
              taking_lead_ = false;
              if (!answered || !result->ok()) return;
              world_.trace.Say(name_, "leads, with token {}", (*result)->records_revision);
              fence_ = {std::string(kLeaderKey), (*result)->records_revision};
              world_.truth.OnLead();
              leads_until_ms_ = began_ms + kLeaseMs - kLeaseMarginMs;
              hosts_.clear();
              Read();
              ProbeHosts();
            });
}

void ControlPlane::RenewLead() {
  const int64_t now_ms = world_.schedule.now_ms();
  if (now_ms < renew_at_ms_) return;
  renew_at_ms_ = now_ms + kRenewEveryMs;
  store::Batch batch;
  batch.records.push_back({std::string(kControlKeys) + name_, name_, std::nullopt, milliseconds(kLeaseMs)});
  if (fence_) {
    batch.records.push_back({std::string(kLeaderKey), name_, std::nullopt, milliseconds(kLeaseMs)});
    batch.fence = fence_;
  }
  auto result = std::make_shared<absl::StatusOr<store::BatchResult>>(absl::UnavailableError("no answer"));
  CallStore([this, batch, result] { *result = world_.store.Write(batch); },
            [this, result, fence = fence_, began_ms = now_ms](bool answered) {
              if (!answered || !fence || !fence_ || fence->created_revision != fence_->created_revision) return;
              if (result->ok()) {
                leads_until_ms_ = std::max(leads_until_ms_, began_ms + kLeaseMs - kLeaseMarginMs);
              } else if (absl::IsAborted(result->status())) {
                world_.trace.Say(name_, "leads no more");
                fence_.reset();
                renew_at_ms_ = 0;
              }
            });
}

// --- Hosts ----------------------------------------------------------------------------------------------------------

void ControlPlane::ProbeHosts() {
  for (const auto& [id, host] : world_.directory) {
    ProbedHost& probed = hosts_[id];
    probed.host.id = id;
    if (!probed.resolved) {
      probed.host.address = host->address();
      probed.host.shard = host->shard();
    }
    if (probed.under_way || (probed.resolved && world_.schedule.now_ms() < probed.next_ms)) continue;
    probed.under_way = true;
    Probe(id, *host);
  }
}

void ControlPlane::Probe(const std::string& id, SimulatedHost& host) {
  struct Answer {
    bool ended = false;
    SimulatedHost::ProbeAnswer of_host;
  };
  auto answer = std::make_shared<Answer>();
  auto end = [this, id, &host, answer, fence = fence_ ? fence_->created_revision : 0](bool answered) {
    if (std::exchange(answer->ended, true)) return;
    if (!fence_ || fence_->created_revision != fence) return;
    OnProbe(id, host, answered, answer->of_host);
  };
  After(kProbeTimeoutMs, [end] { end(false); });
  const std::optional<int64_t> there = world_.network.Delay(name_, host.address());
  if (!there) return;
  world_.schedule.After(*there, [this, life = life_, &host, answer, end] {
    if (!host.up()) return;
    if (!answer->ended) answer->of_host = host.AnswerProbe();
    const std::optional<int64_t> back = world_.network.Delay(host.address(), name_);
    if (!back) return;
    world_.schedule.After(*back, [this, life, end] { Run(life, [end] { end(true); }); });
  });
}

void ControlPlane::OnProbe(const std::string& id, const SimulatedHost& host, bool answered,
                           const SimulatedHost::ProbeAnswer& answer) {
  ProbedHost& probed = hosts_[id];
  const bool was_alive = probed.host.alive;
  const std::string was_instance = probed.host.instance;
  const std::map<std::string, rollout::ObservedModel> was_index = probed.host.index;
  const bool was_resolved = probed.resolved;
  probed.under_way = false;
  probed.next_ms = world_.schedule.now_ms() + kProbeEveryMs;
  if (answered) {
    probed.resolved = true;
    probed.failures = 0;
    probed.host.address = host.address();
    probed.host.shard = host.shard();
    probed.host.memory_bytes = host.memory_bytes();
    probed.host.cores = 4;
    probed.host.alive = true;
    probed.host.trouble.clear();
    probed.host.instance = answer.instance;
    probed.host.index = answer.index;
  } else if (++probed.failures >= kProbeFailuresMax) {
    probed.resolved = true;
    probed.host.alive = false;
    probed.host.trouble = "does not answer";
  } else {
    probed.next_ms = world_.schedule.now_ms();
  }
  const bool same_index =
      std::equal(was_index.begin(), was_index.end(), probed.host.index.begin(), probed.host.index.end(),
                 [](const auto& a, const auto& b) { return a.first == b.first && a.second.state == b.second.state; });
  if (was_resolved && was_alive == probed.host.alive && was_instance == probed.host.instance && same_index) return;
  WantStep();
}

// --- The controller -------------------------------------------------------------------------------------------------

void ControlPlane::WantStep() {
  if (std::exchange(step_wanted_, true)) return;
  After(10, [this] {
    step_wanted_ = false;
    Step();
  });
}

void ControlPlane::Step() {
  if (!leads()) {
    // Another one leads: what was found out about hosts is of no use any more.
    controller_.reset();
    return;
  }
  if (observed_ == nullptr || read_began_ms_ < read_needed_from_ms_ || observed_->fleet.content == nullptr) return;
  if (controller_ == nullptr || controller_token_ != fence_->created_revision) {
    rollout::ControllerOptions options = world_.plan.controller;
    options.unload_timeout = milliseconds(kLeaseMs / 3);  // as control::Leader has it
    controller_ = std::make_unique<rollout::Controller>(options);
    controller_token_ = fence_->created_revision;
    batch_status_ = absl::OkStatus();
    results_.clear();
  }
  const rollout::Step step = controller_->Next(Observe());
  if (batch_status_) batch_status_ = absl::OkStatus();
  for (const std::string& line : step.log) world_.trace.Say(name_, "says: {}", line);
  for (const rollout::HostCommand& command : step.commands) Send(command);
  if (step.batch) Write(*step.batch, observed_->placement.version);
  const uint64_t timer = ++step_timer_;
  After(std::max<int64_t>(step.wake_after.count(), 20), [this, timer] {
    if (timer == step_timer_) WantStep();
  });
}

rollout::Observation ControlPlane::Observe() {
  rollout::Observation observation;
  observation.now_unix_ms = wall_ms();
  observation.steady_ms = world_.schedule.now_ms();
  observation.node_id = name_;
  observation.leadership = fence_;
  observation.store = observed_;
  for (const auto& [id, probed] : hosts_) {
    if (world_.directory.contains(id)) observation.hosts.push_back(probed.host);
  }
  observation.host_troubles = world_.host_troubles;
  observation.data_planes = book_->All();
  observation.results = std::exchange(results_, {});
  observation.batch_status = batch_status_;
  return observation;
}

void ControlPlane::Send(const rollout::HostCommand& command) {
  static constexpr std::string_view kNames[] = {"load", "dry run of", "unload"};
  world_.trace.Say(name_, "to {}: {} {}", command.address, kNames[static_cast<int>(command.kind)], command.model);
  auto ended = std::make_shared<bool>(false);
  auto end = [this, command, ended, token = controller_token_](const absl::Status& status, double seconds) {
    if (std::exchange(*ended, true) || token != controller_token_) return;
    results_.push_back({command.kind, command.host, command.instance, command.model, status, seconds, ""});
    WantStep();
  };
  After(command.timeout.count() + 200, [end] { end(absl::DeadlineExceededError("no answer in time"), 0); });
  SimulatedHost* host = world_.HostAt(command.address);
  const std::optional<int64_t> there = world_.network.Delay(name_, command.address);
  if (host == nullptr || !there || *there > kCommandDeliveryMs) {
    After(kCommandDeliveryMs, [end] { end(absl::UnavailableError("the host cannot be reached"), 0); });
    return;
  }
  world_.truth.BeforeCommand(*this, command);
  world_.schedule.After(*there, [this, life = life_, host, command, end] {
    auto answer = [this, life, address = command.address, end](absl::Status status, double seconds) {
      const std::optional<int64_t> back = world_.network.Delay(address, name_);
      if (!back) return;
      world_.schedule.After(*back, [this, life, status = std::move(status), seconds, end] {
        Run(life, [end, status, seconds] { end(status, seconds); });
      });
    };
    // The connection is one to a life of the host.
    if (!host->up() || host->instance() != command.instance) {
      return answer(absl::UnavailableError("the connection was refused"), 0);
    }
    host->Execute(command, answer);
  });
}

void ControlPlane::Write(store::Batch batch, int64_t observed_placement) {
  batch_status_.reset();
  read_needed_from_ms_ = INT64_MAX;
  if (!batch.fence) batch.fence = fence_;
  auto result = std::make_shared<absl::StatusOr<store::BatchResult>>(absl::UnavailableError("no answer"));
  auto shared = std::make_shared<const store::Batch>(std::move(batch));
  CallStore(
      [this, shared, result, observed_placement] {
        world_.truth.BeforeBatch();
        *result = world_.store.Write(*shared);
        world_.trace.Say(name_, "batch of {} versions, {} records: {}", shared->publications.size(),
                         shared->records.size(), result->ok() ? "written" : Message(result->status()));
        if (!result->ok()) return;
        world_.truth.AfterBatch(*this, *shared, observed_placement);
        world_.TellStoreChanged();
      },
      [this, result, token = fence_->created_revision](bool answered) {
        read_needed_from_ms_ = world_.schedule.now_ms();
        if (controller_ != nullptr && controller_token_ == token) {
          batch_status_ = answered ? result->status() : absl::UnavailableError("the store did not answer");
        }
        Read();
      });
}

// --- Data planes ----------------------------------------------------------------------------------------------------

void ControlPlane::Subscribe(const std::shared_ptr<Stream>& stream, const v1::SubscriberStatus& first) {
  if (!up_) return Break(world_, stream, 5);
  Run(life_, [this, stream, first] {
    if (stream->broken) return;
    if (is_stale()) return Break(world_, stream, 5);
    world_.trace.Say(name_, "{} subscribes, running {}", first.node_id(), first.running_version());
    Subscriber& subscriber = subscribers_[stream->id];
    subscriber.stream = stream;
    subscriber.status = first;
    stream->data_plane->Heard();
    SendSnapshot(subscriber);
    HearDataPlanes();
    WantStep();
  });
}

bool ControlPlane::is_stale() const {
  return read_began_ms_ < 0 || world_.schedule.now_ms() - read_began_ms_ > kStaleMs;
}

void ControlPlane::SendAllAway() {
  book_->StoreIsAway({wall_ms(), world_.schedule.now_ms()});
  for (const auto& [id, subscriber] : subscribers_) {
    if (subscriber.stream->broken) continue;
    world_.trace.Say(name_, "sends {} away: it has not read the store", subscriber.stream->data_plane->name());
    subscriber.stream->data_plane->Heard();
    Break(world_, subscriber.stream,
          world_.network.IsCut(name_, subscriber.stream->data_plane->name()) ? kKeepaliveMs : 5);
  }
}

void ControlPlane::OnReport(const std::shared_ptr<Stream>& stream, const v1::SubscriberStatus& report) {
  if (!up_) return;
  Run(life_, [this, stream, report] {
    const auto subscriber = subscribers_.find(stream->id);
    if (subscriber == subscribers_.end()) return;
    subscriber->second.status = report;
    stream->data_plane->Heard();
    HearDataPlanes();
    WantStep();
  });
}

void ControlPlane::OnBroken(const Stream& stream) {
  if (!up_) return;
  Run(life_, [this, id = stream.id] {
    const auto subscriber = subscribers_.find(id);
    if (subscriber == subscribers_.end()) return;
    subscriber->second.stream->data_plane->Heard();
    subscribers_.erase(subscriber);
    HearDataPlanes();
    WantStep();
  });
}

void ControlPlane::SendSnapshots() {
  for (auto& [id, subscriber] : subscribers_) SendSnapshot(subscriber);
}

void ControlPlane::SendSnapshot(Subscriber& subscriber) {
  const std::shared_ptr<const decide::Snapshot> snapshot =
      composition_->SnapshotOf(subscriber.stream->data_plane->scopes());
  if (snapshot == nullptr || snapshot->version() < 1 || snapshot->version() == subscriber.sent_version) return;
  subscriber.sent_version = snapshot->version();
  subscriber.sent_hash = snapshot->hash();
  subscriber.withheld = composition_->WhyNot(subscriber.stream->data_plane->scopes());
  auto update = std::make_shared<v1::SnapshotUpdate>();
  update->set_version(snapshot->version());
  update->set_hash(snapshot->hash());
  // The one thing in it that is of the real clock.
  v1::Snapshot proto = snapshot->proto();
  proto.set_created_unix_ms(wall_ms());
  {
    // Maps in one order: a bit that turns is the same one in each run.
    google::protobuf::io::StringOutputStream text(update->mutable_snapshot());
    google::protobuf::io::CodedOutputStream coded(&text);
    coded.SetSerializationDeterministic(true);
    proto.SerializeToCodedStream(&coded);
  }
  world_.truth.OnSent(*snapshot);
  SendDown(world_, subscriber.stream,
           [stream = subscriber.stream, update] { stream->data_plane->Receive(stream, update); });
}

// Before the record of an earlier life has been read nothing is written over it.
void ControlPlane::HearDataPlanes() {
  if (observed_ == nullptr) return;
  std::map<std::string, control::SubscriberInfo> newest;  // of the streams of one node
  for (const auto& [id, subscriber] : subscribers_) {
    control::SubscriberInfo& info = newest[subscriber.status.node_id()];
    info.node_id = subscriber.status.node_id();
    info.running_version = subscriber.status.running_version();
    info.running_hash = subscriber.status.running_hash();
    info.oldest_version_in_use = subscriber.status.oldest_version_in_use();
    const bool is_what_was_sent =
        info.running_version == subscriber.sent_version && info.running_hash == subscriber.sent_hash;
    info.acknowledged_version = is_what_was_sent && subscriber.withheld.empty() ? info.running_version : 0;
    info.withheld = subscriber.withheld;
    info.scopes = subscriber.stream->data_plane->scopes();
    info.refused_version = subscriber.status.refusal().version();
    info.refusal = subscriber.status.refusal().reason();
    subscriber.stream->data_plane->Heard();
  }
  std::vector<control::SubscriberInfo> subscribers;
  for (auto& [node, info] : newest) subscribers.push_back(std::move(info));
  book_->Hear(subscribers, {wall_ms(), world_.schedule.now_ms()});
  WriteDataPlanes();
}

void ControlPlane::WriteDataPlanes() {
  std::optional<store::RecordWrite> write = book_->ToWrite();
  if (!write || writing_data_planes_) return;
  writing_data_planes_ = true;
  auto ok = std::make_shared<bool>(false);
  CallStore(
      [this, write, ok] {
        store::Batch batch;
        batch.records.push_back(*write);
        *ok = world_.store.Write(batch).ok();
        if (*ok) world_.TellStoreChanged();
      },
      [this, write, ok](bool answered) {
        writing_data_planes_ = false;
        if (!answered || !*ok) return;  // the next look at the store tries again
        book_->Written(*write);
        WriteDataPlanes();
      });
}

}  // namespace signalbox::simulation
