#include "control/distribution.h"

#include <fmt/format.h>
#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "api/distribution.h"
#include "base/unix_time.h"
#include "signalbox/v1/distribution.grpc.pb.h"

namespace signalbox::control {
namespace {

using grpc::ByteBuffer;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kStopGrace{500};

// A snapshot as it goes over the wire. Copies of `bytes` share the memory.
struct Update {
  ByteBuffer bytes;
  int64_t version = 0;
  std::string hash;
  std::string why_not;  // as ScopedSnapshot has it
};

Update MakeUpdate(const decide::Snapshot& snapshot, const std::vector<std::string>& scopes, std::string why_not) {
  v1::SnapshotUpdate update;
  for (const std::string& scope : scopes) update.add_scopes(scope);
  update.set_snapshot(snapshot.proto().SerializeAsString());
  update.set_hash(snapshot.hash());
  update.set_version(snapshot.version());
  const grpc::Slice slice(update.SerializeAsString());
  return {ByteBuffer(&slice, 1), snapshot.version(), snapshot.hash(), std::move(why_not)};
}

// What there is to send.
struct Updates {
  Update everywhere;
  std::vector<std::string> scopes_in_use;
  std::map<std::vector<std::string>, Update> of_scopes;
};

class Subscription;

struct Event {
  enum class Kind { kStarted, kRead, kWritten, kDone };
  Kind kind;
  Subscription* subscription;
  bool ok;
};

// What gRPC's threads tell the one thread that owns all subscriptions. A subscription has at most one event of a kind
// under way: this never grows beyond a few per stream.
class Events {
 public:
  void Push(Event event) {
    std::lock_guard lock(mutex_);
    events_.push_back(event);
    changed_.notify_one();
  }
  void Offer(Updates updates) {
    std::lock_guard lock(mutex_);
    updates_ = std::move(updates);
    changed_.notify_one();
  }
  void Stop() {
    std::lock_guard lock(mutex_);
    ++stops_;
    changed_.notify_one();
  }

  struct Batch {
    std::deque<Event> events;
    std::optional<Updates> updates;
    int stops = 0;
  };
  Batch Take(Clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline, [this] { return !events_.empty() || updates_ || stops_ > 0; });
    return {std::exchange(events_, {}), std::exchange(updates_, std::nullopt), std::exchange(stops_, 0)};
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> events_;
  std::optional<Updates> updates_;
  int stops_ = 0;
};

// One stream. gRPC calls the reactions, which only report them; all else belongs to the owning thread.
class Subscription : public grpc::ServerBidiReactor<ByteBuffer, ByteBuffer> {
 public:
  Subscription(Events& events, grpc::CallbackServerContext& call) : context(call), events_(events) {
    info.peer = call.peer();
    info.connected_unix_ms = NowUnixMs();
    events_.Push({Event::Kind::kStarted, this, true});
  }

  void OnReadDone(bool ok) override { events_.Push({Event::Kind::kRead, this, ok}); }
  void OnWriteDone(bool ok) override { events_.Push({Event::Kind::kWritten, this, ok}); }
  void OnDone() override { events_.Push({Event::Kind::kDone, this, true}); }

  grpc::CallbackServerContext& context;
  ByteBuffer received;
  ByteBuffer sending;
  SubscriberInfo info;
  uint64_t number = 0;  // in the order of arrival; 0 until it has said who it is
  bool writing = false;
  bool awaiting_answer = false;
  bool finished = false;
  std::optional<grpc::Status> ending;  // how it is to end, once nothing is being written
  std::string sent_hash;
  int64_t sent_version = 0;
  Clock::time_point began_at = Clock::now();
  Clock::time_point sent_at;

 private:
  Events& events_;
};

class Service : public v1::SnapshotDistribution::WithRawCallbackMethod_Subscribe<v1::SnapshotDistribution::Service> {
 public:
  explicit Service(Events& events) : events_(events) {}

 private:
  grpc::ServerBidiReactor<ByteBuffer, ByteBuffer>* Subscribe(grpc::CallbackServerContext* context) override {
    return new Subscription(events_, *context);  // deleted by the owning thread after OnDone
  }
  Events& events_;
};

class DistributionImpl : public Distribution {
 public:
  explicit DistributionImpl(DistributionOptions options) : options_(std::move(options)), service_(events_) {}
  ~DistributionImpl() override { Stop(); }

  absl::Status Listen() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(options_.listen, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    for (grpc::Service* service : options_.services) builder.RegisterService(service);
    builder.SetMaxReceiveMessageSize(distribution::kStatusBytesMax);
    builder.SetMaxSendMessageSize(distribution::kUpdateBytesMax + 4096);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               static_cast<int>(distribution::kPingIntervalMin.count()));
    // A subscriber whose machine is gone is noticed, and its stream ended.
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
    // Two control planes on one port would each have half of the subscribers.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) {
      return absl::UnavailableError(
          fmt::format("cannot listen on {}: expected HOST:PORT with an address of this machine and a port that is free",
                      options_.listen));
    }
    thread_ = std::thread([this] { Run(); });
    return absl::OkStatus();
  }

  void Publish(Outgoing outgoing) override {
    Updates updates{MakeUpdate(*outgoing.everywhere, {}, ""), std::move(outgoing.scopes_in_use), {}};
    for (auto& [scopes, scoped] : outgoing.of_scopes) {
      updates.of_scopes.emplace(scopes, MakeUpdate(*scoped.snapshot, scopes, std::move(scoped.why_not)));
    }
    events_.Offer(std::move(updates));
  }
  int port() const override { return port_; }

  DistributionStatus status() const override {
    std::lock_guard lock(status_mutex_);
    DistributionStatus status = totals_;
    for (const auto& [number, info] : infos_) status.subscribers.push_back(info);
    return status;
  }

  std::set<std::vector<std::string>> scope_sets() const override {
    std::lock_guard lock(status_mutex_);
    std::set<std::vector<std::string>> sets;
    for (const auto& [scopes, subscribers] : scope_sets_) sets.insert(scopes);
    return sets;
  }

  void Stop() override {
    std::lock_guard lock(stop_mutex_);
    if (!thread_.joinable()) return;
    events_.Stop();
    server_->Shutdown(std::chrono::system_clock::now() + kStopGrace);
    server_->Wait();  // after it there is no call left, but perhaps the last of their events
    events_.Stop();
    thread_.join();
  }

 private:
  void Run() {
    Clock::time_point next_sweep = Clock::now() + options_.sweep_interval;
    // The second stop comes when no new subscription can.
    for (int stops = 0; stops < 2 || !subscriptions_.empty();) {
      Events::Batch batch = events_.Take(next_sweep);
      for (const Event& event : batch.events) Handle(event);
      if (batch.updates) Announce(*std::move(batch.updates));
      if (batch.stops > 0) {
        stops += batch.stops;
        stopping_ = true;
        for (Subscription* subscription : subscriptions_) End(*subscription, Stopping());
      }
      if (Clock::now() < next_sweep) continue;
      EndThoseWhoDoNotAnswer();
      EndAllUnlessServed();
      next_sweep = Clock::now() + options_.sweep_interval;
    }
  }

  void Handle(const Event& event) {
    Subscription& subscription = *event.subscription;
    switch (event.kind) {
      case Event::Kind::kStarted:
        return Begin(subscription);
      case Event::Kind::kRead:
        if (!event.ok) return End(subscription, grpc::Status::OK);
        return Read(subscription);
      case Event::Kind::kWritten:
        subscription.writing = false;
        subscription.sending.Clear();
        if (!event.ok && !subscription.ending) subscription.ending = grpc::Status::OK;
        if (subscription.ending) return End(subscription, *subscription.ending);
        return SendNewest(subscription);
      case Event::Kind::kDone:
        return Forget(subscription);
    }
  }

  void Begin(Subscription& subscription) {
    subscriptions_.push_back(&subscription);
    if (stopping_) return End(subscription, Stopping());
    if (subscriptions_.size() > options_.subscribers_max) {
      spdlog::warn("subscriber {} refused: {} are connected", subscription.info.peer, options_.subscribers_max);
      return End(subscription,
                 {grpc::StatusCode::RESOURCE_EXHAUSTED,
                  fmt::format("this control plane has {} subscribers, its limit", options_.subscribers_max)});
    }
    if (const std::string why = WhyNotToServe(); !why.empty()) {
      return End(subscription, {grpc::StatusCode::UNAVAILABLE, why});
    }
    subscription.StartRead(&subscription.received);
  }

  void Read(Subscription& subscription) {
    if (subscription.ending) return;
    v1::SubscriberStatus report;
    grpc::ProtoBufferReader reader(&subscription.received);
    const bool parsed = report.ParseFromZeroCopyStream(&reader);
    const bool named = subscription.number != 0 || !report.node_id().empty();
    if (!parsed || !named || report.node_id().size() > distribution::kNodeIdBytesMax) {
      return End(subscription, {grpc::StatusCode::INVALID_ARGUMENT,
                                fmt::format("expected a SubscriberStatus with a node_id of 1 to {} bytes",
                                            distribution::kNodeIdBytesMax)});
    }
    Note(subscription, report);
    SendNewest(subscription);
    if (!subscription.ending) subscription.StartRead(&subscription.received);
  }

  void Note(Subscription& subscription, const v1::SubscriberStatus& report) {
    SubscriberInfo& info = subscription.info;
    const bool is_new = subscription.number == 0;
    if (is_new) {
      subscription.number = ++arrivals_;
      info.node_id = report.node_id();
      info.scopes.assign(report.scopes().begin(), report.scopes().end());
      std::sort(info.scopes.begin(), info.scopes.end());
      spdlog::info("subscriber {} ({}) connected, running version {}", info.node_id, info.peer,
                   report.running_version());
    }
    const bool says_nothing_new =
        report.running_version() == info.running_version && report.running_hash() == info.running_hash;
    const bool is_of_sent = !is_new && report.running_version() == subscription.sent_version;
    const bool is_what_was_sent = is_of_sent && report.running_hash() == subscription.sent_hash;
    const bool is_another_content = is_of_sent && !is_what_was_sent && !says_nothing_new && !report.has_refusal();
    if (is_what_was_sent || is_another_content || report.has_refusal()) subscription.awaiting_answer = false;
    // A report that only tells what is in use says nothing about what was refused.
    if (report.has_refusal() || report.running_version() != info.running_version) {
      info.refused_version = report.refusal().version();
      info.refusal = report.refusal().reason();
    }
    if (is_what_was_sent && !report.has_refusal()) {
      info.acknowledged_version = info.withheld.empty() ? subscription.sent_version : 0;
    } else if (is_another_content) {
      info.acknowledged_version = 0;
      info.refused_version = subscription.sent_version;
      info.refusal =
          fmt::format("it runs version {} with hash '{}', expected '{}': restart it with an empty state folder",
                      report.running_version(), report.running_hash(), subscription.sent_hash);
    }
    info.running_version = report.running_version();
    info.running_hash = report.running_hash();
    info.oldest_version_in_use = report.oldest_version_in_use();
    if (report.has_refusal() || is_another_content) {
      spdlog::error("subscriber {} ({}) refuses version {} and keeps version {}: {}", info.node_id, info.peer,
                    info.refused_version, info.running_version, info.refusal);
    } else if (!is_new) {
      spdlog::debug("subscriber {} runs version {}", info.node_id, info.running_version);
    }
    {
      std::lock_guard lock(status_mutex_);
      infos_[subscription.number] = info;
      if (is_new) ++scope_sets_[info.scopes];
      if (report.has_refusal() || is_another_content) ++totals_.refusals_total;
    }
    ReportChange();
  }

  void ReportChange() {
    if (options_.on_report) options_.on_report();
  }

  void Announce(Updates updates) {
    newest_ = std::move(updates);
    for (Subscription* subscription : subscriptions_) SendNewest(*subscription);
  }

  // nullptr: there is none yet for its scopes.
  const Update* UpdateFor(const Subscription& subscription) const {
    std::vector<std::string> scopes;
    const std::vector<std::string>& in_use = newest_.scopes_in_use;
    const std::vector<std::string>& own = subscription.info.scopes;
    std::set_intersection(in_use.begin(), in_use.end(), own.begin(), own.end(), std::back_inserter(scopes));
    if (scopes.empty()) return &newest_.everywhere;
    const auto found = newest_.of_scopes.find(scopes);
    return found == newest_.of_scopes.end() ? nullptr : &found->second;
  }

  void SendNewest(Subscription& subscription) {
    const bool is_ready =
        subscription.number != 0 && !subscription.ending && !subscription.writing && !subscription.awaiting_answer;
    if (!is_ready) return;
    const Update* update = UpdateFor(subscription);
    if (update == nullptr || update->version == 0) return;
    if (subscription.sent_version == update->version && subscription.sent_hash == update->hash) return;
    subscription.sent_version = update->version;
    subscription.sent_hash = update->hash;
    subscription.sent_at = Clock::now();
    subscription.info.withheld = update->why_not;
    subscription.awaiting_answer = true;
    subscription.writing = true;
    subscription.sending = update->bytes;
    {
      std::lock_guard lock(status_mutex_);
      ++totals_.sent_total;
    }
    subscription.StartWrite(&subscription.sending);
  }

  // Finish may follow only when nothing is being written; a subscriber that does not read would keep us waiting.
  void End(Subscription& subscription, const grpc::Status& status) {
    if (!subscription.ending) subscription.ending = status;
    if (subscription.finished) return;
    if (subscription.writing) return subscription.context.TryCancel();
    subscription.finished = true;
    subscription.Finish(*subscription.ending);
  }

  void Forget(Subscription& subscription) {
    if (subscription.number != 0) {
      spdlog::info("subscriber {} ({}) disconnected", subscription.info.node_id, subscription.info.peer);
      {
        std::lock_guard lock(status_mutex_);
        infos_.erase(subscription.number);
        const auto of_these = scope_sets_.find(subscription.info.scopes);
        if (--of_these->second == 0) scope_sets_.erase(of_these);
      }
      ReportChange();
    }
    std::erase(subscriptions_, &subscription);
    delete &subscription;
  }

  void EndThoseWhoDoNotAnswer() {
    const Clock::time_point now = Clock::now();
    for (Subscription* subscription : subscriptions_) {
      if (subscription->ending) continue;
      if (subscription->number == 0 && now - subscription->began_at > options_.first_message_max) {
        spdlog::warn("subscriber {} has not said who it is for {} ms: its stream is ended", subscription->info.peer,
                     options_.first_message_max.count());
        EndAsTooSlow(*subscription, "no first message");
      } else if (subscription->awaiting_answer && now - subscription->sent_at > options_.answer_max) {
        spdlog::warn("subscriber {} ({}) has not answered version {} for {} ms: its stream is ended",
                     subscription->info.node_id, subscription->info.peer, subscription->sent_version,
                     options_.answer_max.count());
        EndAsTooSlow(*subscription, "no answer to the last snapshot");
      }
    }
  }

  std::string WhyNotToServe() const { return options_.why_not_to_serve ? options_.why_not_to_serve() : ""; }

  // At the second sight of the reason: a process that stood still must be allowed to catch up first, or it would send
  // all of its subscribers away for nothing.
  void EndAllUnlessServed() {
    const std::string why = WhyNotToServe();
    if (!std::exchange(was_not_to_serve_, !why.empty()) || why.empty()) return;
    size_t ended = 0;
    for (Subscription* subscription : subscriptions_) {
      if (subscription->ending) continue;
      End(*subscription, {grpc::StatusCode::UNAVAILABLE, why});
      ++ended;
    }
    if (ended > 0) spdlog::warn("{} subscriptions are ended: {}", ended, why);
  }

  void EndAsTooSlow(Subscription& subscription, const char* why) {
    {
      std::lock_guard lock(status_mutex_);
      ++totals_.too_slow_total;
    }
    End(subscription, {grpc::StatusCode::DEADLINE_EXCEEDED, why});
  }

  static grpc::Status Stopping() { return {grpc::StatusCode::UNAVAILABLE, "the control plane is stopping"}; }

  const DistributionOptions options_;
  Events events_;
  Service service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::mutex stop_mutex_;
  std::thread thread_;

  // Of the thread alone.
  std::vector<Subscription*> subscriptions_;
  Updates newest_;
  uint64_t arrivals_ = 0;
  bool stopping_ = false;
  bool was_not_to_serve_ = false;  // at the last sweep

  mutable std::mutex status_mutex_;
  std::map<uint64_t, SubscriberInfo> infos_;               // guarded by status_mutex_, as are the next two
  std::map<std::vector<std::string>, size_t> scope_sets_;  // how many subscribers are in each
  DistributionStatus totals_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Distribution>> Distribution::Start(DistributionOptions options) {
  // Kept until the process ends: when the last user of gRPC goes, its threads are waited for, up to 10 s.
  [[maybe_unused]] static const bool kKeepGrpc = (grpc_init(), true);
  auto distribution = std::make_unique<DistributionImpl>(std::move(options));
  if (absl::Status status = distribution->Listen(); !status.ok()) return status;
  return distribution;
}

}  // namespace signalbox::control
