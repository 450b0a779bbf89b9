#include "control/operator_topics.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include "base/canonical_json.h"
#include "base/status.h"
#include "control/data_plane_book.h"
#include "control/host_records.h"
#include "control/publish_attempts.h"
#include "rollout/batch_writer.h"
#include "signalbox/v1/registration.pb.h"

namespace signalbox::control {
namespace {

template <typename Content>
struct Newest {
  int64_t version = 0;
  Content content;
};

template <typename Content>
absl::StatusOr<Newest<Content>> ReadNewest(store::Store& store, const std::string& topic) {
  Newest<Content> newest;
  absl::StatusOr<store::Version> stored = store.Get(topic, std::nullopt);
  if (absl::IsNotFound(stored.status())) return newest;
  RETURN_IF_ERROR(stored.status());
  newest.version = stored->info.version;
  if (absl::Status status = ParseJson(stored->content, newest.content); !status.ok()) {
    return absl::DataLossError(fmt::format("{} version {}: {}", topic, newest.version, Message(status)));
  }
  return newest;
}

// `change` gets what is there and makes it what should be. Repeated while others write the same topic.
template <typename Content, typename Change>
absl::StatusOr<store::Published> ChangeTopic(store::Store& store, const std::string& topic, const Signature& signature,
                                             Change change) {
  for (int attempt = 1;; ++attempt) {
    ASSIGN_OR_RETURN(Newest<Content> newest, ReadNewest<Content>(store, topic));
    RETURN_IF_ERROR(change(newest.content));
    ASSIGN_OR_RETURN(std::string content, CanonicalJson(newest.content));
    absl::StatusOr<store::Published> published = store.Publish({.topic = topic,
                                                                .content = std::move(content),
                                                                .author = signature.author,
                                                                .message = signature.message,
                                                                .expected = {.version = newest.version}});
    if (published.ok() || !absl::IsAborted(published.status()) || attempt == kPublishAttemptsMax) return published;
  }
}

// In a store that is not managed nothing would come of it.
absl::Status CheckManaged(store::Store& store) {
  absl::Status fleet = store.History(store::kFleetTopic, 1).status();
  if (!absl::IsNotFound(fleet)) return fleet;
  return absl::InvalidArgumentError(fmt::format(
      "the store {} is not managed: no fleet was ever published to it (signalbox control --fleet), and rules "
      "run as soon as they are published",
      store.name()));
}

template <typename Change>
absl::StatusOr<ChangedRelease> ChangeRelease(store::Store& store, const std::string& namespace_name,
                                             const Signature& signature, Change change) {
  RETURN_IF_ERROR(store::CheckNamespace(namespace_name));
  RETURN_IF_ERROR(CheckManaged(store));
  RETURN_IF_ERROR(store.History(store::RulesTopic(namespace_name), 1).status());
  ChangedRelease result;
  ASSIGN_OR_RETURN(result.published, ChangeTopic<v1::ReleasePlan>(store, store::ReleaseTopic(namespace_name), signature,
                                                                  [&](v1::ReleasePlan& plan) -> absl::Status {
                                                                    result.before = plan;
                                                                    plan.set_namespace_(namespace_name);
                                                                    RETURN_IF_ERROR(change(plan));
                                                                    result.after = plan;
                                                                    return absl::OkStatus();
                                                                  }));
  return result;
}

// "active", ...
std::string StateText(v1::Rollout::State state) {
  std::string text = v1::Rollout::State_Name(state);
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

absl::StatusOr<int64_t> VersionUnderWay(store::Store& store, const std::string& namespace_name) {
  ASSIGN_OR_RETURN(const v1::Rollouts rollouts, ReadRollouts(store, namespace_name));
  if (IsUnderWay(rollouts.current())) return rollouts.current().rules_version();
  return absl::InvalidArgumentError(fmt::format("namespace {}: no rollout is under way; that of version {} is {}",
                                                namespace_name, rollouts.current().rules_version(),
                                                StateText(rollouts.current().state())));
}

std::string_view NameOf(Drain what) { return what == Drain::kShard ? "shard" : "host"; }

absl::StatusOr<std::set<std::string>> Known(store::Store& store, Drain what) {
  RETURN_IF_ERROR(CheckManaged(store));
  ASSIGN_OR_RETURN(const Newest<v1::Fleet> fleet, ReadNewest<v1::Fleet>(store, std::string(store::kFleetTopic)));
  std::set<std::string> known;
  for (const auto& [shard, declared] : fleet.content.shards()) {
    if (what == Drain::kShard) {
      known.insert(shard);
    } else {
      for (const v1::FleetHost& host : declared.hosts()) known.insert(host.id().empty() ? host.address() : host.id());
    }
  }
  if (what == Drain::kHost) {
    ASSIGN_OR_RETURN(const std::vector<store::Record> records, store.Records(kHostRecords));
    for (const store::Record& record : records) known.insert(record.key.substr(kHostRecords.size()));
  }
  return known;
}

absl::Status CheckKnown(store::Store& store, Drain what, const std::string& name) {
  ASSIGN_OR_RETURN(const std::set<std::string> known, Known(store, what));
  if (known.contains(name)) return absl::OkStatus();
  return absl::NotFoundError(fmt::format("no {} '{}'; there {}: {}", NameOf(what), name,
                                         known.size() == 1 ? "is" : "are",
                                         known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", "))));
}

// What was drained and is gone can always be taken off the list; a name that is neither there nor drained is a mistake.
absl::Status CheckDrainedOrKnown(store::Store& store, Drain what, const std::string& name) {
  ASSIGN_OR_RETURN(const std::set<std::string> known, Known(store, what));
  ASSIGN_OR_RETURN(const Newest<v1::Drains> drains, ReadNewest<v1::Drains>(store, std::string(store::kDrainsTopic)));
  const auto& drained = what == Drain::kShard ? drains.content.shards() : drains.content.hosts();
  if (known.contains(name) || std::find(drained.begin(), drained.end(), name) != drained.end()) return absl::OkStatus();
  return absl::NotFoundError(
      fmt::format("no {} '{}' is drained; drained: {}", NameOf(what), name,
                  drained.empty() ? "none" : fmt::format("{}", fmt::join(drained.begin(), drained.end(), ", "))));
}

}  // namespace

absl::StatusOr<v1::ReleasePlan> ReadRelease(store::Store& store, const std::string& namespace_name) {
  RETURN_IF_ERROR(store::CheckNamespace(namespace_name));
  ASSIGN_OR_RETURN(Newest<v1::ReleasePlan> newest,
                   ReadNewest<v1::ReleasePlan>(store, store::ReleaseTopic(namespace_name)));
  newest.content.set_namespace_(namespace_name);
  return std::move(newest.content);
}

absl::StatusOr<ChangedRelease> PinVersion(store::Store& store, const std::string& namespace_name, int64_t version,
                                          const Signature& signature) {
  RETURN_IF_ERROR(store::CheckNamespace(namespace_name));
  if (version != 0) {
    RETURN_IF_ERROR(store.Get(store::RulesTopic(namespace_name), version).status());
  }
  return ChangeRelease(store, namespace_name, signature, [&](v1::ReleasePlan& plan) {
    plan.set_pinned_version(version);
    return absl::OkStatus();
  });
}

absl::StatusOr<ChangedRelease> SetReleaseSteps(store::Store& store, const std::string& namespace_name,
                                               const std::vector<v1::ReleaseStep>& steps, const Signature& signature) {
  std::set<std::string> seen;
  for (const v1::ReleaseStep& step : steps) {
    RETURN_IF_ERROR(store::CheckScope(step.scope()));
    if (!seen.insert(step.scope()).second) {
      return absl::InvalidArgumentError(fmt::format("scope {} stands twice", step.scope()));
    }
  }
  return ChangeRelease(store, namespace_name, signature, [&](v1::ReleasePlan& plan) {
    plan.mutable_steps()->Assign(steps.begin(), steps.end());
    return absl::OkStatus();
  });
}

absl::StatusOr<ChangedRelease> PauseRelease(store::Store& store, const std::string& namespace_name, bool paused,
                                            const Signature& signature) {
  return ChangeRelease(store, namespace_name, signature, [&](v1::ReleasePlan& plan) {
    plan.set_paused(paused);
    return absl::OkStatus();
  });
}

absl::StatusOr<ChangedRelease> CancelRollout(store::Store& store, const std::string& namespace_name,
                                             const Signature& signature) {
  return ChangeRelease(store, namespace_name, signature, [&](v1::ReleasePlan& plan) -> absl::Status {
    ASSIGN_OR_RETURN(const int64_t version, VersionUnderWay(store, namespace_name));
    plan.set_cancelled_version(version);
    return absl::OkStatus();
  });
}

absl::StatusOr<ChangedRelease> PromoteRollout(store::Store& store, const std::string& namespace_name,
                                              const Signature& signature) {
  return ChangeRelease(store, namespace_name, signature, [&](v1::ReleasePlan& plan) -> absl::Status {
    ASSIGN_OR_RETURN(const int64_t version, VersionUnderWay(store, namespace_name));
    plan.set_promoted_version(version);
    plan.set_paused(false);
    return absl::OkStatus();
  });
}

absl::StatusOr<ChangedRelease> RetryRollout(store::Store& store, const std::string& namespace_name,
                                            const Signature& signature) {
  return ChangeRelease(store, namespace_name, signature, [&](v1::ReleasePlan& plan) -> absl::Status {
    ASSIGN_OR_RETURN(const v1::Rollouts rollouts, ReadRollouts(store, namespace_name));
    const v1::Rollout& newest = rollouts.current();
    if (newest.state() == v1::Rollout::FAILED) {
      plan.set_attempt(newest.attempt() + 1);
      return absl::OkStatus();
    }
    if (newest.state() == v1::Rollout::CANCELLED && plan.cancelled_version() == newest.rules_version()) {
      plan.clear_cancelled_version();
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        fmt::format("namespace {}: the rollout of version {} has not failed and nobody has cancelled it: it is {}{}",
                    namespace_name, newest.rules_version(), StateText(newest.state()),
                    newest.reason().empty() ? "" : ", " + newest.reason()));
  });
}

absl::StatusOr<std::vector<v1::Rollouts>> ReadRollouts(store::Store& store) {
  ASSIGN_OR_RETURN(const std::vector<store::Record> records, store.Records(rollout::kRolloutRecords));
  std::vector<v1::Rollouts> all;
  for (const store::Record& record : records) {
    if (!all.emplace_back().ParseFromString(record.value)) {
      return absl::DataLossError(fmt::format("record {}: cannot be read", record.key));
    }
  }
  return all;
}

absl::StatusOr<v1::Rollouts> ReadRollouts(store::Store& store, const std::string& namespace_name) {
  RETURN_IF_ERROR(store::CheckNamespace(namespace_name));
  ASSIGN_OR_RETURN(const std::optional<store::Record> record,
                   store.GetRecord(fmt::format("{}{}", rollout::kRolloutRecords, namespace_name)));
  if (!record) {
    return absl::NotFoundError(
        fmt::format("namespace {}: no rollout is known of in {}; it begins when a control plane that manages the fleet "
                    "(--fleet) sees published rules",
                    namespace_name, store.name()));
  }
  v1::Rollouts rollouts;
  if (rollouts.ParseFromString(record->value)) return rollouts;
  return absl::DataLossError(fmt::format("record {}: cannot be read", record->key));
}

absl::StatusOr<std::map<std::string, int>> LiveScopes(store::Store& store) {
  ASSIGN_OR_RETURN(const std::vector<store::Record> records, store.Records(kDataPlaneRecords));
  std::map<std::string, std::set<std::string>> nodes;
  for (const store::Record& record : records) {
    v1::DataPlanes book;
    if (!book.ParseFromString(record.value)) continue;
    for (const v1::DataPlane& data_plane : book.data_planes()) {
      if (!data_plane.connected()) continue;
      for (const std::string& scope : data_plane.scopes()) nodes[scope].insert(data_plane.node_id());
    }
  }
  std::map<std::string, int> scopes;
  for (const auto& [scope, of] : nodes) scopes[scope] = static_cast<int>(of.size());
  return scopes;
}

absl::StatusOr<std::vector<std::string>> StepWarnings(store::Store& store, const std::vector<v1::ReleaseStep>& steps) {
  ASSIGN_OR_RETURN(const auto scopes, LiveScopes(store));
  std::vector<std::string> there;
  for (const auto& [scope, count] : scopes) {
    there.push_back(fmt::format("{} ({} data plane{})", scope, count, count == 1 ? "" : "s"));
  }
  std::vector<std::string> warnings;
  for (const v1::ReleaseStep& step : steps) {
    if (scopes.contains(step.scope())) continue;
    warnings.push_back(fmt::format(
        "no data plane that is connected has the scope {}: its step waits for nobody; there {}", step.scope(),
        there.empty() ? "is none with a scope (signalbox proxy --scope)"
                      : fmt::format("{}: {}", there.size() == 1 ? "is" : "are", fmt::join(there, ", "))));
  }
  return warnings;
}

bool IsUnderWay(const v1::Rollout& rollout) {
  switch (rollout.state()) {
    case v1::Rollout::RECEIVED:
    case v1::Rollout::CHECKED:
    case v1::Rollout::ASSIGNED:
    case v1::Rollout::LOADING:
    case v1::Rollout::VALIDATED:
    case v1::Rollout::WIDENING:
      return true;
    default:
      return false;
  }
}

absl::StatusOr<ChangedDrains> SetDrained(store::Store& store, Drain what, const std::string& name, bool drained,
                                         const Signature& signature) {
  RETURN_IF_ERROR(drained ? CheckKnown(store, what, name) : CheckDrainedOrKnown(store, what, name));
  ChangedDrains result;
  ASSIGN_OR_RETURN(result.published,
                   ChangeTopic<v1::Drains>(store, std::string(store::kDrainsTopic), signature, [&](v1::Drains& drains) {
                     auto& list = what == Drain::kShard ? *drains.mutable_shards() : *drains.mutable_hosts();
                     std::set<std::string> names(list.begin(), list.end());
                     drained ? static_cast<void>(names.insert(name)) : static_cast<void>(names.erase(name));
                     list.Assign(names.begin(), names.end());
                     result.drains = drains;
                     return absl::OkStatus();
                   }));
  return result;
}

}  // namespace signalbox::control
