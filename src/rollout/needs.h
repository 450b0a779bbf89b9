// Which models are needed, and by whom.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "rollout/book.h"
#include "rollout/named_models.h"
#include "rollout/placed.h"
#include "rollout/wake.h"

namespace signalbox::rollout {

struct Need {
  std::set<std::string> namespaces;
  std::vector<std::string> wanted_by;  // "home version 7 (active)"
  bool is_active = false;              // by rules that run, or that ran and are kept
};

using Needs = std::map<std::string, Need>;  // by model id

void AddNeed(Needs& needs, const ModelIds& models, const std::string& namespace_name, const std::string& wanted_by,
             bool is_active);

// Of everything but rollouts under way: what runs, everywhere and in scopes, and what is kept to go back to. The latter
// keeps what is placed; it loads nothing that had left already.
void AddRunning(const Book& book, const ObservedStore& store, const v1::Placement& placement, int64_t now_unix_ms,
                int64_t retention_ms, NamedModelsCache& named, WrittenTimes& times, Wake& wake, Needs& needs);

// Whether the version is still kept, to go back to it without loading.
bool IsRetained(const Book& book, int64_t rules_version, int64_t now_unix_ms, int64_t retention_ms, WrittenTimes& times,
                Wake& wake);

}  // namespace signalbox::rollout
