#include "subscribe/received_snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace signalbox::subscribe {

absl::StatusOr<Order> Compare(const v1::SnapshotUpdate& update, const Running& running) {
  if (running.version == 0 || update.version() > running.version) return Order::kNewer;
  constexpr std::string_view kRemedy =
      "if the store was replaced or restored from a backup on purpose, stop this process, delete snapshot.pb in its "
      "state folder and start it again";
  if (update.version() < running.version) {
    return absl::FailedPreconditionError(
        fmt::format("version {} is older than version {}, which runs, and versions never go back (a rollback is a new "
                    "version); {}",
                    update.version(), running.version, kRemedy));
  }
  if (update.hash() == running.hash) return Order::kSame;
  if (!std::equal(update.scopes().begin(), update.scopes().end(), running.scopes.begin(), running.scopes.end())) {
    return Order::kNewer;
  }
  return absl::FailedPreconditionError(
      fmt::format("version {} has hash {}, but the version {} that runs has hash {}: two histories; {}",
                  update.version(), update.hash(), running.version, running.hash, kRemedy));
}

absl::StatusOr<std::shared_ptr<const decide::Snapshot>> CompileUpdate(const v1::SnapshotUpdate& update) {
  v1::Snapshot proto;
  if (!proto.ParseFromString(update.snapshot())) {
    return absl::DataLossError(
        fmt::format("{} bytes are not a signalbox.v1.Snapshot: damaged, or cut off", update.snapshot().size()));
  }
  if (update.hash().empty() || proto.hash() != update.hash() || proto.version() != update.version()) {
    return absl::DataLossError(
        fmt::format("announced as version {} with hash '{}', but it holds version {} with hash '{}'", update.version(),
                    update.hash(), proto.version(), proto.hash()));
  }
  if (proto.version() < 1) {
    return absl::InvalidArgumentError(fmt::format("version {}, expected at least 1", proto.version()));
  }
  // Computes the hash from the content and refuses another.
  return decide::Snapshot::Compile(std::move(proto));
}

}  // namespace signalbox::subscribe
