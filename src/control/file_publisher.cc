#include "control/file_publisher.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "base/canonical_json.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/printable.h"
#include "base/rfc3339.h"
#include "base/status.h"
#include "control/publish_fleet.h"
#include "decide/placement_file.h"

namespace signalbox::control {
namespace {

using std::chrono::milliseconds;

absl::StatusOr<FileContent> ReadPlacement(store::Store& store, const std::string& file, const std::string& json) {
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
  return FileContent{std::move(content),
                     fmt::format("{} shards, {} models", placement.shards_size(), placement.models_size())};
}

absl::StatusOr<store::Published> PublishPlacement(store::Store& store, const FileContent& content,
                                                  const std::string& author, const std::string& message) {
  return store.Publish({.topic = std::string(store::kPlacementTopic),
                        .content = content.canonical,
                        .author = author,
                        .message = message,
                        .expected = {}});
}

absl::StatusOr<FileContent> ReadFleet(store::Store&, const std::string& file, const std::string& json) {
  ASSIGN_OR_RETURN(v1::Fleet fleet, ParseFleetFile(file, json));
  ASSIGN_OR_RETURN(std::string content, CanonicalJson(fleet));
  return FileContent{std::move(content), fmt::format("{} shards, {} models", fleet.shards_size(), fleet.models_size())};
}

absl::StatusOr<store::Published> PublishFleetContent(store::Store& store, const FileContent& content,
                                                     const std::string& author, const std::string& message) {
  v1::Fleet fleet;
  RETURN_IF_ERROR(ParseJson(content.canonical, fleet));
  return PublishFleet(store, fleet, author, message);
}

// Versions that are looked back at for what this control plane published: more than restarts and edits make.
constexpr size_t kVersionsMax = 1'000;

std::string WhoText(const store::VersionInfo& info) {
  return fmt::format("version {} by {} at {} ({})", info.version, EscapeControlCharacters(info.author),
                     Rfc3339(info.unix_ms / 1000 * 1000), EscapeControlCharacters(info.message));
}

}  // namespace

FileKind PlacementFile() { return {"placement", std::string(store::kPlacementTopic), ReadPlacement, PublishPlacement}; }
FileKind FleetFile() { return {"fleet", std::string(store::kFleetTopic), ReadFleet, PublishFleetContent}; }

absl::StatusOr<std::unique_ptr<FilePublisher>> FilePublisher::Start(store::Store& store, FileKind kind,
                                                                    FilePublisherOptions options) {
  std::unique_ptr<FilePublisher> publisher(new FilePublisher(store, std::move(kind), std::move(options)));
  // Before it is read: what is written after that is looked at once more.
  publisher->seen_ = FileStamp::Of(publisher->options_.file);
  absl::Status status = publisher->PublishFile(/*is_change=*/false);
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

absl::Status FilePublisher::PublishFile(bool is_change) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(options_.file, decide::kPlacementFileBytesMax));
  ASSIGN_OR_RETURN(const FileContent content, kind_.read(store_, options_.file, text));
  if (!is_change) RETURN_IF_ERROR(CheckIsNews(content.canonical));
  const auto before = store_.History(kind_.topic, 1);
  ASSIGN_OR_RETURN(const store::Published published,
                   kind_.publish(store_, content, options_.node_id,
                                 EscapeControlCharacters(options_.file).substr(0, store::kMessageBytesMax)));
  if (published.unchanged) return absl::OkStatus();
  spdlog::info("{}: {} is published as version {}: {}", kind_.name, options_.file, published.info.version,
               content.summary);
  if (before.ok() && before->front().author != options_.node_id) {
    spdlog::warn("{}: that replaces {}: all control planes of a store should have the same file", kind_.name,
                 WhoText(before->front()));
  }
  return absl::OkStatus();
}

absl::Status FilePublisher::CheckIsNews(const std::string& canonical) const {
  const auto history = store_.History(kind_.topic, kVersionsMax);
  if (absl::IsNotFound(history.status())) return absl::OkStatus();
  RETURN_IF_ERROR(history.status());
  const std::string hash = Sha256Hex(canonical);
  const store::VersionInfo& newest = history->front();
  if (newest.content_hash == hash || newest.author == options_.node_id) return absl::OkStatus();
  const auto own = std::find_if(history->begin(), history->end(),
                                [&](const store::VersionInfo& info) { return info.author == options_.node_id; });
  const auto same = std::find_if(history->begin(), history->end(),
                                 [&](const store::VersionInfo& info) { return info.content_hash == hash; });
  const bool is_news = own == history->end() ? same == history->end() : own->content_hash != hash;
  if (is_news) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "{} says what version {} said, and {} has replaced that: it is not published again. Give all control planes of "
      "the "
      "store the same file; if this one is to count, write it anew (or touch it) while this control plane runs",
      options_.file, own == history->end() ? same->version : own->version, WhoText(newest)));
}

void FilePublisher::Run() {
  bool is_change = false;
  absl::Status reported = last_error();
  std::unique_lock lock(mutex_);
  milliseconds pause(0);
  while (!stop_.wait_for(lock, pause, [this] { return stopping_; })) {
    pause = options_.poll_interval;
    lock.unlock();
    const FileStamp stamp = FileStamp::Of(options_.file);
    if (stamp == seen_ && reported.ok()) {
      lock.lock();
      continue;
    }
    // While it fails it is tried again and again: what is wrong may be the store, not the file.
    is_change = is_change || stamp != seen_;
    absl::Status status = PublishFile(is_change);
    if (status.ok()) is_change = false;
    if (!status.ok() && status != reported) {
      spdlog::error("{}: {}; the {} that was published last stays", kind_.name, Message(status), kind_.name);
    } else if (status.ok() && !reported.ok()) {
      spdlog::info("{}: {} is good again", kind_.name, options_.file);
    }
    if (!status.ok() && stamp == seen_) pause = options_.retry_interval;
    seen_ = stamp;
    reported = status;
    lock.lock();
    last_error_ = std::move(status);
  }
}

}  // namespace signalbox::control
