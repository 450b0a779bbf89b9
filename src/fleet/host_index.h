// The index of a host's model repository, as the control plane looks at it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "inference/open_inference.pb.h"
#include "rollout/observation.h"

namespace signalbox::fleet {

using HostIndex = std::map<std::string, rollout::ObservedModel>;  // by model id

// {"ranker", "3"} of "ranker@3"; {"ranker", ""} of "ranker".
std::pair<std::string, std::string> SplitModelId(std::string_view id);

// What the host lists. What has no version there is known by its name alone. For those of `bare_names`, model ids
// without a version, the best state of any version counts: the host chooses which one answers. RESOURCE_EXHAUSTED for
// an index of a size that no repository has.
absl::StatusOr<HostIndex> ReadIndex(const inference::RepositoryIndexResponse& response,
                                    const std::set<std::string>& bare_names);

// "READY", "LOADING", "UNAVAILABLE", "absent", with the reason where there is one.
std::string StateText(const HostIndex& index, const std::string& model);

bool IsSame(const HostIndex& a, const HostIndex& b);

bool IsReady(const HostIndex& index, const std::string& model);

// Text of a host's, cut and escaped, for our messages.
std::string HostText(std::string_view text);

}  // namespace signalbox::fleet
