// A file that an operator keeps, published whenever it changes: the placement, or the fleet.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_stamp.h"
#include "store/store.h"

namespace signalbox::control {

// A file that is good: what is to be published, and in a few words what it holds.
struct FileContent {
  std::string canonical;  // JSON
  std::string summary;    // "2 shards, 5 models"
};

// What kind of file: how messages call it, its topic, and how what it holds gets there.
struct FileKind {
  std::string name;
  std::string topic;
  std::function<absl::StatusOr<FileContent>(store::Store& store, const std::string& file, const std::string& content)>
      read;
  std::function<absl::StatusOr<store::Published>(store::Store& store, const FileContent& content,
                                                 const std::string& author, const std::string& message)>
      publish;
};

// As decide/placement_file.h reads it. FAILED_PRECONDITION in a store that is managed: there the control plane writes
// the placement.
FileKind PlacementFile();
// As control/publish_fleet.h reads it.
FileKind FleetFile();

struct FilePublisherOptions {
  std::string file;
  // Of the control plane, which signs with it.
  std::string node_id = "signalbox control";
  std::chrono::milliseconds poll_interval{200};
  // Wait before a publish that the store refused is tried again.
  std::chrono::milliseconds retry_interval{2000};
};

// Publishes the file: at the start where it is news, and from then on when the file changes (not when the topic does:
// of two control planes on one store the one whose file was changed last decides). A file that is broken, half-written
// or gone is reported, and what was published last stays.
//
// At the start it is no news, and is refused with FAILED_PRECONDITION, where another control plane has published
// something else since and this file is as this control plane published it last, or where this control plane has never
// published and the file is an older version: two control planes with different files would else take turns with each
// restart. Writing the file, or touching it, while the control plane runs, publishes it all the same.
class FilePublisher {
 public:
  // Publishes before it returns. When the file is broken and the store has one, that one goes on to be used and
  // last_error() says what is wrong; when the store has none either, that is the error of Start. `store` must outlive
  // the publisher.
  static absl::StatusOr<std::unique_ptr<FilePublisher>> Start(store::Store& store, FileKind kind,
                                                              FilePublisherOptions options);
  ~FilePublisher();

  // Of the newest content of the file. OK: it is published. From any thread.
  absl::Status last_error() const;

 private:
  FilePublisher(store::Store& store, FileKind kind, FilePublisherOptions options)
      : store_(store), kind_(std::move(kind)), options_(std::move(options)) {}
  // `is_change`: somebody has written the file just now.
  absl::Status PublishFile(bool is_change);
  absl::Status CheckIsNews(const std::string& canonical) const;
  void Run();

  store::Store& store_;
  const FileKind kind_;
  const FilePublisherOptions options_;
  FileStamp seen_;  // of the thread, once it runs
  mutable std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;  // guarded by mutex_, as is the next
  absl::Status last_error_;
  std::thread thread_;
};

}  // namespace signalbox::control
