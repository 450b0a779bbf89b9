// The operator's placement file, published whenever it changes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/store.h"

namespace signalbox::control {

struct PlacementPublisherOptions {
  std::string file;  // as decide/placement_file.h reads it
  std::chrono::milliseconds poll_interval{200};
  // Wait before a publish that the store refused is tried again.
  std::chrono::milliseconds retry_interval{2000};
};

// Publishes the file into the topic `placement`: once at the start, and from then on when the file changes (not when
// the topic does: of two control planes on one store the one whose file was changed last decides). A file that is
// broken, half-written or gone is reported, and the placement that was published last stays.
class PlacementPublisher {
 public:
  // Publishes before it returns. When the file is broken and the store has a placement, that one goes on to be used and
  // last_error() says what is wrong; when the store has none either, that is the error of Start. `store` must outlive
  // the publisher.
  static absl::StatusOr<std::unique_ptr<PlacementPublisher>> Start(store::Store& store,
                                                                   PlacementPublisherOptions options);
  ~PlacementPublisher();

  // Of the newest content of the file. OK: it is published. From any thread.
  absl::Status last_error() const;

 private:
  PlacementPublisher(store::Store& store, PlacementPublisherOptions options)
      : store_(store), options_(std::move(options)) {}
  absl::Status PublishFile();
  void Run();

  store::Store& store_;
  const PlacementPublisherOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;  // guarded by mutex_, as is the next
  absl::Status last_error_;
  std::thread thread_;
};

}  // namespace signalbox::control
