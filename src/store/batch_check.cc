#include "store/batch_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/time/time.h"
#include "base/hash.h"
#include "base/printable.h"
#include "base/status.h"

namespace signalbox::store {
namespace {

constexpr size_t kTopicBytesMax = 255;

std::string FormatTime(int64_t unix_ms) {
  return absl::FormatTime(absl::RFC3339_sec, absl::FromUnixMillis(unix_ms), absl::UTCTimeZone());
}

absl::Status CheckSize(std::string_view what, size_t bytes, size_t bytes_max) {
  if (bytes <= bytes_max) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("{}: {} bytes, the limit is {}", what, bytes, bytes_max));
}

absl::Status CheckCount(std::string_view what, size_t count, size_t count_max) {
  if (count <= count_max) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("a batch of {} {}, the limit is {}", count, what, count_max));
}

absl::Status CheckWords(std::string_view author, std::string_view message) {
  if (author.empty()) return absl::InvalidArgumentError("author: expected a name, found none");
  RETURN_IF_ERROR(CheckSize("author", author.size(), kAuthorBytesMax));
  RETURN_IF_ERROR(CheckSize("message", message.size(), kMessageBytesMax));
  for (const auto& [what, text] : {std::pair("author", author), std::pair("message", message)}) {
    if (!HoldsControlCharacters(text)) continue;
    return absl::InvalidArgumentError(fmt::format("{}: expected one line without control characters, found \"{}\"",
                                                  what, EscapeControlCharacters(text)));
  }
  return absl::OkStatus();
}

absl::Status CheckRecordWrite(const RecordWrite& write) {
  RETURN_IF_ERROR(CheckRecordKey(write.key));
  if (write.expires_after.count() >= 0) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("record '{}': expires {} ms after it is written, expected 0 or more",
                                                write.key, write.expires_after.count()));
}

}  // namespace

absl::Status CheckTopic(std::string_view topic) {
  if (topic == kPlacementTopic || topic == kFleetTopic || topic == kDrainsTopic) return absl::OkStatus();
  for (auto namespace_of : {&NamespaceOfTopic, &NamespaceOfTrafficTopic, &NamespaceOfReleaseTopic}) {
    if (auto namespace_name = namespace_of(topic)) return CheckNamespace(*namespace_name);
  }
  if (auto active = NameOfActiveTopic(topic)) {
    RETURN_IF_ERROR(CheckNamespace(active->namespace_name));
    return active->scope.empty() ? absl::OkStatus() : CheckScope(active->scope);
  }
  return absl::InvalidArgumentError(
      fmt::format("topic '{}': expected '{}', '{}', '{}', or 'rules', 'traffic', 'release', 'active' with a namespace: "
                  "'rules/<namespace>'",
                  topic.substr(0, kTopicBytesMax), kPlacementTopic, kFleetTopic, kDrainsTopic));
}

absl::Status CheckRecordKey(std::string_view key) {
  auto is_allowed = [](char c) { return c > ' ' && c <= '~'; };
  if (!key.empty() && key.size() <= kRecordKeyBytesMax && std::all_of(key.begin(), key.end(), is_allowed)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      fmt::format("record '{}': expected a key of 1 to {} printable ASCII characters "
                  "without spaces",
                  EscapeControlCharacters(key.substr(0, kRecordKeyBytesMax)), kRecordKeyBytesMax));
}

absl::Status CheckBatch(const Batch& batch) {
  RETURN_IF_ERROR(CheckCount("publications", batch.publications.size(), kBatchPublicationsMax));
  RETURN_IF_ERROR(CheckCount("records", batch.records.size(), kBatchRecordsMax));
  std::set<std::string_view> names;
  size_t content_bytes = 0;
  for (const Publication& publication : batch.publications) {
    RETURN_IF_ERROR(CheckTopic(publication.topic));
    RETURN_IF_ERROR(CheckSize(publication.topic, publication.content.size(), kContentBytesMax));
    RETURN_IF_ERROR(CheckWords(publication.author, publication.message));
    if (!names.insert(publication.topic).second)
      return absl::InvalidArgumentError(fmt::format("{}: twice in one batch", publication.topic));
    content_bytes += publication.content.size();
  }
  RETURN_IF_ERROR(CheckSize("contents of a batch", content_bytes, kBatchContentBytesMax));
  names.clear();
  size_t record_bytes = 0;
  for (const RecordWrite& write : batch.records) {
    RETURN_IF_ERROR(CheckRecordWrite(write));
    if (!names.insert(write.key).second)
      return absl::InvalidArgumentError(fmt::format("record '{}': twice in one batch", write.key));
    record_bytes += write.key.size() + (write.value ? write.value->size() : 0);
  }
  RETURN_IF_ERROR(CheckSize("records of a batch", record_bytes, kRecordBytesMax));
  return batch.fence ? CheckRecordKey(batch.fence->key) : absl::OkStatus();
}

absl::Status CheckExpected(std::string_view store, int64_t sequence, const Publication& publication,
                           const std::optional<VersionInfo>& newest) {
  const Expected& expected = publication.expected;
  if (expected.version && *expected.version != (newest ? newest->version : 0)) {
    if (!newest) {
      return absl::AbortedError(
          fmt::format("{}: expected version {}, but nothing was published yet; nothing was written", publication.topic,
                      *expected.version));
    }
    return absl::AbortedError(
        fmt::format("{}: expected version {}, but version {} is there, by {} at {}: \"{}\"; nothing was written",
                    publication.topic, *expected.version, newest->version, EscapeControlCharacters(newest->author),
                    FormatTime(newest->unix_ms), EscapeControlCharacters(newest->message)));
  }
  if (!expected.sequence || *expected.sequence == sequence) return absl::OkStatus();
  return absl::AbortedError(fmt::format("{}: expected the store at sequence {}, but it is at {}; nothing was written",
                                        store, *expected.sequence, sequence));
}

absl::Status CheckExpected(const RecordWrite& write, const std::optional<Record>& present) {
  if (!write.expected_revision || *write.expected_revision == (present ? present->revision : 0)) {
    return absl::OkStatus();
  }
  auto text = [](int64_t revision) { return revision == 0 ? "none" : fmt::format("revision {}", revision); };
  return absl::AbortedError(fmt::format("record '{}': expected {}, found {}; nothing was written", write.key,
                                        text(*write.expected_revision), text(present ? present->revision : 0)));
}

absl::Status CheckFence(const Fence& fence, const std::optional<Record>& present) {
  if (present && present->created_revision == fence.created_revision) return absl::OkStatus();
  return absl::AbortedError(fmt::format(
      "no longer the leader: record '{}' of revision {} {}; nothing was written", fence.key, fence.created_revision,
      present ? fmt::format("was replaced by that of revision {}", present->created_revision) : "is gone"));
}

absl::Status CheckImportSize(const std::vector<Version>& versions) {
  RETURN_IF_ERROR(CheckCount("versions", versions.size(), kImportVersionsMax));
  size_t bytes = 0;
  for (const Version& version : versions) bytes += version.content.size();
  return CheckSize("contents of an import", bytes, kBatchContentBytesMax);
}

absl::Status CheckImport(std::string_view store, const Version& version, int64_t sequence, int64_t newest_version) {
  const VersionInfo& info = version.info;
  RETURN_IF_ERROR(CheckTopic(info.topic));
  if (info.sequence != sequence + 1 || info.version != newest_version + 1) {
    return absl::FailedPreconditionError(fmt::format(
        "{}: {} version {} of sequence {} cannot be added: the next sequence is {}, the topic's next version "
        "{}; copy to an empty store that nobody else writes to",
        store, info.topic, info.version, info.sequence, sequence + 1, newest_version + 1));
  }
  if (info.pruned) return absl::OkStatus();
  if (std::string hash = Sha256Hex(version.content); hash != info.content_hash)
    return ContentIsDamaged(store, info, hash);
  return absl::OkStatus();
}

VersionInfo NextVersion(const Publication& publication, const std::optional<VersionInfo>& newest, int64_t sequence,
                        int64_t unix_ms) {
  VersionInfo info;
  info.topic = publication.topic;
  info.version = newest ? newest->version + 1 : 1;
  info.sequence = sequence + 1;
  info.content_hash = Sha256Hex(publication.content);
  info.content_bytes = publication.content.size();
  info.author = publication.author;
  info.message = publication.message;
  info.unix_ms = unix_ms;
  info.rollback_of = publication.rollback_of;
  return info;
}

int64_t PrunedUpTo(int64_t newest_version, size_t keep_newest) {
  const auto kept = static_cast<int64_t>(std::clamp<size_t>(keep_newest, 1, static_cast<size_t>(newest_version)));
  return newest_version - kept;
}

absl::Status NoSuchTopic(std::string_view store, std::string_view topic) {
  return absl::NotFoundError(fmt::format("{}: nothing was published under '{}' yet", store, topic));
}

absl::Status NoSuchVersion(std::string_view topic, int64_t version, int64_t newest_version) {
  return absl::NotFoundError(
      fmt::format("{}: there is no version {}; versions are 1 to {}", topic, version, newest_version));
}

absl::Status ContentWasDropped(std::string_view topic, int64_t version, int64_t kept_from) {
  return absl::NotFoundError(fmt::format("{}: version {}: its content was dropped by retention; versions {}.. are kept",
                                         topic, version, kept_from));
}

absl::Status ContentIsDamaged(std::string_view store, const VersionInfo& info, std::string_view found) {
  return absl::DataLossError(
      fmt::format("{}: {} version {} is damaged: its content has hash {}, {} was published; publish it again, or "
                  "restore the store from a backup",
                  store, info.topic, info.version, found, info.content_hash));
}

}  // namespace signalbox::store
