// The placement as operators write it.
#pragma once

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"
#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::decide {

// The largest placement file: 100,000 models on some shards each take about 8 MB.
constexpr size_t kPlacementFileBytesMax = 16U << 20;

// Whether it is "HOST:PORT" or "[IPv6]:PORT".
bool IsHostPort(std::string_view text);

// Parses
//
//   {"shards": {"s1": ["127.0.0.1:9000", "127.0.0.1:9001"]}, "models": {"ranker": ["s1"], "ranker@2": ["s1"]}}
//
// A model is named as in v1::Placement: by model id (`name@version`), or by name for all versions without an entry of
// their own. Shards and hosts keep their order. Pure: reads no file; `path_for_messages` is what errors begin with.
// INVALID_ARGUMENT lists everything that is wrong, one a line: not JSON (with line and column), a key that is not known
// or stands twice, a shard without hosts, a host that is not HOST:PORT (IPv6 as [ADDRESS]:PORT) or stands twice in its
// shard, a model without shards, a shard that is not declared.
absl::StatusOr<v1::Placement> ParsePlacementFile(std::string_view path_for_messages, std::string_view json);

}  // namespace signalbox::decide
