#include "store/etcd_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "base/status.h"
#include "store/batch_check.h"

namespace signalbox::store {
namespace {

// Contents in one answer.
constexpr size_t kAnswerBytesMax = 16U << 20;

}  // namespace

int64_t EtcdHead::NewestOf(std::string_view topic) const {
  const auto found = content.versions().find(std::string(topic));
  return found == content.versions().end() ? 0 : found->second;
}

absl::StatusOr<EtcdHead> EtcdReader::ReadHead() {
  ASSIGN_OR_RETURN(etcd::RangeResponse answer, client_.Range(GetKey(keys_.Head())));
  return ToHead(answer);
}

absl::StatusOr<EtcdHead> EtcdReader::ToHead(const etcd::RangeResponse& answer) const {
  if (answer.kvs_size() == 0) return EtcdHead{};
  EtcdHead head;
  head.revision = answer.kvs(0).mod_revision();
  ASSIGN_OR_RETURN(head.content, Parse<StoredHead>(store_, answer.kvs(0)));
  if (head.content.format() == kEtcdFormat) return head;
  return absl::FailedPreconditionError(
      fmt::format("store {}: its format is {}, this release reads format {}; use the release that wrote it", store_,
                  head.content.format(), kEtcdFormat));
}

absl::StatusOr<StoredVersion> EtcdReader::ReadVersion(std::string_view topic, int64_t version) {
  if (std::optional<Newest> newest = Remembered(topic, version)) return std::move(newest->version);
  ASSIGN_OR_RETURN(std::vector<StoredVersion> versions, ReadVersions({keys_.Version(topic, version)}));
  return std::move(versions.front());
}

absl::StatusOr<std::vector<StoredVersion>> EtcdReader::ReadVersions(const std::vector<std::string>& keys) {
  std::vector<StoredVersion> versions;
  while (versions.size() < keys.size()) {
    etcd::TxnRequest read;
    for (size_t i = versions.size(); i < keys.size() && read.success_size() < kOperationsMax; ++i)
      AddGet(read, GetKey(keys[i]));
    ASSIGN_OR_RETURN(etcd::TxnResponse answer, client_.Read(read));
    for (const etcd::ResponseOp& operation : answer.responses()) {
      const etcd::RangeResponse& range = operation.response_range();
      if (range.kvs_size() == 0) {
        return absl::DataLossError(fmt::format("store {}: key '{}' of etcd is missing; restore etcd from a backup",
                                               store_, keys[versions.size()]));
      }
      ASSIGN_OR_RETURN(versions.emplace_back(), Parse<StoredVersion>(store_, range.kvs(0)));
    }
  }
  return versions;
}

absl::StatusOr<std::vector<StoredVersion>> EtcdReader::ReadHistory(std::string_view topic, size_t versions_max) {
  etcd::RangeRequest range = GetKey(keys_.Version(topic, 0));
  range.set_range_end(EndOf(keys_.VersionOf(std::string(topic) + "@")));
  range.set_limit(static_cast<int64_t>(versions_max));
  range.set_sort_order(etcd::RangeRequest::Descend);
  range.set_sort_target(etcd::RangeRequest::Key);
  ASSIGN_OR_RETURN(etcd::RangeResponse answer, client_.Range(range));
  std::vector<StoredVersion> history;
  for (const mvccpb::KeyValue& pair : answer.kvs()) {
    ASSIGN_OR_RETURN(history.emplace_back(), Parse<StoredVersion>(store_, pair));
  }
  return history;
}

absl::StatusOr<std::vector<VersionInfo>> EtcdReader::ReadChanges(int64_t after_sequence, size_t changes_max) {
  changes_max = std::min(changes_max, kHistoryVersionsMax);
  if (changes_max == 0) return std::vector<VersionInfo>();
  after_sequence = std::max<int64_t>(after_sequence, 0);
  etcd::RangeRequest range = GetKey(keys_.Sequence(after_sequence + 1));
  range.set_range_end(EndOf(keys_.prefix() + "s/"));
  range.set_limit(static_cast<int64_t>(changes_max));
  ASSIGN_OR_RETURN(etcd::RangeResponse answer, client_.Range(range));
  std::vector<std::string> keys;
  for (const mvccpb::KeyValue& pair : answer.kvs()) keys.push_back(keys_.VersionOf(pair.value()));
  ASSIGN_OR_RETURN(std::vector<StoredVersion> versions, ReadVersions(keys));
  std::vector<VersionInfo> changes;
  for (const StoredVersion& version : versions) {
    changes.push_back(InfoOf(version));
    if (changes.back().sequence == ++after_sequence) continue;
    return absl::DataLossError(
        fmt::format("store {}: sequence {} is missing in etcd; restore etcd from a backup", store_, after_sequence));
  }
  return changes;
}

absl::StatusOr<std::string> EtcdReader::ReadContent(const StoredVersion& version) {
  if (std::optional<Newest> newest = Remembered(version.topic(), version.version())) return std::move(newest->content);
  ASSIGN_OR_RETURN(etcd::RangeResponse chunks, client_.Range(GetPrefix(keys_.Chunks(version.content()))));
  return ToContent(version, chunks);
}

absl::StatusOr<std::string> EtcdReader::ToContent(const StoredVersion& version,
                                                  const etcd::RangeResponse& chunks) const {
  std::string content;
  for (const mvccpb::KeyValue& chunk : chunks.kvs()) content += chunk.value();
  if (std::string hash = Sha256Hex(content); hash != version.content_hash())
    return ContentIsDamaged(store_, InfoOf(version), hash);
  return content;
}

absl::StatusOr<std::vector<absl::StatusOr<std::string>>> EtcdReader::ReadContents(
    const std::vector<StoredVersion>& versions) {
  std::vector<absl::StatusOr<std::string>> contents;
  while (contents.size() < versions.size()) {
    etcd::TxnRequest read;
    size_t bytes = 0;
    for (size_t i = contents.size(); i < versions.size() && read.success_size() < kOperationsMax; ++i) {
      bytes += versions[i].content_bytes();
      if (read.success_size() > 0 && bytes > kAnswerBytesMax) break;
      AddGet(read, GetPrefix(keys_.Chunks(versions[i].content())));
    }
    ASSIGN_OR_RETURN(etcd::TxnResponse answer, client_.Read(read));
    for (const etcd::ResponseOp& operation : answer.responses())
      contents.push_back(ToContent(versions[contents.size()], operation.response_range()));
  }
  return contents;
}

absl::StatusOr<LatestVersions> EtcdReader::ReadLatest() {
  ASSIGN_OR_RETURN(EtcdHead head, ReadHead());
  LatestVersions latest;
  latest.sequence = head.content.sequence();
  std::vector<std::string> missing;
  for (const auto& [topic, version] : head.content.versions()) {
    if (std::optional<Newest> newest = Remembered(topic, version)) {
      latest.topics.push_back({InfoOf(newest->version), std::move(newest->content)});
    } else {
      missing.push_back(keys_.Version(topic, version));
    }
  }
  ASSIGN_OR_RETURN(std::vector<StoredVersion> versions, ReadVersions(missing));
  ASSIGN_OR_RETURN(std::vector<absl::StatusOr<std::string>> contents, ReadContents(versions));
  for (size_t i = 0; i < versions.size(); ++i) {
    if (contents[i].ok()) Remember(versions[i], *contents[i]);
    latest.topics.push_back({InfoOf(versions[i]), std::move(contents[i])});
  }
  std::sort(latest.topics.begin(), latest.topics.end(),
            [](const LatestVersion& a, const LatestVersion& b) { return a.info.topic < b.info.topic; });
  // While it was read, a newer version was published and retention has dropped this one: the head is old.
  const bool is_old = std::any_of(latest.topics.begin(), latest.topics.end(),
                                  [](const LatestVersion& topic) { return !topic.content.ok() && !topic.info.pruned; });
  if (is_old) {
    ASSIGN_OR_RETURN(EtcdHead now, ReadHead());
    if (now.content.sequence() != latest.sequence) return ReadLatest();
  }
  return latest;
}

std::optional<EtcdReader::Newest> EtcdReader::Remembered(std::string_view topic, int64_t version) {
  std::lock_guard lock(mutex_);
  const auto found = newest_.find(topic);
  if (found == newest_.end() || found->second.version.version() != version) return std::nullopt;
  return found->second;
}

void EtcdReader::Remember(const StoredVersion& version, const std::string& content) {
  std::lock_guard lock(mutex_);
  Newest& newest = newest_[version.topic()];
  if (newest.version.version() > version.version()) return;
  newest = {version, content};
}

}  // namespace signalbox::store
