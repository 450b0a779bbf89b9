// The store: versioned publish and subscribe of topics. What operators and researchers publish lives here, and nothing
// else.
//
// A topic is a named sequence of immutable versions 1, 2, 3, ... Each publish appends one. The store as a whole has a
// `sequence` that grows by one with every publish of any topic, so one number says what a reader has seen. In use are:
//
//   rules/<namespace>           canonical JSON of the namespace's v1::RuleSet
//   traffic/<namespace>         canonical JSON of the v1::TrafficSettings of the namespace's traffic shifts
//   release/<namespace>         canonical JSON of the v1::ReleasePlan
//   fleet, drains               canonical JSON of the v1::Fleet, the v1::Drains
//   active/<namespace>[/SCOPE]  canonical JSON of the v1::ActiveRules; SCOPE is KEY=VALUE
//   placement                   canonical JSON of the v1::Placement
//
// Beside topics there are records: small values under a key, of the moment, without history (who leads, which hosts are
// there). A batch writes versions and records at once (docs/decisions/0010-managed-fleet.md).
//
// To the store, content is bytes. Every engine keeps everything that is promised here, and runs the same tests: SQLite
// (a file on one machine), etcd (for several machines), and a deterministic one in memory for tests (memory_store.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace signalbox::store {

inline constexpr std::string_view kPlacementTopic = "placement";
inline constexpr std::string_view kFleetTopic = "fleet";
inline constexpr std::string_view kDrainsTopic = "drains";

// "rules/<namespace>".
std::string RulesTopic(std::string_view namespace_name);
// "traffic/<namespace>".
std::string TrafficTopic(std::string_view namespace_name);
// "release/<namespace>".
std::string ReleaseTopic(std::string_view namespace_name);
// "active/<namespace>", or "active/<namespace>/<scope>" where the scope, "KEY=VALUE", is not empty.
std::string ActiveTopic(std::string_view namespace_name, std::string_view scope = "");
// The reverse of RulesTopic; nullopt for any other topic. A view into `topic`.
std::optional<std::string_view> NamespaceOfTopic(std::string_view topic);
// The reverse of TrafficTopic, of ReleaseTopic, in the same way.
std::optional<std::string_view> NamespaceOfTrafficTopic(std::string_view topic);
std::optional<std::string_view> NamespaceOfReleaseTopic(std::string_view topic);
// The reverse of ActiveTopic, in the same way. `scope` is empty for what runs everywhere.
struct ActiveTopicName {
  std::string_view namespace_name;
  std::string_view scope;
};
std::optional<ActiveTopicName> NameOfActiveTopic(std::string_view topic);
// INVALID_ARGUMENT unless it is "KEY=VALUE", both 1 to 63 letters, digits, '-', '_' and '.'.
absl::Status CheckScope(std::string_view scope);
// INVALID_ARGUMENT unless it is 1 to 63 lower-case letters, digits and '-', starting with a letter.
absl::Status CheckNamespace(std::string_view namespace_name);

// Limits of one publish. A rule set of a thousand experiments is below 1 MiB.
constexpr size_t kContentBytesMax = 8U << 20;
constexpr size_t kAuthorBytesMax = 256;
constexpr size_t kMessageBytesMax = 4096;
// Limits of one batch: each namespace of a large store at once, and what the leader keeps of them.
constexpr size_t kBatchPublicationsMax = 256;
constexpr size_t kBatchRecordsMax = 64;
constexpr size_t kBatchContentBytesMax = 32U << 20;
constexpr size_t kImportVersionsMax = 64;
// Of all keys and values of a batch's records together; so also of one record. etcd takes 1.5 MiB a request.
constexpr size_t kRecordBytesMax = 1U << 20;
constexpr size_t kRecordKeyBytesMax = 255;
// Versions that History returns, and changes that Changes and Watch::Next return, in one call.
constexpr size_t kHistoryVersionsMax = 10'000;
constexpr size_t kWatchBatchMax = 256;

// One version without its content.
struct VersionInfo {
  std::string topic;
  int64_t version = 0;       // in its topic, from 1
  int64_t sequence = 0;      // in the store, from 1
  std::string content_hash;  // SHA-256 of the content, 64 lower-case hex digits
  size_t content_bytes = 0;
  std::string author;
  std::string message;
  int64_t unix_ms = 0;      // by the clock of the publishing machine; order is by `version`, never by this
  int64_t rollback_of = 0;  // the version whose content this one restored; 0 when it is no rollback
  bool pruned = false;      // its content was dropped by retention; what is said here stays
};

struct Version {
  VersionInfo info;
  std::string content;  // matches info.content_hash
};

// What a publish or a rollback may depend on. When it does not hold, nothing is written and the error is ABORTED.
struct Expected {
  // The topic's newest version; 0: the topic does not exist yet.
  std::optional<int64_t> version = std::nullopt;
  // The store's sequence: nothing at all has been published since it was read.
  std::optional<int64_t> sequence = std::nullopt;
};

struct Publication {
  std::string topic;
  std::string content;
  std::string author;
  std::string message;
  Expected expected;
  int64_t rollback_of = 0;  // as in VersionInfo
};

struct Published {
  VersionInfo info;
  // The content was already the topic's newest. No version was added; `info` is of the one that is there.
  bool unchanged = false;
};

struct Restoration {
  std::string topic;
  int64_t to_version = 0;
  std::string author;
  std::string message;
  Expected expected;
};

// The newest version of one topic. An unreadable one does not hide the others: `content` then says why.
struct LatestVersion {
  VersionInfo info;
  absl::StatusOr<std::string> content;
};

struct LatestVersions {
  int64_t sequence = 0;               // 0: nothing was published yet
  std::vector<LatestVersion> topics;  // sorted by topic
};

// A small value under a key, of the moment: who leads, which hosts are there, how far a rollout is.
struct Record {
  std::string key;  // 1 to 255 printable characters without spaces: "leader", "host/films-1", "rollout/home"
  std::string value;
  int64_t revision = 0;                        // grows with each write to any record of the store
  int64_t created_revision = 0;                // of its first write since it was last absent
  std::chrono::milliseconds expires_after{0};  // as it was last written; 0: never

  bool operator==(const Record&) const = default;
};

struct RecordWrite {
  std::string key;
  std::optional<std::string> value = std::nullopt;  // nullopt: delete it
  // As Expected::version: its revision, 0 when it must be absent.
  std::optional<int64_t> expected_revision = std::nullopt;
  // Gone by itself this long after the last write, never before, and soon after. 0: never. Counted by a clock that does
  // not jump and goes on while the machine sleeps. What has expired is absent to everything: also to
  // `expected_revision` and to fences.
  std::chrono::milliseconds expires_after{0};
};

// "I am still the one": the record `key` is there, and was created with this revision.
struct Fence {
  std::string key;
  int64_t created_revision = 0;
};

// All of it is written, in one transaction, or nothing.
struct Batch {
  std::vector<Publication> publications = {};  // at most one of each topic
  std::vector<RecordWrite> records = {};       // at most one of each key
  std::optional<Fence> fence = std::nullopt;
};

struct BatchResult {
  std::vector<Published> published;  // in the order of Batch::publications
  int64_t records_revision = 0;      // of the records that were written, all alike; 0: none
};

// Reports every change of the store in order, whichever process made it. For one thread at a time, except Stop().
class Watch {
 public:
  virtual ~Watch() = default;

  // The changes after the last ones returned, in order of sequence, without gaps, at most kWatchBatchMax. Waits up to
  // `timeout` when there are none, and then returns an empty list; also before, when records were written. CANCELLED
  // after Stop(). Any other error is one of the store's: nothing is skipped because of it, and the call can be
  // repeated.
  virtual absl::StatusOr<std::vector<VersionInfo>> Next(std::chrono::milliseconds timeout) = 0;

  // Of the newest write of records that the last Next() knew of, whoever made it: read records again when it has grown.
  // That a record has expired is not told. By the thread that calls Next().
  virtual int64_t records_revision() const = 0;

  // Makes a Next() that waits, and all later ones, return CANCELLED. From any thread.
  virtual void Stop() = 0;
};

// Errors, beyond those that the methods name. Each names the store and, where there is one, the remedy:
//
//   UNAVAILABLE          locked by another process for too long, unreachable, or replaced by another file
//   RESOURCE_EXHAUSTED   the disk, or the permitted size, is used up; reading goes on working
//   PERMISSION_DENIED    the store may not be written (or read) by this user
//   DATA_LOSS            the store is damaged, or content does not match its hash
//   FAILED_PRECONDITION  not a store of signalbox, or one of a newer release
//
// Thread-safe, and safe among processes.
class Store {
 public:
  virtual ~Store() = default;

  // Writes all of `batch`, or nothing. When it returns OK what was written survives a crash of the process and of the
  // machine. Publications get the next sequences in their order; `expected` is of the moment before the batch.
  // ABORTED: something does not hold. The message says what: a version (it names the one that is there, its author and
  // its time), a record's revision, or the fence ("no longer the leader").
  // INVALID_ARGUMENT: a malformed topic or key, one that is there twice, something above its limit, an author or a
  // message with control characters.
  virtual absl::StatusOr<BatchResult> Write(const Batch& batch) = 0;

  // Appends a version: a batch of one.
  virtual absl::StatusOr<Published> Publish(const Publication& publication);

  // Appends a version with the content of an older one. NOT_FOUND when there is no such version; ABORTED as above.
  virtual absl::StatusOr<Published> Rollback(const Restoration& restoration);

  // One version; unset: the newest. NOT_FOUND says what there is instead, also when retention has dropped the content.
  virtual absl::StatusOr<Version> Get(std::string_view topic, std::optional<int64_t> version) = 0;

  // Newest first, at most `versions_max`, itself at most kHistoryVersionsMax. NOT_FOUND when the topic does not exist.
  virtual absl::StatusOr<std::vector<VersionInfo>> History(std::string_view topic, size_t versions_max) = 0;

  // The audit log: what was published with a sequence above `after_sequence`, of all topics, in order of sequence, at
  // most `changes_max`, itself at most kHistoryVersionsMax. Empty when there is no more.
  virtual absl::StatusOr<std::vector<VersionInfo>> Changes(int64_t after_sequence, size_t changes_max) = 0;

  // The newest of all topics as they were at one moment, the moment of `sequence`.
  virtual absl::StatusOr<LatestVersions> Latest() = 0;

  // Reports changes with a sequence above `after_sequence`. The Watch must not outlive the store.
  virtual absl::StatusOr<std::unique_ptr<Watch>> WatchChanges(int64_t after_sequence) = 0;

  // The records whose keys start with `prefix`, sorted by key, of one moment.
  virtual absl::StatusOr<std::vector<Record>> Records(std::string_view prefix) = 0;

  // One record; nullopt when it is absent.
  virtual absl::StatusOr<std::optional<Record>> GetRecord(std::string_view key) = 0;

  // Retention: drops the content of the topic's versions but for the newest `keep_newest` (the newest stays even where
  // that is 0) and those in `keep`. Who published them, when, why, and their hash stay for ever. Returns how many were
  // dropped by this call. NOT_FOUND when the topic does not exist.
  virtual absl::StatusOr<size_t> Prune(std::string_view topic, size_t keep_newest, const std::set<int64_t>& keep) = 0;

  // For a copy of another store: appends `versions` with everything that their infos say, all of them or none. The
  // content of a pruned one is not looked at. At most kImportVersionsMax, with contents as in a batch.
  // FAILED_PRECONDITION unless sequences and versions are the next ones.
  virtual absl::Status Import(const std::vector<Version>& versions) = 0;

  // For messages: "sqlite:/var/lib/signalbox/store.db", "etcd:10.0.0.1:2379".
  virtual const std::string& name() const = 0;
};

enum class OpenMode {
  kExisting,         // NOT_FOUND when there is none
  kCreateIfMissing,  // the folder must be there
};

// What OpenStore takes, for help texts.
inline constexpr char kStoreSpecs[] = "sqlite:PATH or etcd:HOST:PORT[,HOST:PORT...]";

// Opens the store that `spec` names, one of kStoreSpecs. INVALID_ARGUMENT for any other.
absl::StatusOr<std::unique_ptr<Store>> OpenStore(std::string_view spec, OpenMode mode);

}  // namespace signalbox::store
