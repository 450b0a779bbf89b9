#include "tests/simulation/data_plane.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/status.h"
#include "decide/decide.h"
#include "subscribe/received_snapshot.h"
#include "tests/simulation/world.h"

namespace signalbox::simulation {
namespace {

constexpr int64_t kReconnectMsMax = 600;
constexpr int64_t kFirstAnswerMs = 1500;
// Most requests are over at once, some last: a stream, a large batch.
constexpr int64_t kLongRequestMsMax = 12'000;

decide::RequestContext ContextOf(std::string_view objective, std::string_view user) {
  decide::RequestContext context;
  context.objective = objective;
  context.user = user;
  return context;
}

std::shared_ptr<const RunningSnapshot> Prepare(std::shared_ptr<const decide::Snapshot> snapshot) {
  auto running = std::make_shared<RunningSnapshot>();
  running->routes = RoutesOf(*snapshot);
  running->decisions = DecisionsOf(*snapshot);
  running->snapshot = std::move(snapshot);
  return running;
}

}  // namespace

std::set<Route> RoutesOf(const decide::Snapshot& snapshot) {
  std::set<Route> routes;
  for (const auto& model : snapshot.models()) {
    for (const decide::Shard* shard : model->shards) {
      for (const std::string& host : shard->hosts) routes.insert({model->id, host});
    }
  }
  return routes;
}

uint64_t DecisionsOf(const decide::Snapshot& snapshot) {
  uint64_t hash = 0;
  for (const std::string_view objective : snapshot.ObjectiveNames()) {
    for (const std::string_view user : {"ann", "bob", "cleo", "dan"}) {
      const decide::Decision decision = Decide(snapshot, ContextOf(objective, user));
      hash = StableHash64(decision.answer->model->id, hash);
      for (const decide::Shard* shard : decision.answer->model->shards) {
        for (const std::string& host : shard->hosts) hash = StableHash64(host, hash);
      }
      for (const decide::Answer* fallback : decision.fallbacks) hash = StableHash64(fallback->model->id, hash);
    }
  }
  return hash;
}

DataPlane::DataPlane(World& world, std::string name, std::vector<std::string> scopes)
    : world_(world), name_(std::move(name)), scopes_(std::move(scopes)) {}

void DataPlane::After(int64_t ms, std::function<void()> event) {
  world_.schedule.After(ms, [this, life = life_, event = std::move(event)] {
    if (life == life_) event();
  });
}

void DataPlane::Start() {
  if (up_) return;
  up_ = true;
  ++life_;
  stuck_since_ms_ = -1;
  if (disk_) {
    v1::SnapshotUpdate update;
    absl::StatusOr<std::shared_ptr<const decide::Snapshot>> snapshot =
        update.ParseFromString(*disk_) ? subscribe::CompileUpdate(update) : absl::DataLossError("damaged");
    if (snapshot.ok()) {
      world_.trace.Say(name_, "starts from disk with version {}", (*snapshot)->version());
      Take(Prepare(*std::move(snapshot)));
      world_.truth.AfterRestart(*this, on_disk_.get());
    } else {
      world_.trace.Say(name_, "starts, and refuses what lies on disk");
    }
  } else {
    world_.trace.Say(name_, "starts with nothing");
  }
  next_control_ = world_.random.Index(world_.controls.size());
  Connect();
  ScheduleRequest();
}

void DataPlane::Crash() {
  if (!up_) return;
  world_.trace.Say(name_, "crashes");
  up_ = false;
  ++life_;
  running_.reset();
  in_flight_.clear();
  withheld_.reset();
  if (stream_ != nullptr) Break(world_, stream_, 20);
  stream_.reset();
}

void DataPlane::set_stuck(bool stuck) {
  stuck_since_ms_ = stuck ? world_.schedule.now_ms() : -1;
  if (!stuck && stream_ != nullptr && withheld_ != nullptr) Receive(stream_, std::exchange(withheld_, nullptr));
}

// One bit of the file turns.
void DataPlane::DamageDisk() {
  if (!disk_ || disk_->empty()) return;
  char& byte = (*disk_)[world_.random.Index(disk_->size())];
  byte = static_cast<char>(byte ^ (1 << world_.random.Index(8)));
  world_.trace.Say(name_, "snapshot on disk is damaged");
}

void DataPlane::Connect() {
  ControlPlane& control = *world_.controls[next_control_++ % world_.controls.size()];
  const auto stream = std::make_shared<Stream>();
  stream->id = ++world_.streams;
  stream->data_plane = this;
  stream->control = &control;
  stream_ = stream;
  v1::SubscriberStatus first;
  first.set_node_id(name_);
  for (const std::string& scope : scopes_) first.add_scopes(scope);
  first.set_running_version(running_version());
  if (running_ != nullptr) first.set_running_hash(running_->snapshot->hash());
  reported_oldest_ = OldestVersionInUse();
  first.set_oldest_version_in_use(reported_oldest_);
  SendUp(world_, stream, [&control, stream, first] { control.Subscribe(stream, first); });
  // A control plane that has nothing to send leaves the stream open; one that is not there, or was cut off, does not.
  After(kFirstAnswerMs, [this, stream] {
    if (stream_ == stream && !stream->broken && !stream->control->Has(*stream)) Break(world_, stream, 0);
  });
}

void DataPlane::OnBroken(const Stream& stream) {
  if (stream_ == nullptr || stream_->id != stream.id) return;
  stream_.reset();
  withheld_.reset();
  After(world_.random.Between(50, kReconnectMsMax), [this] {
    if (stream_ == nullptr) Connect();
  });
}

void DataPlane::Receive(const std::shared_ptr<Stream>& stream,
                        const std::shared_ptr<const v1::SnapshotUpdate>& update) {
  if (!up_ || stream_ != stream) return;
  if (stuck_since_ms_ >= 0) {
    withheld_ = update;
    return;
  }
  if (world_.random.Chance(world_.plan.damaged_messages)) {
    v1::SnapshotUpdate damaged = *update;
    std::string& bytes = *damaged.mutable_snapshot();
    char& byte = bytes[world_.random.Index(bytes.size())];
    byte = static_cast<char>(byte ^ (1 << world_.random.Index(8)));
    const absl::Status status = Follow(damaged);
    Report(status.ok() ? nullptr : &damaged, status);
    // Whoever has damaged it, the connection is not what it was.
    if (!status.ok()) Break(world_, stream, 1000);
    return;
  }
  const absl::Status status = Follow(*update);
  Report(status.ok() ? nullptr : update.get(), status);
}

// As subscribe::Subscriber does.
absl::Status DataPlane::Follow(const v1::SnapshotUpdate& update) {
  subscribe::Running running;
  if (running_ != nullptr) running = {running_->snapshot->version(), running_->snapshot->hash()};
  ASSIGN_OR_RETURN(const subscribe::Order order, subscribe::Compare(update, running));
  if (order == subscribe::Order::kNewer) {
    ASSIGN_OR_RETURN(std::shared_ptr<const decide::Snapshot> snapshot, subscribe::CompileUpdate(update));
    std::shared_ptr<const RunningSnapshot> next = Prepare(std::move(snapshot));
    world_.truth.BeforeTake(*this, *next);
    Take(std::move(next));
  }
  // Also where it is the same: the last try may have failed.
  if (disk_full_) {
    world_.trace.Say(name_, "cannot keep version {}: no space left", update.version());
  } else {
    disk_ = update.SerializeAsString();
    on_disk_ = running_;
  }
  return absl::OkStatus();
}

void DataPlane::Take(std::shared_ptr<const RunningSnapshot> snapshot) {
  running_ = std::move(snapshot);
  unchanged_since_ms_ = world_.schedule.now_ms();
  world_.trace.Say(name_, "runs version {} ({})", running_version(), running_->snapshot->hash().substr(0, 8));
}

void DataPlane::Report(const v1::SnapshotUpdate* refused, const absl::Status& reason) {
  if (stream_ == nullptr) return;
  v1::SubscriberStatus report;
  report.set_node_id(name_);
  for (const std::string& scope : scopes_) report.add_scopes(scope);
  report.set_running_version(running_version());
  if (running_ != nullptr) report.set_running_hash(running_->snapshot->hash());
  if (OldestVersionInUse() != reported_oldest_) unchanged_since_ms_ = world_.schedule.now_ms();
  reported_oldest_ = OldestVersionInUse();
  report.set_oldest_version_in_use(reported_oldest_);
  if (refused != nullptr) {
    world_.trace.Say(name_, "refuses version {}: {}", refused->version(), Message(reason));
    report.mutable_refusal()->set_version(refused->version());
    report.mutable_refusal()->set_hash(refused->hash());
    report.mutable_refusal()->set_reason(std::string(Message(reason)));
  }
  SendUp(world_, stream_, [stream = stream_, report] { stream->control->OnReport(stream, report); });
}

void DataPlane::Heard() { last_heard_ms_ = world_.schedule.now_ms(); }

int64_t DataPlane::OldestVersionInUse() const {
  int64_t oldest = running_version();
  for (const auto& request : in_flight_) oldest = std::min(oldest, request->snapshot->version());
  // A restart would run what lies on disk.
  if (on_disk_ != nullptr) oldest = std::min(oldest, on_disk_->snapshot->version());
  return oldest;
}

std::vector<std::shared_ptr<const RunningSnapshot>> DataPlane::InUse() const {
  std::vector<std::shared_ptr<const RunningSnapshot>> in_use;
  auto add = [&](const std::shared_ptr<const RunningSnapshot>& snapshot) {
    if (snapshot == nullptr) return;
    if (std::find(in_use.begin(), in_use.end(), snapshot) == in_use.end()) in_use.push_back(snapshot);
  };
  add(running_);
  add(on_disk_);
  for (const auto& request : in_flight_) add(request);
  return in_use;
}

void DataPlane::ScheduleRequest() {
  After(world_.random.Between(100, 1500), [this] {
    if (running_ != nullptr) Serve();
    ScheduleRequest();
  });
}

// One request: the decision, then a host of the chosen model, as the proxy does.
void DataPlane::Serve() {
  const std::vector<std::string_view> objectives = running_->snapshot->ObjectiveNames();
  if (objectives.empty()) return;
  ++requests_;
  world_.truth.BeforeRequest(*this, *running_);
  const std::string user = fmt::format("u{}", world_.random.Index(100));
  const decide::Decision decision =
      Decide(*running_->snapshot, ContextOf(objectives[world_.random.Index(objectives.size())], user));
  std::vector<const decide::Model*> chain = {decision.answer->model};
  for (const decide::Answer* fallback : decision.fallbacks) chain.push_back(fallback->model);
  for (const decide::Model* model : chain) {
    for (const decide::Shard* shard : model->shards) {
      for (const std::string& address : shard->hosts) {
        world_.truth.OnRoute(*this, *running_, {model->id, address});
      }
    }
    if (!model->shards.empty()) break;
  }
  in_flight_.push_back(running_);
  const int64_t lasts_ms =
      world_.random.Chance(0.03) ? world_.random.Between(1000, kLongRequestMsMax) : world_.random.Between(2, 200);
  After(lasts_ms, [this, request = std::prev(in_flight_.end())] { Finish(request); });
}

void DataPlane::Finish(std::list<std::shared_ptr<const RunningSnapshot>>::iterator request) {
  in_flight_.erase(request);
  if (OldestVersionInUse() != reported_oldest_ && stuck_since_ms_ < 0) Report(nullptr, absl::OkStatus());
}

}  // namespace signalbox::simulation
