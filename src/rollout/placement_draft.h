// The placement as it will be written: which models are on which shards, and which hosts each shard lists.
//
// A host is listed when it is alive and everything that is on its shard is usable on it. Whatever is put on a shard is
// there on the hosts that the shard lists already: make before break.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "rollout/host_facts.h"

namespace signalbox::rollout {

using Additions = std::map<std::string, std::vector<std::string>>;  // model to shards

class PlacementDraft {
 public:
  // Begins with what `placed` has of `needed`.
  PlacementDraft(const Placed& placed, const ModelIds& needed, const HostFacts& hosts, const v1::Fleet& fleet,
                 const v1::Drains& drains);

  // What `additions` wait for, one sentence; empty: they can be made. What is there already is no addition.
  std::string WaitFor(const Additions& additions) const;
  void Add(const Additions& additions);
  void Set(const std::string& model, PlacedModel placed);

  // Why no host may answer for a model that is in it, one sentence; empty: one that was looked at may.
  std::string WhyUnserved(const std::string& model) const;

  const std::map<std::string, PlacedModel>& models() const { return models_; }
  // What the shard lists with the models that are on it.
  std::set<std::string> Hosts(const std::string& shard) const;
  bool HasModels(const std::string& shard) const;
  // Whether it differs from what it began with.
  bool Differs() const;
  v1::Placement Write() const;
  // What differs, for people: "adds ranker@2; shard a: without h1:8001".
  std::string Summary() const;

 private:
  std::set<std::string> Listed(const std::string& shard, const ModelIds& models) const;
  std::string WhyUnused(const HostFact& host, const ModelIds& models) const;
  bool StaysUnseen(const std::string& shard, const ModelIds& models) const;
  std::string WaitOfShard(const std::string& shard, const ModelIds& added) const;
  std::map<std::string, std::set<std::string>> AllHosts() const;
  void Link(const std::string& model);
  void Unlink(const std::string& model);

  const Placed& placed_;
  const HostFacts& hosts_;
  const v1::Fleet& fleet_;
  std::set<std::string> drained_;
  std::map<std::string, PlacedModel> models_;
  std::map<std::string, ModelIds> of_shard_;
};

}  // namespace signalbox::rollout
