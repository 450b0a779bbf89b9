// The decision log: JSON Lines on disk, one record a request (sampled), written by a thread of its own so that no
// worker ever waits for a disk.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "telemetry/counter.h"
#include "telemetry/record_ring.h"

namespace signalbox::telemetry {

// Whether the decision `decision_id` is logged when `sample_ppm` parts per million are. A function of its arguments
// alone: every process that meets the id says the same, so that logs can be joined, and a decision that is in a sample
// is in every larger one.
bool InSample(uint64_t decision_id, uint32_t sample_ppm);

// Thread-safe, except that a ring belongs to its producer.
class DecisionLog {
 public:
  // Appends to `path`, creating it. NOT_FOUND or PERMISSION_DENIED, naming it, when it cannot be opened.
  static absl::StatusOr<std::unique_ptr<DecisionLog>> Open(std::string path);
  // Writes what waits. Producers must have stopped.
  ~DecisionLog();
  DecisionLog(const DecisionLog&) = delete;
  DecisionLog& operator=(const DecisionLog&) = delete;

  // The queue of one worker. Lives as long as the log.
  RecordRing& AddRing(size_t bytes_min);

  // Returns when all that was pushed before the call is written, or counted as lost, and synced.
  void Flush();

  // Opens `path` anew, for after it was renamed. When that fails, the old file stays in use.
  absl::Status Reopen();

  uint64_t written() const { return written_.value(); }
  uint64_t lost_to_full_rings() const;
  uint64_t lost_to_write_errors() const { return write_errors_.value(); }

 private:
  DecisionLog(std::string path, int fd);

  void Run();
  // Writes what is in the rings now.
  void Drain();
  void WriteBatch(const std::string& lines, size_t records);
  void ReportWriteError(int error, size_t records);
  std::vector<RecordRing*> Rings();
  void Sync();

  const std::string path_;
  Counter written_;
  Counter write_errors_;

  // The writer thread's own.
  std::chrono::steady_clock::time_point next_report_;
  uint64_t unreported_errors_ = 0;

  // Held during a write: Reopen waits for the disk, workers never do.
  std::mutex file_mutex_;
  int fd_;
  bool line_is_torn_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable flushed_;
  std::vector<std::unique_ptr<RecordRing>> rings_;
  uint64_t flushes_asked_ = 0;
  uint64_t flushes_done_ = 0;
  bool stop_ = false;

  std::thread writer_;
};

}  // namespace signalbox::telemetry
