// The lease on leading, and the sign that this control plane is there. For one thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "control/data_plane_book.h"
#include "store/store.h"

namespace signalbox::control {

inline constexpr std::string_view kLeaderRecord = "leader";
inline constexpr std::string_view kControlRecords = "control/";

class Leadership {
 public:
  using Clock = std::chrono::steady_clock;

  Leadership(store::Store& store, std::string node_id, std::chrono::milliseconds lease)
      : store_(store), node_id_(std::move(node_id)), lease_(lease) {}

  // Renews what is due, and tries to get the lease where nobody has it; writes what `book` has to say with it. An error
  // is one of the store's.
  absl::Status Keep(DataPlaneBook& book);
  // When Keep has something to do again.
  Clock::time_point next() const { return next_; }

  // The fence of this control plane's leadership, while it is certain that no other can have it.
  std::optional<store::Fence> fence() const;
  // Some write said that the lease is gone.
  void Lose() { fence_.reset(); }
  // Who leads, as it was read last.
  const std::string& leader() const { return leader_; }

  void Release();

 private:
  absl::Status Renew(DataPlaneBook& book);
  absl::Status Write(DataPlaneBook& book);
  absl::Status Acquire();

  store::Store& store_;
  const std::string node_id_;
  const std::chrono::milliseconds lease_;
  std::optional<store::Fence> fence_;
  std::string leader_;
  Clock::time_point valid_until_{};
  Clock::time_point next_{};
  Clock::time_point present_until_{};
};

}  // namespace signalbox::control
