// The header value that says which placement serves a model.
#pragma once

#include <string>
#include <string_view>

namespace signalbox::decide {

// "rk-" and 13 characters of [a-v0-9]: XXH3-64 of the model id in base 32. A pure function of the id, so it stays the
// same while the model moves from shard to shard, and in every snapshot, process and release. Two ids of one snapshot
// with the same key are refused by Snapshot::Compile.
std::string RoutingKey(std::string_view model_id);

}  // namespace signalbox::decide
