#include "telemetry/decision_log.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/hash.h"
#include "base/status.h"

namespace signalbox::telemetry {
namespace {

// How long a record may wait for company. At the default ring of 8 MiB it takes 800,000 requests/s of usual size per
// worker to fill the ring meanwhile; and an idle process wakes 50 times a second, which costs nothing that can be
// measured.
constexpr std::chrono::milliseconds kDrainInterval{20};
// Text that is gathered before it is written: large enough that the system call is a small part of the cost.
constexpr size_t kBatchBytes = 256 << 10;
// A full disk fails every batch; an operator needs to read it once.
constexpr std::chrono::seconds kReportInterval{30};
// For a pipe whose reader is behind. Longer, and the rings would be full anyway.
constexpr int kWriteWaitMs = 1000;

absl::StatusOr<int> OpenForAppending(const std::string& path) {
  // Non-blocking: a FIFO without a reader must hang neither the start nor the end. Regular files do not notice.
  int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
  if (fd < 0) return absl::ErrnoToStatus(errno, fmt::format("open the decision log {}", path));
  return fd;
}

// Whether `path` is a file that a process left in the middle of a line, when it was killed or the disk was full.
bool EndsInsideALine(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  struct stat info;
  char last = '\n';
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 && pread(fd, &last, 1, info.st_size - 1) != 1)
    last = '\n';
  close(fd);
  return last != '\n';
}

bool WaitUntilWritable(int fd) {
  pollfd entry = {.fd = fd, .events = POLLOUT, .revents = 0};
  return poll(&entry, 1, kWriteWaitMs) == 1;
}

// Writes all of `content`. Returns how much was written, and sets `error` when that is not all.
size_t WriteAll(int fd, std::string_view content, int& error) {
  size_t done = 0;
  while (done < content.size()) {
    ssize_t written = write(fd, content.data() + done, content.size() - done);
    if (written >= 0) {
      done += static_cast<size_t>(written);
    } else if (errno == EINTR || (errno == EAGAIN && WaitUntilWritable(fd))) {
      continue;
    } else {
      error = errno;
      break;
    }
  }
  return done;
}

}  // namespace

bool InSample(uint64_t decision_id, uint32_t sample_ppm) {
  constexpr uint64_t kMillion = 1'000'000;
  // Ids may be counted up: the hash spreads them. The seed keeps the choice independent of other uses of the same hash.
  constexpr uint64_t kSeed = 0x5349474e414c4f47;
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(decision_id >> (8 * i));
  uint64_t high = StableHash64({bytes, sizeof(bytes)}, kSeed) >> 32;
  return (high * kMillion) >> 32 < sample_ppm;
}

absl::StatusOr<std::unique_ptr<DecisionLog>> DecisionLog::Open(std::string path) {
  absl::StatusOr<int> fd = OpenForAppending(path);
  if (!fd.ok()) return fd.status();
  return std::unique_ptr<DecisionLog>(new DecisionLog(std::move(path), *fd));
}

DecisionLog::DecisionLog(std::string path, int fd)
    : path_(std::move(path)), fd_(fd), line_is_torn_(EndsInsideALine(path_)) {
  writer_ = std::thread([this] { Run(); });
}

DecisionLog::~DecisionLog() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  writer_.join();
  close(fd_);
}

RecordRing& DecisionLog::AddRing(size_t bytes_min) {
  std::lock_guard lock(mutex_);
  return *rings_.emplace_back(std::make_unique<RecordRing>(bytes_min));
}

void DecisionLog::Flush() {
  std::unique_lock lock(mutex_);
  uint64_t ticket = ++flushes_asked_;
  wake_.notify_all();
  flushed_.wait(lock, [&] { return flushes_done_ >= ticket; });
}

absl::Status DecisionLog::Reopen() {
  absl::StatusOr<int> fd = OpenForAppending(path_);
  if (!fd.ok()) return fd.status();
  std::lock_guard lock(file_mutex_);
  close(fd_);
  fd_ = *fd;
  line_is_torn_ = EndsInsideALine(path_);
  return absl::OkStatus();
}

uint64_t DecisionLog::lost_to_full_rings() const {
  std::lock_guard lock(mutex_);
  uint64_t lost = 0;
  for (const auto& ring : rings_) lost += ring->lost();
  return lost;
}

void DecisionLog::Run() {
  // Signals are for the main thread; and a pipe whose reader went away is an error of the log, not the end of the
  // process.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait_for(lock, kDrainInterval, [&] { return stop_ || flushes_asked_ > flushes_done_; });
    // Read before draining: whoever asks during the drain is served by the next one.
    const uint64_t flushes = flushes_asked_;
    const bool sync = stop_ || flushes > flushes_done_;
    const bool last = stop_;
    lock.unlock();
    Drain();
    if (sync) Sync();
    lock.lock();
    if (flushes > flushes_done_) {
      flushes_done_ = flushes;
      flushed_.notify_all();
    }
    if (last) return;
  }
}

std::vector<RecordRing*> DecisionLog::Rings() {
  std::lock_guard lock(mutex_);
  std::vector<RecordRing*> rings;
  for (const auto& ring : rings_) rings.push_back(ring.get());
  return rings;
}

void DecisionLog::Drain() {
  std::string lines;
  size_t records = 0;
  auto write_batch = [&] {
    WriteBatch(lines, records);
    lines.clear();
    records = 0;
  };
  for (RecordRing* ring : Rings()) {
    // Only what waits now: a worker that pushes as fast as this thread pops must not keep it from the others.
    for (const size_t end = ring->end(); ring->HasBefore(end);) {
      ring->Front().AppendJsonLine(lines);
      ring->Pop();
      ++records;
      if (lines.size() >= kBatchBytes) write_batch();
    }
  }
  if (records > 0) write_batch();
}

void DecisionLog::WriteBatch(const std::string& lines, size_t records) {
  std::lock_guard lock(file_mutex_);
  int error = 0;
  // What follows half a line begins on a line of its own, so that a reader loses that one record and no other.
  if (line_is_torn_ && WriteAll(fd_, "\n", error) == 1) line_is_torn_ = false;
  size_t bytes = error == 0 ? WriteAll(fd_, lines, error) : 0;
  if (bytes == lines.size()) {
    written_.Add(records);
    return;
  }
  auto whole = static_cast<size_t>(std::count(lines.begin(), lines.begin() + static_cast<ptrdiff_t>(bytes), '\n'));
  line_is_torn_ = line_is_torn_ || (bytes > 0 && lines[bytes - 1] != '\n');
  written_.Add(whole);
  write_errors_.Add(records - whole);
  ReportWriteError(error, records - whole);
}

void DecisionLog::ReportWriteError(int error, size_t records) {
  unreported_errors_ += records;
  auto now = std::chrono::steady_clock::now();
  if (now < next_report_) return;
  next_report_ = now + kReportInterval;
  spdlog::error(
      "decision log {}: {}; {} records lost. Requests are not affected. Free the disk, or point the log elsewhere.",
      path_, Message(absl::ErrnoToStatus(error, "write")), unreported_errors_);
  unreported_errors_ = 0;
}

void DecisionLog::Sync() {
  std::lock_guard lock(file_mutex_);
  // Fails for what is no file (a pipe, /dev/null), where there is nothing to sync; a disk that fails reports it at the
  // next write too.
  (void)fdatasync(fd_);
}

}  // namespace signalbox::telemetry
