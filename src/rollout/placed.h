// The placement in the store, in the form that the controller asks it in.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "rollout/named_models.h"
#include "signalbox/v1/fleet.pb.h"
#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::rollout {

struct PlacedModel {
  std::vector<std::string> shards;  // sorted
  std::vector<uint32_t> weights;    // of `shards`; empty: their hosts alike

  bool operator==(const PlacedModel&) const = default;
};

struct Placed {
  std::map<std::string, PlacedModel> models;              // by id
  std::map<std::string, std::set<std::string>> hosts;     // addresses by shard
  std::map<std::string, ModelIds> models_of_shard;        // the reverse of `models`
  std::map<std::string, std::vector<std::string>> lists;  // shards by the address of a host that they list
  bool by_name = false;                                   // an operator's entry stood for several ids

  const PlacedModel* Find(const std::string& model) const;
  bool Lists(const std::string& shard, const std::string& address) const;
  // Whether requests for the model may be sent to the host.
  bool Routes(const std::string& address, const std::string& model) const;
};

// `ids`: the models that an entry of a name without version may stand for.
Placed ReadPlacement(const v1::Placement& placement, const ModelIds& ids);

v1::Placement WritePlacement(const std::map<std::string, PlacedModel>& models,
                             const std::map<std::string, std::set<std::string>>& hosts, const v1::Fleet& fleet);

}  // namespace signalbox::rollout
