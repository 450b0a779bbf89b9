// Which data planes there are and what they run, of all control planes of one store: what has to be known before a
// model may leave a host.
//
// Each control plane writes what it hears from its own subscribers into the record `data-planes/NODE`, which stays when
// it dies. Of a data plane that several have heard of, the one to which it is connected counts, else the one that heard
// last. For one thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/distribution.h"
#include "signalbox/v1/rollout.pb.h"
#include "store/store.h"

namespace signalbox::control {

inline constexpr std::string_view kDataPlaneRecords = "data-planes/";

class DataPlaneBook {
 public:
  // `forget_after`: one that was not heard of for so long is left out of the record.
  DataPlaneBook(std::string node_id, std::chrono::milliseconds forget_after)
      : node_id_(std::move(node_id)), forget_after_(forget_after) {}

  // What this control plane's subscribers say now.
  void Hear(const std::vector<SubscriberInfo>& subscribers, int64_t now_unix_ms);
  // What the records say: of this control plane too, of an earlier life of it. `living` are the control planes that are
  // there.
  void Read(const std::vector<store::Record>& records, const std::set<std::string>& living, int64_t now_unix_ms);

  // What is to be written for this control plane; nullopt when that is what was written last.
  std::optional<store::RecordWrite> ToWrite() const;
  void Written(const store::RecordWrite& write) { written_ = write.value; }

  // All, each once, sorted by node.
  std::vector<v1::DataPlane> All() const;

 private:
  const std::string node_id_;
  const std::chrono::milliseconds forget_after_;
  std::map<std::string, v1::DataPlane> own_;  // by node
  bool read_own_ = false;
  std::map<std::string, v1::DataPlanes> others_;  // by control plane
  // Since when a control plane is away: what it knew of its subscribers is as old as that, or older.
  std::map<std::string, int64_t> away_since_unix_ms_;
  std::optional<std::string> written_;
};

}  // namespace signalbox::control
