// The placement in words: with the ids of hosts, which commands take, beside the addresses, by which data planes go.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "signalbox/v1/fleet.pb.h"
#include "signalbox/v1/snapshot.pb.h"
#include "store/store.h"

namespace signalbox::control {

struct HostName {
  std::string id;
  std::string address;
  std::string shard;
};

struct PlacementFacts {
  v1::Placement placement;
  store::VersionInfo info;      // version 0: there is no placement yet
  std::vector<HostName> hosts;  // that are declared or have registered; none in a store that is not managed
  v1::Drains drains;
};

absl::StatusOr<PlacementFacts> ReadPlacementFacts(store::Store& store);

// "films-1 (10.0.0.7:8001)"; the address alone where there is no other id.
std::string HostText(const std::vector<HostName>& hosts, const std::string& address);

// All shards with their hosts, what is drained and what is known and not used, and all models with their shards.
std::string PlacementText(const PlacementFacts& facts);

// "shard films: films-1 (10.0.0.7:8001), films-2 (10.0.0.8:8001)", one for each shard; none: it is not placed.
std::vector<std::string> PlacesOf(const PlacementFacts& facts, const std::string& model);

}  // namespace signalbox::control
