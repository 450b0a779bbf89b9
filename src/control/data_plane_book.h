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
#include <string_view>
#include <utility>
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

  // A moment on both clocks: how long somebody is away is reckoned on the steady one, which does not jump; since when
  // is told on the other, by which control planes compare what they know.
  struct Moment {
    int64_t unix_ms = 0;
    int64_t steady_ms = 0;
  };

  // What this control plane's subscribers say now.
  void Hear(const std::vector<SubscriberInfo>& subscribers, Moment now);
  // The store could not be read. A control plane serves nobody then, and so that time is not time that its data planes
  // were away: else all would be forgotten by the end of a long outage, with the models that they still use.
  void StoreIsAway(Moment now);
  // What the records say: of this control plane too, of an earlier life of it. `living` are the control planes that are
  // there.
  void Read(const std::vector<store::Record>& records, const std::set<std::string>& living, Moment now);
  // The records, to be deleted as they were read last, of control planes that have been away for as long as a data
  // plane is remembered: nobody waits for those that they have told of any more. Each is given out once in a Read.
  std::vector<store::RecordWrite> TakeAbandoned() { return std::exchange(abandoned_, {}); }

  // What is to be written for this control plane; nullopt when that is what was written last.
  std::optional<store::RecordWrite> ToWrite();
  void Written(const store::RecordWrite& write) { written_ = write.value; }
  // This control plane may have been taken for gone, and its record been deleted.
  void WriteAgain() { written_.reset(); }

  // All, each once, sorted by node.
  std::vector<v1::DataPlane> All() const;

 private:
  const std::string node_id_;
  const std::chrono::milliseconds forget_after_;
  struct Own {
    v1::DataPlane said;
    int64_t away_since_steady_ms = 0;  // while it is not connected
  };
  std::map<std::string, Own> own_;  // by node
  bool read_own_ = false;
  std::map<std::string, v1::DataPlanes> others_;  // by control plane
  // Since when a control plane is away: what it knew of its subscribers is as old as that, or older.
  std::map<std::string, Moment> away_since_;
  std::vector<store::RecordWrite> abandoned_;
  bool own_changed_ = true;  // since to_write_ was made of it
  std::string to_write_;
  std::optional<std::string> written_;
};

}  // namespace signalbox::control
