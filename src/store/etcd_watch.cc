#include "store/etcd_watch.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/status.h"
#include "store/etcd_client.h"
#include "store/etcd_reader.h"

namespace signalbox::store {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kReconnectFirst{50};
constexpr milliseconds kReconnectMax{1000};

// Calls `on_event` from a thread of its own whenever etcd says that something has changed, and when it may have missed
// that. Goes to the member that the client asks now.
class EtcdEvents {
 public:
  EtcdEvents(EtcdClient& client, const EtcdKeys& keys, std::function<void()> on_event)
      : client_(client), keys_(keys), on_event_(std::move(on_event)), thread_([this] { Run(); }) {}

  ~EtcdEvents() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      if (context_ != nullptr) context_->TryCancel();
      stop_.notify_all();
    }
    thread_.join();
  }

  // The client has gone on to another member: so should the stream, whose member may be cut off without a word.
  void FollowClient() {
    std::lock_guard lock(mutex_);
    if (context_ != nullptr && endpoint_ != client_.current().endpoint) context_->TryCancel();
  }

 private:
  void Run() {
    for (milliseconds pause = kReconnectFirst;; pause = std::min(2 * pause, kReconnectMax)) {
      if (Listen()) pause = kReconnectFirst;
      std::unique_lock lock(mutex_);
      if (stop_.wait_for(lock, pause, [this] { return stopping_; })) return;
    }
  }

  // Until the stream ends. True when it began.
  bool Listen() {
    const EtcdClient::Member& member = client_.current();
    grpc::ClientContext context;
    // The member ends the stream when it has lost the others.
    context.AddMetadata("hasleader", "true");
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return false;
      context_ = &context;
      endpoint_ = member.endpoint;
    }
    auto stub = etcd::Watch::NewStub(member.channel);
    auto stream = stub->Watch(&context);
    bool has_begun = Ask(*stream, GetKey(keys_.Head())) && Ask(*stream, GetPrefix(keys_.prefix() + "r/"));
    etcd::WatchResponse event;
    int64_t answers = 0;
    // Also that a watch was created is an event: what happened before it must be looked for.
    while (has_begun && stream->Read(&event) && !event.canceled()) {
      ++answers;
      on_event_();
    }
    {
      std::lock_guard lock(mutex_);
      context_ = nullptr;
    }
    context.TryCancel();
    (void)stream->Finish();
    return answers > 0;
  }

  static bool Ask(grpc::ClientReaderWriter<etcd::WatchRequest, etcd::WatchResponse>& stream,
                  const etcd::RangeRequest& range) {
    etcd::WatchRequest request;
    request.mutable_create_request()->set_key(range.key());
    request.mutable_create_request()->set_range_end(range.range_end());
    return stream.Write(request);
  }

  EtcdClient& client_;
  const EtcdKeys keys_;
  const std::function<void()> on_event_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;                   // guarded by mutex_, as are the next
  grpc::ClientContext* context_ = nullptr;  // of the stream there is
  std::string endpoint_;
  std::thread thread_;  // last: it uses all the others
};

class EtcdWatch : public Watch {
 public:
  EtcdWatch(std::string store, const EtcdOptions& options, int64_t after_sequence)
      : store_(std::move(store)),
        keys_(options.prefix),
        reread_interval_(options.reread_interval),
        client_(store_, options),
        reader_(store_, client_, keys_),
        seen_(after_sequence) {}

  absl::Status Begin() {
    RETURN_IF_ERROR(Look().status());
    events_ = std::make_unique<EtcdEvents>(client_, keys_, [this] {
      std::lock_guard lock(mutex_);
      has_event_ = true;
      wake_.notify_all();
    });
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<VersionInfo>> Next(milliseconds timeout) override {
    const auto deadline = steady_clock::now() + timeout;
    const int64_t records_before = records_revision_;
    // Who does not wait wants to know what there is now.
    bool must_look = timeout.count() <= 0;
    while (true) {
      {
        std::unique_lock lock(mutex_);
        if (!must_look) {
          wake_.wait_until(lock, std::min(deadline, next_look_), [this] { return has_event_ || stopped_; });
        }
        if (stopped_) return absl::CancelledError("the watch was stopped");
        has_event_ = false;
      }
      must_look = false;
      absl::StatusOr<int64_t> sequence = Look();
      if (!sequence.ok()) {
        // As if nothing had been looked at.
        next_look_ = steady_clock::now();
        return sequence.status();
      }
      if (*sequence > seen_) return TakeChanges(*sequence);
      if (records_revision_ != records_before || steady_clock::now() >= deadline) return std::vector<VersionInfo>();
    }
  }

  int64_t records_revision() const override { return records_revision_; }

  void Stop() override {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    wake_.notify_all();
  }

 private:
  // The sequence of the store, and whether records have changed.
  absl::StatusOr<int64_t> Look() {
    if (events_ != nullptr) events_->FollowClient();
    etcd::TxnRequest read;
    AddGet(read, GetKey(keys_.Head()));
    etcd::RangeRequest records = GetPrefix(keys_.prefix() + "r/");
    records.set_keys_only(true);
    AddGet(read, std::move(records));
    ASSIGN_OR_RETURN(etcd::TxnResponse answer, client_.Read(read));
    ASSIGN_OR_RETURN(EtcdHead head, reader_.ToHead(answer.responses(0).response_range()));
    if (head.content.sequence() < seen_) {
      return absl::UnavailableError(fmt::format(
          "store {}: it is at sequence {}, and was at {} before: was etcd restored from a backup, or emptied? "
          "See docs/operators.md, and start this process again",
          store_, head.content.sequence(), seen_));
    }
    NoteRecords(answer.responses(1).response_range(), answer.header().revision());
    next_look_ = steady_clock::now() + reread_interval_;
    return head.content.sequence();
  }

  // A record that is gone leaves no trace in those that are there: all of them are compared.
  void NoteRecords(const etcd::RangeResponse& answer, int64_t revision) {
    std::vector<std::pair<std::string, int64_t>> records;
    for (const mvccpb::KeyValue& pair : answer.kvs()) records.emplace_back(pair.key(), pair.mod_revision());
    if (records == records_ && records_revision_ != 0) return;
    records_ = std::move(records);
    records_revision_ = revision;
  }

  absl::StatusOr<std::vector<VersionInfo>> TakeChanges(int64_t sequence) {
    absl::StatusOr<std::vector<VersionInfo>> changes = reader_.ReadChanges(seen_, kWatchBatchMax);
    if (changes.ok() && !changes->empty()) seen_ = changes->back().sequence;
    // There is more, or it could not be read: look again at once.
    if (seen_ < sequence) next_look_ = steady_clock::now();
    return changes;
  }

  const std::string store_;
  const EtcdKeys keys_;
  const milliseconds reread_interval_;
  EtcdClient client_;
  EtcdReader reader_;
  int64_t seen_;
  int64_t records_revision_ = 0;
  std::vector<std::pair<std::string, int64_t>> records_;  // keys and revisions, as they were last read
  steady_clock::time_point next_look_{};

  std::mutex mutex_;
  std::condition_variable wake_;
  bool has_event_ = false;  // guarded by mutex_, as is the next
  bool stopped_ = false;
  std::unique_ptr<EtcdEvents> events_;  // last: it calls back
};

}  // namespace

absl::StatusOr<std::unique_ptr<Watch>> WatchEtcd(std::string store, EtcdOptions options, int64_t after_sequence) {
  // Next() can be called again, and must not keep Stop() waiting: the next member is asked by the next call.
  options.patience = options.request_timeout;
  auto watch = std::make_unique<EtcdWatch>(std::move(store), options, after_sequence);
  RETURN_IF_ERROR(watch->Begin());
  return watch;
}

}  // namespace signalbox::store
