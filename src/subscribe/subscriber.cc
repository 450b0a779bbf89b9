#include "subscribe/subscriber.h"

#include <fmt/format.h>
#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "api/distribution.h"
#include "base/background_thread.h"
#include "base/status.h"
#include "base/unix_time.h"
#include "signalbox/v1/distribution.grpc.pb.h"
#include "subscribe/received_snapshot.h"
#include "subscribe/state_folder.h"

namespace signalbox::subscribe {
namespace {

using std::chrono::milliseconds;
using Stream = grpc::ClientReaderWriter<v1::SubscriberStatus, v1::SnapshotUpdate>;

// TCP, HTTP/2 and the resolving of the name. Then the next address is tried.
constexpr milliseconds kConnectMax{2000};
constexpr size_t kAddressesMax = 16;
constexpr size_t kScopesMax = 16;
constexpr size_t kScopeBytesMax = 128;
// How often it is asked whether requests of older snapshots are done, while there are some.
constexpr milliseconds kInUseInterval{100};

absl::Status CheckAddress(std::string_view address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon != std::string_view::npos && colon > 0) {
    const std::string_view text = address.substr(colon + 1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size()) port = 0;
  }
  if (port >= 1 && port <= 65535 && address.find('/') == std::string_view::npos) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("control plane '{}': expected HOST:PORT, or several separated by commas", address));
}

absl::StatusOr<std::vector<std::string>> Addresses(std::string_view list) {
  std::vector<std::string> addresses;
  while (true) {
    const size_t comma = list.find(',');
    addresses.emplace_back(list.substr(0, comma));
    RETURN_IF_ERROR(CheckAddress(addresses.back()));
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  if (addresses.size() <= kAddressesMax) return addresses;
  return absl::InvalidArgumentError(
      fmt::format("{} addresses of control planes, expected at most {}", addresses.size(), kAddressesMax));
}

absl::Status CheckScopes(const std::vector<std::string>& scopes) {
  if (scopes.size() > kScopesMax) {
    return absl::InvalidArgumentError(fmt::format("{} scopes, expected at most {}", scopes.size(), kScopesMax));
  }
  for (const std::string& scope : scopes) {
    const size_t equals = scope.find('=');
    const bool has_both = equals != std::string::npos && equals > 0 && equals + 1 < scope.size();
    const bool printable =
        std::all_of(scope.begin(), scope.end(), [](char c) { return c > ' ' && c <= '~' && c != '/'; });
    if (has_both && printable && scope.size() <= kScopeBytesMax) continue;
    return absl::InvalidArgumentError(
        fmt::format("scope '{}': expected KEY=VALUE, for example region=eu; at most {} printable ASCII characters "
                    "without spaces and '/'",
                    scope, kScopeBytesMax));
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(const SubscriberOptions& options) {
  RETURN_IF_ERROR(CheckScopes(options.scopes));
  if (options.keepalive < milliseconds(1000)) {
    return absl::InvalidArgumentError(
        fmt::format("keepalive: {} ms, expected at least 1000", options.keepalive.count()));
  }
  if (options.reconnect_first < milliseconds(1) || options.reconnect_max < options.reconnect_first) {
    return absl::InvalidArgumentError(fmt::format("reconnect: {} to {} ms, expected at least 1, and the second no less",
                                                  options.reconnect_first.count(), options.reconnect_max.count()));
  }
  const bool printable =
      std::all_of(options.node_id.begin(), options.node_id.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (printable && options.node_id.size() <= distribution::kNodeIdBytesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("node id '{}': expected at most {} printable ASCII characters without spaces", options.node_id,
                  distribution::kNodeIdBytesMax));
}

std::string DefaultNodeId() {
  char host[256] = {};
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '?';
  return fmt::format("{}:{}", std::string_view(host).substr(0, 200), getpid());
}

// At most `bytes_max`, and no character cut in two: protobuf refuses such text.
std::string CutText(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xc0) == 0x80) --bytes_max;
  return std::string(text.substr(0, bytes_max));
}

std::shared_ptr<grpc::Channel> Connect(const std::string& address, milliseconds keepalive) {
  const int keepalive_ms = static_cast<int>(keepalive.count());
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(distribution::kUpdateBytesMax + 4096);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_ms);
  // A subscription says nothing for hours: without these gRPC stops to ping after two.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_MIN_SENT_PING_INTERVAL_WITHOUT_DATA_MS, keepalive_ms);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(kConnectMax.count()));
  // The waiting between attempts is ours: no connection, and no back-off, is shared with an earlier attempt.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel("dns:///" + address, grpc::InsecureChannelCredentials(), arguments);
}

class SubscriberImpl : public Subscriber {
 public:
  SubscriberImpl(SubscriberOptions options, std::vector<std::string> addresses, std::unique_ptr<StateFolder> state,
                 OnSnapshot on_snapshot)
      : options_(std::move(options)),
        addresses_(std::move(addresses)),
        state_(std::move(state)),
        on_snapshot_(std::move(on_snapshot)),
        random_(std::random_device{}()) {
    now_.node_id = options_.node_id;
    thread_ = std::thread([this] { Run(); });
    if (options_.oldest_version_in_use) in_use_thread_ = std::thread([this] { TellWhatIsInUse(); });
  }

  ~SubscriberImpl() override { Stop(); }

  SubscriberStatus status() const override {
    std::lock_guard lock(mutex_);
    return now_;
  }

  bool WaitForSnapshot(milliseconds timeout) const override {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [this] { return stopping_ || now_.version != 0; });
    return now_.version != 0;
  }

  void Stop() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      if (call_ != nullptr) call_->TryCancel();
      changed_.notify_all();
    }
    std::lock_guard lock(join_mutex_);
    if (thread_.joinable()) thread_.join();
    if (in_use_thread_.joinable()) in_use_thread_.join();
  }

 private:
  void Run() {
    // A large snapshot takes a second to compile, for which requests must not wait.
    MakeThisABackgroundThread();
    StartFromDisk();
    milliseconds pause = options_.reconnect_first;
    while (!stopping()) {
      for (const std::string& address : addresses_) {
        if (SubscribeTo(address)) pause = options_.reconnect_first;
        if (stopping()) return;
      }
      Pause(pause);
      pause = std::min(2 * pause, options_.reconnect_max);
    }
  }

  void StartFromDisk() {
    if (state_ == nullptr) return;
    absl::StatusOr<std::optional<v1::SnapshotUpdate>> kept = state_->Load();
    if (kept.ok() && !kept->has_value()) return;
    const v1::SnapshotUpdate update = kept.ok() ? std::move(**kept) : v1::SnapshotUpdate();
    absl::Status status = kept.ok() ? PutIntoUse(update, /*from_disk=*/true) : kept.status();
    {
      // Although it may not run now: another start may be luckier with it.
      std::lock_guard lock(mutex_);
      kept_version_ = update.version();
    }
    if (!status.ok()) Refuse(update, fmt::format("{}: {}", state_->file(), Message(status)));
  }

  // One stream from its start to its end. True when it was a good one: then the next attempt follows soon. One that
  // ends as soon as it was answered is not, or a broken control plane would be asked for everything 20 times a second.
  bool SubscribeTo(const std::string& address) {
    grpc::ClientContext context;
    if (!BeginCall(address, context)) return false;
    auto stub = v1::SnapshotDistribution::NewStub(Connect(address, options_.keepalive));
    std::unique_ptr<Stream> stream = stub->Subscribe(&context);
    const auto start = std::chrono::steady_clock::now();
    bool answered = false;
    UseStream(stream.get());
    Send(nullptr);
    for (v1::SnapshotUpdate update; stream->Read(&update); update.Clear()) {
      answered = true;
      absl::Status status = Receive(address, update);
      if (Send(status.ok() ? nullptr : &update, Message(status))) continue;
      context.TryCancel();  // there may be more to read
      break;
    }
    UseStream(nullptr);
    // Not cancelled where the control plane has ended it: that would hide its reason.
    EndCall(address, stream->Finish());
    return answered && std::chrono::steady_clock::now() - start >= options_.reconnect_max;
  }

  absl::Status Receive(const std::string& address, const v1::SnapshotUpdate& update) {
    {
      std::lock_guard lock(mutex_);
      now_.connected = true;
      now_.connection_error.clear();
    }
    absl::Status status = Follow(update);
    if (!status.ok()) Refuse(update, fmt::format("from {}: {}", address, Message(status)));
    return status;
  }

  // What a control plane sent: runs it and keeps it, knows it already, or says why not.
  absl::Status Follow(const v1::SnapshotUpdate& update) {
    const SubscriberStatus before = status();
    ASSIGN_OR_RETURN(Order order, Compare(update, {before.version, before.hash, running_scopes_}));
    if (order == Order::kNewer) {
      RETURN_IF_ERROR(PutIntoUse(update, /*from_disk=*/false));
    }
    {
      std::lock_guard lock(mutex_);
      now_.from_disk = false;
      now_.last_refusal = {};
    }
    if (order == Order::kNewer || !before.state_error.empty()) KeepOnDisk(update);
    return absl::OkStatus();
  }

  absl::Status PutIntoUse(const v1::SnapshotUpdate& update, bool from_disk) {
    ASSIGN_OR_RETURN(std::shared_ptr<const decide::Snapshot> snapshot, CompileUpdate(update));
    if (stopping()) return absl::CancelledError("stopping");
    RETURN_IF_ERROR(on_snapshot_(snapshot));
    running_scopes_.assign(update.scopes().begin(), update.scopes().end());
    std::lock_guard lock(mutex_);
    now_.version = snapshot->version();
    now_.hash = snapshot->hash();
    now_.created_unix_ms = snapshot->created_unix_ms();
    now_.received_unix_ms = NowUnixMs();
    now_.from_disk = from_disk;
    changed_.notify_all();
    return absl::OkStatus();
  }

  // A failure is no reason to refuse: this process runs the snapshot, only its next start will be from an older one.
  void KeepOnDisk(const v1::SnapshotUpdate& update) {
    if (state_ == nullptr) return;
    absl::Status status = state_->Keep(update);
    std::lock_guard lock(mutex_);
    now_.state_error = status.ok() ? "" : std::string(Message(status));
    if (status.ok()) kept_version_ = update.version();
  }

  void Refuse(const v1::SnapshotUpdate& update, std::string reason) {
    std::lock_guard lock(mutex_);
    now_.last_refusal = {update.version(), update.hash(), std::move(reason), NowUnixMs()};
  }

  void UseStream(Stream* stream) {
    std::lock_guard lock(stream_mutex_);
    stream_ = stream;
  }

  // The oldest version that it named as in use; nullopt: the stream is at its end. What is true is found out while no
  // other thread sends: reports would overtake each other, and the last to come be an older one.
  std::optional<int64_t> Send(const v1::SnapshotUpdate* refused, std::string_view reason = {}) {
    std::lock_guard lock(stream_mutex_);
    if (stream_ == nullptr) return std::nullopt;
    const v1::SubscriberStatus report = Report(refused, reason);
    if (!stream_->Write(report)) return std::nullopt;
    return report.oldest_version_in_use();
  }

  // A snapshot is acknowledged when new requests are decided by it; that the last one of an older snapshot has ended
  // follows later, and nothing else would say so.
  void TellWhatIsInUse() {
    int64_t told = 0;
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (told == now_.version) {
        changed_.wait(lock, [&] { return stopping_ || told != now_.version; });
      } else {
        changed_.wait_for(lock, kInUseInterval, [this] { return stopping_; });
      }
      if (stopping_) return;
      const bool connected = now_.connected;
      lock.unlock();
      if (connected && OldestVersionInUse() != told) told = Send(nullptr).value_or(told);
      lock.lock();
    }
  }

  // Of requests in flight; and of what lies on a disk that could not take what came after it, because the next start
  // would route by that.
  int64_t OldestVersionInUse() const {
    const int64_t oldest = options_.oldest_version_in_use();
    std::lock_guard lock(mutex_);
    return kept_version_ <= 0 || oldest == 0 ? oldest : std::min(oldest, kept_version_);
  }

  // What runs here, and what was refused, if anything.
  v1::SubscriberStatus Report(const v1::SnapshotUpdate* refused, std::string_view reason = {}) const {
    v1::SubscriberStatus report;
    report.set_node_id(options_.node_id);
    for (const std::string& scope : options_.scopes) report.add_scopes(scope);
    if (options_.oldest_version_in_use) report.set_oldest_version_in_use(OldestVersionInUse());
    std::lock_guard lock(mutex_);
    report.set_running_version(now_.version);
    report.set_running_hash(now_.hash);
    if (refused == nullptr) return report;
    report.mutable_refusal()->set_version(refused->version());
    report.mutable_refusal()->set_hash(CutText(refused->hash(), 64));
    report.mutable_refusal()->set_reason(CutText(reason, distribution::kRefusalReasonBytesMax));
    return report;
  }

  bool BeginCall(const std::string& address, grpc::ClientContext& context) {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    call_ = &context;
    now_.control = address;
    return true;
  }

  void EndCall(const std::string& address, const grpc::Status& status) {
    std::lock_guard lock(mutex_);
    call_ = nullptr;
    now_.connected = false;
    now_.connection_error = fmt::format(
        "{}: {}", address, status.ok() ? "the control plane ended the subscription" : status.error_message());
  }

  void Pause(milliseconds pause) {
    const int64_t part = std::uniform_int_distribution<int64_t>((pause.count() + 1) / 2, pause.count())(random_);
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, milliseconds(part), [this] { return stopping_; });
  }

  bool stopping() const {
    std::lock_guard lock(mutex_);
    return stopping_;
  }

  const SubscriberOptions options_;
  const std::vector<std::string> addresses_;
  const std::unique_ptr<StateFolder> state_;  // of the thread; null when nothing is kept
  const OnSnapshot on_snapshot_;
  std::mt19937_64 random_;                   // of the thread
  std::vector<std::string> running_scopes_;  // of the thread: for which the snapshot that runs was made

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool stopping_ = false;  // guarded by mutex_, as are the next three
  SubscriberStatus now_;
  int64_t kept_version_ = 0;             // of the snapshot on disk; 0: there is none
  grpc::ClientContext* call_ = nullptr;  // the call under way, for Stop()

  // Not held while the stream is read: reports come from two threads, snapshots go to one.
  std::mutex stream_mutex_;
  Stream* stream_ = nullptr;  // guarded by stream_mutex_

  std::mutex join_mutex_;
  std::thread thread_;
  std::thread in_use_thread_;  // none where what is in use is not known
};

}  // namespace

absl::StatusOr<std::unique_ptr<Subscriber>> Subscriber::Start(SubscriberOptions options, OnSnapshot on_snapshot) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(std::vector<std::string> addresses, Addresses(options.control));
  // Kept until the process ends: when the last user of gRPC goes, its threads are waited for, up to 10 s.
  [[maybe_unused]] static const bool kKeepGrpc = (grpc_init(), true);
  if (options.node_id.empty()) options.node_id = DefaultNodeId();
  std::unique_ptr<StateFolder> state;
  if (!options.state_dir.empty()) {
    ASSIGN_OR_RETURN(state, StateFolder::Open(options.state_dir));
  }
  return std::make_unique<SubscriberImpl>(std::move(options), std::move(addresses), std::move(state),
                                          std::move(on_snapshot));
}

}  // namespace signalbox::subscribe
