#include "control/store_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/canonical_json.h"
#include "base/status.h"
#include "rollout/batch_writer.h"

namespace signalbox::control {
namespace {

// As far back as a composition follows a topic.
constexpr int64_t kVersionsBackMax = 200;

}  // namespace

template <typename Content>
StoreView::Version StoreView::Parse(const store::VersionInfo& info, const absl::StatusOr<std::string>& content) {
  Version version{info.version, info.sequence, info.author, info.rollback_of, nullptr, content.status()};
  if (!content.ok()) return version;
  auto message = std::make_shared<Content>();
  version.fault = ParseJson(*content, *message);
  version.content = std::move(message);
  return version;
}

StoreView::Version StoreView::Unreadable(absl::Status fault) {
  Version version;
  version.fault = std::move(fault);
  return version;
}

template <typename Content>
absl::Status StoreView::Take(const store::LatestVersion& newest, rollout::Topic<Content>& topic) {
  Known& known = known_[newest.info.topic];
  if (known.newest != newest.info.version) {
    Version used = Parse<Content>(newest.info, newest.content);
    std::string trouble;
    while (!used.fault.ok()) {
      if (trouble.empty()) {
        trouble = fmt::format("{} version {}: {}", newest.info.topic, newest.info.version, Message(used.fault));
      }
      if (used.version <= std::max<int64_t>(1, newest.info.version - kVersionsBackMax)) break;
      absl::StatusOr<store::Version> older = store_.Get(newest.info.topic, used.version - 1);
      if (!older.ok() && !absl::IsDataLoss(older.status()) && !absl::IsNotFound(older.status())) return older.status();
      if (older.ok()) {
        used = Parse<Content>(older->info, older->content);
      } else {
        --used.version;
      }
    }
    known = {newest.info.version, std::move(used), std::move(trouble)};
  }
  if (!known.trouble.empty()) troubles_.push_back(known.trouble);
  if (!known.used.fault.ok()) return absl::OkStatus();
  topic.version = known.used.version;
  topic.sequence = known.used.sequence;
  topic.author = known.used.author;
  topic.rollback_of = known.used.rollback_of;
  topic.content = std::static_pointer_cast<const Content>(known.used.content);
  return absl::OkStatus();
}

absl::Status StoreView::TakePinned(const std::string& namespace_name, rollout::ObservedNamespace& of) {
  const int64_t version = of.release.content ? of.release.content->pinned_version() : 0;
  if (version == 0 || version == of.rules.version) return absl::OkStatus();
  const std::string topic = store::RulesTopic(namespace_name);
  Known& known = known_[topic + "#pinned"];
  if (known.newest != version) {
    absl::StatusOr<store::Version> stored = store_.Get(topic, version);
    const bool is_unreadable = absl::IsDataLoss(stored.status()) || absl::IsNotFound(stored.status());
    if (!stored.ok() && !is_unreadable) return stored.status();
    known.newest = version;
    known.used = stored.ok() ? Parse<v1::RuleSet>(stored->info, stored->content) : Unreadable(stored.status());
  }
  if (!known.used.fault.ok()) {
    troubles_.push_back(fmt::format("{} is pinned to version {}: {}", topic, version, Message(known.used.fault)));
    return absl::OkStatus();
  }
  of.pinned.version = version;
  of.pinned.sequence = known.used.sequence;
  of.pinned.author = known.used.author;
  of.pinned.rollback_of = known.used.rollback_of;
  of.pinned.content = std::static_pointer_cast<const v1::RuleSet>(known.used.content);
  return absl::OkStatus();
}

absl::Status StoreView::Refresh() {
  ASSIGN_OR_RETURN(const store::LatestVersions latest, store_.Latest());
  auto observed = std::make_shared<rollout::ObservedStore>();
  observed->sequence = latest.sequence;
  troubles_.clear();
  for (const store::LatestVersion& newest : latest.topics) {
    const std::string& topic = newest.info.topic;
    auto of = [&](std::string_view namespace_name) -> rollout::ObservedNamespace& {
      return observed->namespaces[std::string(namespace_name)];
    };
    if (topic == store::kFleetTopic) {
      RETURN_IF_ERROR(Take(newest, observed->fleet));
    } else if (topic == store::kDrainsTopic) {
      RETURN_IF_ERROR(Take(newest, observed->drains));
    } else if (topic == store::kPlacementTopic) {
      RETURN_IF_ERROR(Take(newest, observed->placement));
    } else if (const auto active = store::NameOfActiveTopic(topic)) {
      RETURN_IF_ERROR(Take(newest, of(active->namespace_name).active[std::string(active->scope)]));
    } else if (const auto released = store::NamespaceOfReleaseTopic(topic)) {
      RETURN_IF_ERROR(Take(newest, of(*released).release));
    } else if (const auto rules = store::NamespaceOfTopic(topic)) {
      RETURN_IF_ERROR(Take(newest, of(*rules).rules));
    }
  }
  for (auto& [name, of] : observed->namespaces) {
    RETURN_IF_ERROR(TakePinned(name, of));
  }
  observed_ = std::move(observed);
  return RefreshRecords();
}

absl::Status StoreView::RefreshRecords() {
  ASSIGN_OR_RETURN(std::vector<store::Record> records, store_.Records(rollout::kRolloutRecords));
  auto observed = std::make_shared<rollout::ObservedStore>(*observed_);
  for (auto& [name, of] : observed->namespaces) of.rollout.reset();
  for (store::Record& record : records) {
    const auto found = observed->namespaces.find(record.key.substr(rollout::kRolloutRecords.size()));
    if (found != observed->namespaces.end()) found->second.rollout = std::move(record);
  }
  observed_ = std::move(observed);
  return absl::OkStatus();
}

}  // namespace signalbox::control
