// What the leader knows of hosts: what it has seen come true in their present life, and what it has asked of them.
//
// Usable on a host is a model that was validated there, or that the placement had there when this leader began, as long
// as the host is alive and its index says READY. Everything else has to be loaded and tried first.
//
// One that is in use stays so when all that is wrong is its sample: the host is alive, the index says READY, it has
// answered before, and now it refuses the sample request or its answer is not as declared. That is told, and tried
// again; a shard must not go for a line in the fleet file. A sample that is changed is tried at once where the model is
// loaded, on one host first, so that it is told while somebody looks.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "rollout/controller.h"
#include "rollout/placed.h"
#include "rollout/wake.h"

namespace signalbox::rollout {

struct ModelFact {
  enum class Belief {
    kNone,
    kTrusted,    // by the placement that an earlier leader wrote: to be tried, and not dropped until that fails
    kValidated,  // tried in this life of the host
  };
  Belief belief = Belief::kNone;
  bool loaded = false;       // a load succeeded since it was last validated; the index may not say so yet
  bool seen_ready = false;   // since then the index has said READY. Only then its saying otherwise means something new:
                             // a probe that was under way before the load tells of the time before it
  int64_t index_due_ms = 0;  // steady; a validated model must be READY in the index by then
  int64_t loading_since_ms = -1;  // steady; the index says LOADING, and no command of ours is why
  int attempts = 0;               // that failed since the last success
  std::string reason;             // of the last failure
  int64_t not_before_ms = 0;      // the same, whatever is forgotten of failures
  int64_t retry_at_ms = 0;        // steady; no command before
  bool under_way = false;
  CommandKind command = CommandKind::kLoad;
  int64_t tried_ms = -1;    // steady; the last load or dry run ended
  bool unanswered = false;  // and the host did not say how
  // It has answered in this life of the host, or the placement had it there when this leader began; and has been READY
  // ever since.
  bool proven = false;
  bool sample_is_new = false;  // the fleet declares another one than it was tried with last
  bool is_first_try = false;   // of that; until it is answered
  std::string sample_trouble;  // what is wrong with its sample, where it stays in use all the same
  int64_t deadline_ms = 0;     // steady; of the command under way
  int64_t since_unix_ms = 0;
  // No data plane routes to it any more that runs this sequence of the store or a later one.
  int64_t left_sequence = 0;
};

struct HostFact {
  const ObservedHost* seen = nullptr;  // in this step's observation; nullptr: gone
  bool known = false;                  // it has been probed, well or badly, since this leader began
  bool alive = false;
  bool shares_address = false;  // with another host, which goes before it
  std::string instance;
  int deaths = 0;              // lately: it comes and goes
  int64_t alive_since_ms = 0;  // steady
  int64_t rest_until_ms = 0;   // steady; nothing is asked of it before
  // Models that were loaded or tried there, or had just been, when it went away. Blamed when it comes back as another
  // process.
  std::set<std::string> accused;
  std::map<std::string, ModelFact> models;
};

// A host died of a model, as far as can be told.
struct HostDeath {
  std::string host;
  std::string model;
};

class HostFacts {
 public:
  explicit HostFacts(const ControllerOptions& options) : options_(options) {}

  // Brings the facts up to date. `log` takes what operators should know.
  void Observe(const Observation& observation, const Placed& placed, const v1::Fleet& fleet, Wake& wake,
               std::vector<std::string>& log);

  std::map<std::string, HostFact>& hosts() { return hosts_; }
  const std::map<std::string, HostFact>& hosts() const { return hosts_; }
  // Ids, sorted, of hosts that were told of a shard in this step.
  const std::vector<std::string>& OfShard(const std::string& shard) const;
  const HostFact& Get(const std::string& id) const { return hosts_.at(id); }
  const HostFact* AtAddress(const std::string& address) const;

  // Whether requests for the model can be sent to the host.
  bool Usable(const HostFact& host, const std::string& model) const;
  // The host was not probed yet: what the placement says of it stays.
  static bool IsUnknown(const HostFact& host) { return host.seen != nullptr && !host.known; }
  // Nobody tells of a host with this address, and this leader is too young to say that there is none: those that
  // register may need a moment to find it.
  // The same of a shard that has just been taken from the fleet, and its hosts with it: its models need a moment to be
  // elsewhere.
  bool MayStillCome(const std::string& address) const { return may_still_come_.contains(address); }

  // Seen in this step. Of what was under way on the host all models have part.
  const std::vector<HostDeath>& deaths() const { return deaths_; }
  // Models that stay in use although their samples are not answered as declared. Sorted.
  struct SampleTrouble {
    std::string host;
    std::string model;
    std::string text;  // a sentence for people
  };
  const std::vector<SampleTrouble>& sample_troubles() const { return sample_troubles_; }
  // False: what the changed sample does to another host is to be seen first, or has been seen.
  bool MayTryNewSample(const std::string& model, const std::string& host, Wake& wake) const;

  // Validated on a live host, in this host's present life.
  bool IsValidatedAnywhere(const std::string& model) const;
  // The hosts that a model nobody has validated yet is bound to: it is under way there, or it is not known yet what it
  // did to them.
  std::set<std::string> InDoubt(const std::string& model, Wake& wake) const;

  // What has failed before is nothing to somebody who begins now.
  void ForgetFailures(const ModelIds& models);

  // The fact of a (host, model), made when there is none.
  ModelFact& Fact(const std::string& host, const std::string& model);

  // Seconds that the model's first dry run took; 0: not known.
  double MeasuredCost(const std::string& model) const;

 private:
  void FindAbsent(const v1::Fleet& fleet, Wake& wake);
  void ObserveHost(const ObservedHost& seen, Wake& wake);
  void Trust(HostFact& host);
  void ObserveModels(HostFact& host, const v1::Fleet& fleet, Wake& wake);
  std::set<std::string> Accused(const HostFact& host) const;
  void TakeResult(const CommandResult& result);
  void Fail(const std::string& host, const std::string& model, ModelFact& fact, std::string reason);
  void FailOfSample(const std::string& host, const std::string& model, ModelFact& fact, std::string reason);
  void TryLater(ModelFact& fact, std::string reason) const;
  // The placement has the model on the shard of the host.
  bool IsOnItsShard(const HostFact& host, const std::string& model) const;
  // All that is wrong is the sample.
  bool FailsSampleAlone(const CommandResult& result, const HostFact& host, const ModelFact& fact) const;
  void FindNewSamples(const std::shared_ptr<const v1::Fleet>& fleet);

  const ControllerOptions& options_;
  std::map<std::string, HostFact> hosts_;
  std::map<std::string, std::vector<std::string>> of_shard_;
  std::map<std::string, std::string> at_address_;
  std::set<std::string> may_still_come_;
  std::map<std::string, int64_t> without_shard_since_ms_;  // by address; steady
  std::set<std::string> seen_addresses_;                   // ever, by this leader
  std::map<std::string, double> costs_;
  std::vector<HostDeath> deaths_;
  std::vector<SampleTrouble> sample_troubles_;
  std::shared_ptr<const v1::Fleet> fleet_;  // of the step before
  std::set<std::string> killing_samples_;   // models whose changed sample has taken a host with it
  int64_t began_ms_ = -1;
  bool follows_another_ = false;  // there was a leader before, who has written a placement
  // Of this step.
  const Placed* placed_ = nullptr;
  int64_t placement_sequence_ = 0;
  std::vector<std::string>* log_ = nullptr;
  int64_t now_unix_ms_ = 0;
  int64_t now_ms_ = 0;
};

}  // namespace signalbox::rollout
