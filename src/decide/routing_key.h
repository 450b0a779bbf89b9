// The routing key: what data planes and hosts know a model's placement by.
#pragma once

#include <string>
#include <string_view>

namespace signalbox::decide {

// "rk-" and 13 characters of a-z and 2-7: the 64-bit stable hash of the model id in base32. A pure function of the
// model id, so it stays the same while the model moves between shards, in every snapshot, process and release (golden
// file: decide_golden.json). Two ids of one snapshot that share a key are refused when the snapshot is compiled.
std::string RoutingKey(std::string_view model_id);

}  // namespace signalbox::decide
