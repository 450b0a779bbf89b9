#include "cli/snapshot_from_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "cli/rule_folder.h"
#include "decide/placement_file.h"
#include "rules/rules.h"

namespace signalbox::cli {
namespace {

absl::StatusOr<v1::RuleSet> ReadRules(const std::vector<std::string>& paths, const std::string& namespace_name,
                                      std::vector<std::string>* files_read) {
  ASSIGN_OR_RETURN(const std::vector<std::string> given, RuleFilesOf(paths));
  ASSIGN_OR_RETURN(const std::vector<rules::SourceFile> files, rules::ReadSourceFiles(given));
  if (files_read != nullptr) {
    files_read->clear();
    for (const rules::SourceFile& file : files) files_read->push_back(file.path);
    // A folder changes when a file is added to it.
    std::copy_if(paths.begin(), paths.end(), std::back_inserter(*files_read), IsFolder);
  }
  return rules::Evaluate(namespace_name, files);
}

absl::StatusOr<v1::Placement> ReadPlacement(const std::string& path) {
  if (path.empty()) return v1::Placement();
  ASSIGN_OR_RETURN(const std::string json, ReadFile(path, decide::kPlacementFileBytesMax));
  return decide::ParsePlacementFile(path, json);
}

// Whoever mends the files wants to know about both at once.
absl::Status Both(const absl::Status& rules, const absl::Status& placement) {
  if (rules.ok()) return placement;
  if (placement.ok()) return rules;
  const absl::Status& graver = absl::IsInvalidArgument(rules) ? placement : rules;
  return absl::Status(graver.code(), fmt::format("{}\n{}", Message(rules), Message(placement)));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const decide::Snapshot>> SnapshotFromFiles(const std::vector<std::string>& rule_files,
                                                                          const std::string& placement_file,
                                                                          const std::string& namespace_name,
                                                                          std::vector<std::string>* files_read) {
  absl::StatusOr<v1::RuleSet> rule_set = ReadRules(rule_files, namespace_name, files_read);
  absl::StatusOr<v1::Placement> placement = ReadPlacement(placement_file);
  RETURN_IF_ERROR(Both(rule_set.status(), placement.status()));
  v1::Snapshot proto;
  *proto.add_rule_sets()->mutable_rule_set() = *std::move(rule_set);
  *proto.mutable_placement() = *std::move(placement);
  return decide::Snapshot::Compile(std::move(proto));
}

}  // namespace signalbox::cli
