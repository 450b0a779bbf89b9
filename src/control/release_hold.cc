#include "control/release_hold.h"

#include <fmt/format.h>

#include "base/canonical_json.h"
#include "base/printable.h"
#include "base/rfc3339.h"
#include "base/status.h"
#include "control/leadership.h"
#include "control/operator_topics.h"

namespace signalbox::control {
namespace {

// Plans that are looked back at for who set something: enough for people, and a publish waits for it.
constexpr size_t kPlansMax = 100;

std::string PinHold(store::Store& store, const std::string& namespace_name, const v1::ReleasePlan& plan,
                    int64_t version) {
  const int64_t pinned = plan.pinned_version();
  return fmt::format(
      "namespace {} is pinned to version {}{}: version {} waits, and takes no effect before {}", namespace_name, pinned,
      WhoSet(store, namespace_name, [&](const v1::ReleasePlan& then) { return then.pinned_version() == pinned; }),
      version, CommandText(store, "rules unpin", namespace_name));
}

std::string PauseHold(store::Store& store, const std::string& namespace_name, int64_t version) {
  return fmt::format(
      "rollouts of namespace {} are paused{}: version {} is loaded and tried, and takes no effect before {}",
      namespace_name, WhoSet(store, namespace_name, [](const v1::ReleasePlan& then) { return then.paused(); }), version,
      CommandText(store, "rollout resume", namespace_name));
}

// The same rules published again are no new version, so nothing would come of them.
std::string EndHold(store::Store& store, const std::string& namespace_name, const v1::Rollout& rollout) {
  const bool has_failed = rollout.state() == v1::Rollout::FAILED;
  return fmt::format("the rollout of version {} {}: {}; {} begins it again", rollout.rules_version(),
                     has_failed ? "failed" : "was cancelled", EscapeControlCharacters(rollout.reason()),
                     CommandText(store, "rollout retry", namespace_name));
}

void AddNobodyLeads(store::Store& store, std::vector<std::string>& texts) {
  const absl::StatusOr<std::optional<store::Record>> leader = store.GetRecord(kLeaderRecord);
  if (!leader.ok() || leader->has_value()) return;
  texts.push_back("no control plane leads at this moment: nothing goes on before one (signalbox control) does");
}

}  // namespace

std::string WhoSet(store::Store& store, std::string_view namespace_name,
                   const std::function<bool(const v1::ReleasePlan&)>& holds) {
  const std::string topic = store::ReleaseTopic(namespace_name);
  const auto history = store.History(topic, kPlansMax);
  if (!history.ok()) return "";
  const store::VersionInfo* first = nullptr;
  for (const store::VersionInfo& info : *history) {
    const absl::StatusOr<store::Version> stored = store.Get(topic, info.version);
    v1::ReleasePlan plan;
    if (!stored.ok() || !ParseJson(stored->content, plan).ok() || !holds(plan)) break;
    first = &info;
  }
  if (first == nullptr) return "";
  return fmt::format(" by {} since {}{}", EscapeControlCharacters(first->author), Rfc3339(first->unix_ms / 1000 * 1000),
                     first->message.empty() ? "" : fmt::format(" (\"{}\")", EscapeControlCharacters(first->message)));
}

std::string CommandText(const store::Store& store, std::string_view command, std::string_view namespace_name) {
  return fmt::format("`signalbox {} --store {} --namespace {}`", command, store.name(), namespace_name);
}

std::vector<std::string> ReleaseHolds(store::Store& store, const std::string& namespace_name, int64_t version,
                                      bool is_rollback) {
  std::vector<std::string> holds;
  const absl::StatusOr<v1::ReleasePlan> plan = ReadRelease(store, namespace_name);
  if (!plan.ok()) {
    holds.push_back(fmt::format("whether version {} takes effect cannot be read: {}", version, Message(plan.status())));
    return holds;
  }
  const absl::StatusOr<v1::Rollouts> rollouts = ReadRollouts(store, namespace_name);
  const bool is_pinned_elsewhere = plan->pinned_version() != 0 && plan->pinned_version() != version;
  if (is_pinned_elsewhere) {
    holds.push_back(PinHold(store, namespace_name, *plan, version));
  } else if (plan->paused() && !is_rollback) {
    const bool is_active = rollouts.ok() && rollouts->current().rules_version() == version &&
                           rollouts->current().state() == v1::Rollout::ACTIVE;
    if (!is_active) holds.push_back(PauseHold(store, namespace_name, version));
  }
  if (!is_pinned_elsewhere && rollouts.ok() && rollouts->current().rules_version() == version &&
      (rollouts->current().state() == v1::Rollout::FAILED ||
       (rollouts->current().state() == v1::Rollout::CANCELLED && plan->cancelled_version() == version))) {
    holds.push_back(EndHold(store, namespace_name, rollouts->current()));
  }
  AddNobodyLeads(store, holds);
  return holds;
}

std::vector<std::string> ReleaseStateText(store::Store& store, const v1::ReleasePlan& plan) {
  std::vector<std::string> texts;
  const std::string& name = plan.namespace_();
  if (const int64_t pinned = plan.pinned_version(); pinned != 0) {
    texts.push_back(
        fmt::format("pinned to version {}{}: {} lets what was published later run", pinned,
                    WhoSet(store, name, [&](const v1::ReleasePlan& then) { return then.pinned_version() == pinned; }),
                    CommandText(store, "rules unpin", name)));
  }
  if (plan.paused()) {
    texts.push_back(fmt::format("paused{}: {} lets it go on",
                                WhoSet(store, name, [](const v1::ReleasePlan& then) { return then.paused(); }),
                                CommandText(store, "rollout resume", name)));
  }
  AddNobodyLeads(store, texts);
  return texts;
}

}  // namespace signalbox::control
