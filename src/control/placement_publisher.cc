#include "control/placement_publisher.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "base/canonical_json.h"
#include "base/file.h"
#include "base/file_stamp.h"
#include "base/printable.h"
#include "base/status.h"
#include "decide/placement_file.h"

namespace signalbox::control {
namespace {

using std::chrono::milliseconds;

}  // namespace

absl::StatusOr<std::unique_ptr<PlacementPublisher>> PlacementPublisher::Start(store::Store& store,
                                                                              PlacementPublisherOptions options) {
  std::unique_ptr<PlacementPublisher> publisher(new PlacementPublisher(store, std::move(options)));
  absl::Status status = publisher->PublishFile();
  if (!status.ok()) {
    if (!store.Get(store::kPlacementTopic, std::nullopt).ok()) return status;
    spdlog::error("placement: {}; going on with the placement that was published last", Message(status));
    publisher->last_error_ = status;
  }
  publisher->thread_ = std::thread([raw = publisher.get()] { raw->Run(); });
  return publisher;
}

PlacementPublisher::~PlacementPublisher() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    stop_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

absl::Status PlacementPublisher::last_error() const {
  std::lock_guard lock(mutex_);
  return last_error_;
}

absl::Status PlacementPublisher::PublishFile() {
  ASSIGN_OR_RETURN(std::string json, ReadFile(options_.file, decide::kPlacementFileBytesMax));
  ASSIGN_OR_RETURN(v1::Placement placement, decide::ParsePlacementFile(options_.file, json));
  ASSIGN_OR_RETURN(std::string content, CanonicalJson(placement));
  ASSIGN_OR_RETURN(store::Published published,
                   store_.Publish({.topic = std::string(store::kPlacementTopic),
                                   .content = std::move(content),
                                   .author = "signalbox control",
                                   .message = EscapeControlCharacters(options_.file).substr(0, store::kMessageBytesMax),
                                   .expected = {}}));
  if (!published.unchanged) {
    spdlog::info("placement: {} is published as version {}: {} shards, {} models", options_.file,
                 published.info.version, placement.shards_size(), placement.models_size());
  }
  return absl::OkStatus();
}

void PlacementPublisher::Run() {
  // Not the stamp of before Start: what was written in between is looked at once more.
  FileStamp seen;
  absl::Status reported = last_error();
  std::unique_lock lock(mutex_);
  milliseconds pause(0);
  while (!stop_.wait_for(lock, pause, [this] { return stopping_; })) {
    pause = options_.poll_interval;
    lock.unlock();
    const FileStamp stamp = FileStamp::Of(options_.file);
    if (stamp == seen && reported.ok()) {
      lock.lock();
      continue;
    }
    // While it fails it is tried again and again: what is wrong may be the store, not the file.
    absl::Status status = PublishFile();
    if (!status.ok() && status != reported) {
      spdlog::error("placement: {}; the placement that was published last stays", Message(status));
    } else if (status.ok() && !reported.ok()) {
      spdlog::info("placement: {} is good again", options_.file);
    }
    if (!status.ok() && stamp == seen) pause = options_.retry_interval;
    seen = stamp;
    reported = status;
    lock.lock();
    last_error_ = std::move(status);
  }
}

}  // namespace signalbox::control
