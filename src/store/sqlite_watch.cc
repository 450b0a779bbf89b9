#include "store/sqlite_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "base/status.h"
#include "store/sqlite_rows.h"

namespace signalbox::store {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The log is written before the commit can be seen: after a write it is looked at again and again, at doubled
// intervals, up to the usual one.
constexpr milliseconds kFirstLook{1};

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  int value() const { return value_; }

 private:
  const int value_;
};

class SqliteWatch : public Watch {
 public:
  SqliteWatch(std::unique_ptr<Database> database, const FileIdentity& file, milliseconds poll_interval,
              int64_t after_sequence)
      : database_(std::move(database)),
        file_(file),
        poll_interval_(poll_interval),
        stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        log_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)),
        seen_(after_sequence),
        interval_(poll_interval) {}

  absl::Status Begin() {
    if (stop_.value() < 0)
      return absl::ResourceExhaustedError("a watch of the store needs a file descriptor: none is left");
    // The first read makes the log where it is missing; it stays as long as this connection.
    ASSIGN_OR_RETURN(records_revision_, ReadRecordsRevision(*database_));
    if (log_.value() >= 0) inotify_add_watch(log_.value(), (database_->path() + "-wal").c_str(), IN_MODIFY);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<VersionInfo>> Next(milliseconds timeout) override {
    const auto deadline = steady_clock::now() + timeout;
    const int64_t records_before = records_revision_;
    while (true) {
      if (stopped_) return absl::CancelledError("the watch was stopped");
      RETURN_IF_ERROR(CheckSameFile(database_->path(), file_));
      ASSIGN_OR_RETURN(std::vector<VersionInfo> changes, Look());
      if (!changes.empty() || records_revision_ != records_before) return changes;
      const auto now = steady_clock::now();
      if (now >= deadline) return changes;
      WaitForWrite(std::min(interval_, std::chrono::ceil<milliseconds>(deadline - now)));
    }
  }

  int64_t records_revision() const override { return records_revision_; }

  void Stop() override {
    stopped_ = true;
    const uint64_t one = 1;
    // Cannot fail: the counter of the descriptor is far from its end.
    [[maybe_unused]] ssize_t written = write(stop_.value(), &one, sizeof one);
  }

 private:
  void WaitForWrite(milliseconds timeout) {
    pollfd descriptors[] = {{stop_.value(), POLLIN, 0}, {log_.value(), POLLIN, 0}};
    const int ready = poll(descriptors, log_.value() >= 0 ? 2 : 1, static_cast<int>(timeout.count()));
    if (ready > 0 && (descriptors[1].revents & POLLIN) != 0) {
      alignas(inotify_event) char events[4096];
      while (read(log_.value(), events, sizeof events) > 0) {
      }
      interval_ = std::min(kFirstLook, poll_interval_);
    } else {
      interval_ = std::min(2 * interval_, poll_interval_);
    }
  }

  // `data_version` changes when any other connection, of this process or another, has committed.
  absl::StatusOr<std::vector<VersionInfo>> Look() {
    ASSIGN_OR_RETURN(int64_t data_version, database_->QueryInteger("PRAGMA data_version"));
    if (data_version == data_version_) return std::vector<VersionInfo>();
    ASSIGN_OR_RETURN(Transaction one_moment, Transaction::Begin(*database_, "BEGIN"));
    ASSIGN_OR_RETURN(std::vector<VersionInfo> changes, ReadChanges(*database_, seen_, kWatchBatchMax));
    ASSIGN_OR_RETURN(records_revision_, ReadRecordsRevision(*database_));
    // Where the batch is full there may be more: look again next time.
    if (changes.size() < kWatchBatchMax) data_version_ = data_version;
    if (!changes.empty()) seen_ = changes.back().sequence;
    return changes;
  }

  const std::unique_ptr<Database> database_;
  const FileIdentity file_;
  const milliseconds poll_interval_;
  const Descriptor stop_;
  const Descriptor log_;  // inotify; below 0 where the user has too many already
  int64_t seen_;
  milliseconds interval_;
  int64_t records_revision_ = 0;
  int64_t data_version_ = -1;
  std::atomic<bool> stopped_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Watch>> WatchSqlite(std::unique_ptr<Database> database, const FileIdentity& file,
                                                   milliseconds poll_interval, int64_t after_sequence) {
  auto watch = std::make_unique<SqliteWatch>(std::move(database), file, poll_interval, after_sequence);
  RETURN_IF_ERROR(watch->Begin());
  return watch;
}

}  // namespace signalbox::store
