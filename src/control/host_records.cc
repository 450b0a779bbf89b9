#include "control/host_records.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/status.h"

namespace signalbox::control {
namespace {

std::string KeyOf(const std::string& id) { return fmt::format("{}{}", kHostRecords, id); }

std::optional<v1::HostIdentity> Parsed(const std::optional<store::Record>& record) {
  v1::HostIdentity host;
  if (!record || !host.ParseFromString(record->value)) return std::nullopt;
  return host;
}

}  // namespace

absl::StatusOr<std::optional<v1::HostIdentity>> HostRecords::Find(const std::string& id) {
  ASSIGN_OR_RETURN(const std::optional<store::Record> record, store_.GetRecord(KeyOf(id)));
  return Parsed(record);
}

absl::Status HostRecords::Put(const v1::HostIdentity& host, std::chrono::milliseconds ttl) {
  ASSIGN_OR_RETURN(const std::optional<store::Record> record, store_.GetRecord(KeyOf(host.id())));
  absl::Status status = store_
                            .Write({.records = {{.key = KeyOf(host.id()),
                                                 .value = host.SerializeAsString(),
                                                 .expected_revision = record ? record->revision : 0,
                                                 .expires_after = std::max(ttl, keep_)}}})
                            .status();
  if (!absl::IsAborted(status)) return status;
  return absl::AlreadyExistsError(
      fmt::format("host {}: another process has registered under this id just now", host.id()));
}

absl::Status HostRecords::Remove(const v1::HostIdentity& host) {
  ASSIGN_OR_RETURN(const std::optional<store::Record> record, store_.GetRecord(KeyOf(host.id())));
  const std::optional<v1::HostIdentity> registered = Parsed(record);
  if (!registered || registered->instance() != host.instance()) return absl::OkStatus();
  absl::Status status =
      store_.Write({.records = {{.key = KeyOf(host.id()), .expected_revision = record->revision}}}).status();
  // Somebody else has the id by now.
  return absl::IsAborted(status) ? absl::OkStatus() : status;
}

}  // namespace signalbox::control
