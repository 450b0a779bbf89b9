#include "rollout/needs.h"

#include <fmt/format.h>

#include <algorithm>

namespace signalbox::rollout {
namespace {

bool IsKept(const Book& book, const v1::RetainedVersion& retained, int64_t now_unix_ms, int64_t retention_ms,
            WrittenTimes& times, Wake& wake) {
  const int64_t until =
      times.Of(fmt::format("retained {} {} {}", book.name, retained.rules_version(), retained.until_unix_ms()),
               retained.until_unix_ms() - now_unix_ms, retention_ms, wake.now_ms());
  return !wake.Passed(until);
}

bool IsPlaced(const v1::Placement& placement, const std::string& model) {
  return placement.models().contains(model) || placement.models().contains(std::string(NameOfModel(model)));
}

}  // namespace

void AddNeed(Needs& needs, const ModelIds& models, const std::string& namespace_name, const std::string& wanted_by,
             bool is_active) {
  for (const std::string& model : models) {
    Need& need = needs[model];
    need.namespaces.insert(namespace_name);
    need.wanted_by.push_back(wanted_by);
    need.is_active = need.is_active || is_active;
  }
}

void AddRunning(const Book& book, const ObservedStore& store, const v1::Placement& placement, int64_t now_unix_ms,
                int64_t retention_ms, NamedModelsCache& named, WrittenTimes& times, Wake& wake, Needs& needs) {
  for (const auto& [scope, topic] : book.observed->active) {
    if (topic.content == nullptr) continue;
    if (topic.content->rules_version() != 0) {
      const std::string by = fmt::format("{} version {} ({})", book.name, topic.content->rules_version(),
                                         scope.empty() ? "active" : fmt::format("active in {}", scope));
      AddNeed(needs, named.Of(store.fleet.content, topic.content, topic.content->rule_set()), book.name, by, true);
    }
    for (const v1::RetainedVersion& retained : topic.content->retained()) {
      if (!IsKept(book, retained, now_unix_ms, retention_ms, times, wake)) continue;
      ModelIds models;
      for (const std::string& model : retained.models()) {
        if (IsPlaced(placement, model)) models.insert(model);
      }
      AddNeed(needs, models, book.name, fmt::format("{} version {} (kept)", book.name, retained.rules_version()), true);
    }
  }
}

bool IsRetained(const Book& book, int64_t rules_version, int64_t now_unix_ms, int64_t retention_ms, WrittenTimes& times,
                Wake& wake) {
  const v1::ActiveRules* active = book.Active();
  if (active == nullptr) return false;
  return std::any_of(active->retained().begin(), active->retained().end(), [&](const v1::RetainedVersion& retained) {
    return retained.rules_version() == rules_version && IsKept(book, retained, now_unix_ms, retention_ms, times, wake);
  });
}

}  // namespace signalbox::rollout
