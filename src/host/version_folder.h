// REPOSITORY/NAME/VERSION/ on disk: workflow.json and the files that it vouches for.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "signalbox/v1/workflow.pb.h"

namespace signalbox::host {

inline constexpr char kWorkflowFile[] = "workflow.json";
inline constexpr char kModelFile[] = "model.ubj";
inline constexpr char kFilmsFile[] = "films.json";

struct VersionFolder {
  v1::Workflow workflow;
  std::map<std::string, std::string> files;  // content by name
};

// Reads workflow.json and every file it lists. FAILED_PRECONDITION says which is missing, too large, or not what was
// written (SHA-256), so that nothing half-copied reaches a parser.
absl::StatusOr<VersionFolder> ReadVersionFolder(const std::string& path);

// Writes the folder, replacing one of that name; fills in `file_sha256`. A reader sees the old one, none, or the new
// one whole.
absl::Status WriteVersionFolder(const std::string& path, VersionFolder content);

}  // namespace signalbox::host
