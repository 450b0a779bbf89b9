#include "store/store.h"

#include <fmt/format.h>

#include <utility>

#include "base/status.h"
#include "store/etcd_store.h"
#include "store/sqlite_store.h"

namespace signalbox::store {

absl::StatusOr<Published> Store::Publish(const Publication& publication) {
  Batch batch;
  batch.publications.push_back(publication);
  ASSIGN_OR_RETURN(BatchResult result, Write(batch));
  return std::move(result.published.front());
}

absl::StatusOr<Published> Store::Rollback(const Restoration& restoration) {
  // Versions are immutable: what is read here is what is restored, whatever is published in between.
  ASSIGN_OR_RETURN(Version old, Get(restoration.topic, restoration.to_version));
  return Publish({restoration.topic, std::move(old.content), restoration.author, restoration.message,
                  restoration.expected, restoration.to_version});
}

absl::StatusOr<std::unique_ptr<Store>> OpenStore(std::string_view spec, OpenMode mode) {
  constexpr std::string_view kSqlite = "sqlite:";
  constexpr std::string_view kEtcd = "etcd:";
  if (spec.starts_with(kSqlite)) {
    SqliteOptions options;
    options.path = spec.substr(kSqlite.size());
    options.create_if_missing = mode == OpenMode::kCreateIfMissing;
    return OpenSqliteStore(std::move(options));
  }
  if (spec.starts_with(kEtcd)) {
    ASSIGN_OR_RETURN(EtcdOptions options, ParseEtcdSpec(spec.substr(kEtcd.size())));
    options.create_if_missing = mode == OpenMode::kCreateIfMissing;
    return OpenEtcdStore(std::move(options));
  }
  return absl::InvalidArgumentError(
      fmt::format("store '{}': expected {}, for example sqlite:/var/lib/signalbox/store.db", spec, kStoreSpecs));
}

}  // namespace signalbox::store
