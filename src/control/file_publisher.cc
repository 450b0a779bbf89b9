#include "control/file_publisher.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "base/canonical_json.h"
#include "base/file.h"
#include "base/file_stamp.h"
#include "base/printable.h"
#include "base/status.h"
#include "control/publish_fleet.h"
#include "decide/placement_file.h"

namespace signalbox::control {
namespace {

using std::chrono::milliseconds;

absl::StatusOr<std::string> PublishPlacement(store::Store& store, const std::string& file, const std::string& json) {
  const absl::Status fleet = store.History(store::kFleetTopic, 1).status();
  if (!fleet.ok() && !absl::IsNotFound(fleet)) return fleet;
  if (fleet.ok()) {
    return absl::FailedPreconditionError(
        fmt::format("{}: the store {} is managed: the control plane places models itself; start it with --fleet in "
                    "place of --placement",
                    file, store.name()));
  }
  ASSIGN_OR_RETURN(v1::Placement placement, decide::ParsePlacementFile(file, json));
  ASSIGN_OR_RETURN(std::string content, CanonicalJson(placement));
  ASSIGN_OR_RETURN(store::Published published,
                   store.Publish({.topic = std::string(store::kPlacementTopic),
                                  .content = std::move(content),
                                  .author = "signalbox control",
                                  .message = EscapeControlCharacters(file).substr(0, store::kMessageBytesMax),
                                  .expected = {}}));
  if (published.unchanged) return "";
  return fmt::format("version {}: {} shards, {} models", published.info.version, placement.shards_size(),
                     placement.models_size());
}

absl::StatusOr<std::string> PublishFleetFile(store::Store& store, const std::string& file, const std::string& json) {
  ASSIGN_OR_RETURN(v1::Fleet fleet, ParseFleetFile(file, json));
  ASSIGN_OR_RETURN(store::Published published,
                   PublishFleet(store, fleet, "signalbox control",
                                EscapeControlCharacters(file).substr(0, store::kMessageBytesMax)));
  if (published.unchanged) return "";
  return fmt::format("version {}: {} shards, {} models", published.info.version, fleet.shards_size(),
                     fleet.models_size());
}

}  // namespace

FileKind PlacementFile() { return {"placement", std::string(store::kPlacementTopic), PublishPlacement}; }
FileKind FleetFile() { return {"fleet", std::string(store::kFleetTopic), PublishFleetFile}; }

absl::StatusOr<std::unique_ptr<FilePublisher>> FilePublisher::Start(store::Store& store, FileKind kind,
                                                                    FilePublisherOptions options) {
  std::unique_ptr<FilePublisher> publisher(new FilePublisher(store, std::move(kind), std::move(options)));
  absl::Status status = publisher->PublishFile();
  if (!status.ok()) {
    const std::string& name = publisher->kind_.name;
    if (!store.Get(publisher->kind_.topic, std::nullopt).ok()) return status;
    spdlog::error("{}: {}; going on with the {} that was published last", name, Message(status), name);
    publisher->last_error_ = status;
  }
  publisher->thread_ = std::thread([raw = publisher.get()] { raw->Run(); });
  return publisher;
}

FilePublisher::~FilePublisher() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    stop_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

absl::Status FilePublisher::last_error() const {
  std::lock_guard lock(mutex_);
  return last_error_;
}

absl::Status FilePublisher::PublishFile() {
  ASSIGN_OR_RETURN(std::string content, ReadFile(options_.file, decide::kPlacementFileBytesMax));
  ASSIGN_OR_RETURN(std::string published, kind_.publish(store_, options_.file, content));
  if (!published.empty()) spdlog::info("{}: {} is published as {}", kind_.name, options_.file, published);
  return absl::OkStatus();
}

void FilePublisher::Run() {
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
      spdlog::error("{}: {}; the {} that was published last stays", kind_.name, Message(status), kind_.name);
    } else if (status.ok() && !reported.ok()) {
      spdlog::info("{}: {} is good again", kind_.name, options_.file);
    }
    if (!status.ok() && stamp == seen) pause = options_.retry_interval;
    seen = stamp;
    reported = status;
    lock.lock();
    last_error_ = std::move(status);
  }
}

}  // namespace signalbox::control
