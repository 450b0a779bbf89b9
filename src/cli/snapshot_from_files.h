// A snapshot from rule files and a placement file, for whatever runs without a control plane: `proxy --rules`,
// `resolve`, benchmarks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "decide/snapshot.h"

namespace signalbox::cli {

// Reads and evaluates `rule_files` (for a folder, those in it) in order as the one rule set of `namespace_name`, reads
// `placement_file`, and compiles both. Version 0 and no time: the same files give the same snapshot, hash included.
//
// With an empty `placement_file` no model has a shard: decisions and routing keys are what they are with one, and
// nothing can be reached.
//
// The error holds everything that is wrong with any of the files, one problem a line, each with its place. Its code is
// INVALID_ARGUMENT where what stands in the files is to be changed; another one (NOT_FOUND,
// PERMISSION_DENIED, INTERNAL) where a file could not be read, whatever else is wrong. Blocks; no file is watched.
//
// `files_read`, if given, becomes the paths of all rule files, with those that they import, whether these exist or
// not, and all folders; it stays as it is where one of them could not be read. To be watched.
absl::StatusOr<std::shared_ptr<const decide::Snapshot>> SnapshotFromFiles(
    const std::vector<std::string>& rule_files, const std::string& placement_file, const std::string& namespace_name,
    std::vector<std::string>* files_read = nullptr);

}  // namespace signalbox::cli
