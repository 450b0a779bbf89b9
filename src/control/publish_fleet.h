// The fleet: what operators say of shards, hosts and models, and the beginning of managing them.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "signalbox/v1/fleet.pb.h"
#include "store/store.h"

namespace signalbox::control {

// JSON in the form of v1::Fleet. INVALID_ARGUMENT lists what is wrong, one a line: what no field is, a name or an
// address that is none, a number below zero, a shard that is not declared, a model that needs itself, a sample request
// that is no inference.ModelInferRequest.
absl::StatusOr<v1::Fleet> ParseFleetFile(std::string_view path_for_messages, const std::string& json);

// Publishes it to the topic `fleet`. The first time is when the store becomes managed: in the same batch, what runs of
// each namespace becomes its active rules, so that nothing changes for anybody at that moment. ABORTED: others
// published without a pause.
absl::StatusOr<store::Published> PublishFleet(store::Store& store, const v1::Fleet& fleet, const std::string& author,
                                              const std::string& message);

}  // namespace signalbox::control
