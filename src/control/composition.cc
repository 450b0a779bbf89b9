#include "control/composition.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <iterator>

#include "api/distribution.h"
#include "base/canonical_json.h"
#include "base/status.h"
#include "base/unix_time.h"
#include "control/traffic_settings.h"
#include "signalbox/v1/rollout.pb.h"

namespace signalbox::control {
namespace {

// How far back a start looks for a moment at which all topics went together, when now they do not. Each step is a
// compilation, of some milliseconds.
constexpr int64_t kReplayMax = 200;
// How far back a topic is followed to a version that compiles by itself. Each step reads and compiles one.
constexpr int64_t kVersionsBackMax = 200;

template <typename Message>
absl::Status ParseTo(const std::string& content, std::shared_ptr<const Message>& target) {
  auto message = std::make_shared<Message>();
  absl::Status status = ParseJson(content, *message);
  target = std::move(message);
  return status;
}

absl::Status CheckNamespaceOf(const v1::RuleSet& rules, std::string_view namespace_name) {
  if (rules.namespace_() == namespace_name) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("holds the rules of namespace '{}', expected those of its own", rules.namespace_()));
}

bool IsManaged(const store::LatestVersions& latest) {
  return std::any_of(latest.topics.begin(), latest.topics.end(),
                     [](const store::LatestVersion& newest) { return newest.info.topic == store::kFleetTopic; });
}

bool IsOfScope(std::string_view topic) {
  const auto active = store::NameOfActiveTopic(topic);
  return active && !active->scope.empty();
}

}  // namespace

// What a snapshot is made from; all other topics are of no concern here.
bool Composition::Concerns(std::string_view topic) const {
  if (topic == store::kPlacementTopic || store::NamespaceOfTrafficTopic(topic)) return true;
  const bool running = managed_ && rules_of_ == RulesOf::kRunning;
  return running ? store::NameOfActiveTopic(topic).has_value() : store::NamespaceOfTopic(topic).has_value();
}

Composition::Part Composition::Parse(std::string_view topic, int64_t version,
                                     const absl::StatusOr<std::string>& content) {
  Part part;
  part.version = version;
  part.fault = content.status();
  if (!content.ok()) return part;
  if (topic == store::kPlacementTopic) {
    part.fault = ParseTo(*content, part.placement);
  } else if (const auto namespace_name = store::NamespaceOfTrafficTopic(topic)) {
    part.fault = ParseTo(*content, part.traffic);
    if (part.fault.ok()) part.fault = CheckTrafficSettings(*part.traffic, *namespace_name);
  } else if (const auto active = store::NameOfActiveTopic(topic)) {
    std::shared_ptr<const v1::ActiveRules> rules;
    part.fault = ParseTo(*content, rules);
    // Version 0 is a scope that has none of its own any more.
    if (part.fault.ok() && rules->rules_version() != 0) {
      part.rules_version = rules->rules_version();
      part.rule_set = std::shared_ptr<const v1::RuleSet>(rules, &rules->rule_set());
      part.fault = CheckNamespaceOf(*part.rule_set, active->namespace_name);
    }
  } else {
    part.fault = ParseTo(*content, part.rule_set);
    part.rules_version = version;
    if (part.fault.ok()) part.fault = CheckNamespaceOf(*part.rule_set, *store::NamespaceOfTopic(topic));
  }
  if (!part.fault.ok()) {
    part.fault = absl::InvalidArgumentError(fmt::format("{} version {}: {}", topic, version, Message(part.fault)));
  }
  return part;
}

absl::StatusOr<std::shared_ptr<const decide::Snapshot>> Composition::Compile(const Parts& parts, int64_t sequence) {
  v1::Snapshot proto;
  for (const auto& [topic, part] : parts) {
    if (part.placement != nullptr) *proto.mutable_placement() = *part.placement;
    if (part.rule_set == nullptr) continue;
    v1::PublishedRuleSet& published = *proto.add_rule_sets();
    *published.mutable_rule_set() = *part.rule_set;
    published.set_version(part.rules_version);
    const auto traffic = parts.find(store::TrafficTopic(part.rule_set->namespace_()));
    if (traffic == parts.end() || traffic->second.traffic == nullptr) continue;
    v1::TrafficSettings settings = SettingsWithEffect(*traffic->second.traffic, *part.rule_set);
    if (settings.shifts().empty()) continue;
    settings.set_version(traffic->second.version);
    *published.mutable_traffic() = std::move(settings);
  }
  proto.set_version(sequence);
  proto.set_created_unix_ms(NowUnixMs());
  if (proto.ByteSizeLong() > distribution::kUpdateBytesMax) {
    return absl::InvalidArgumentError(fmt::format("all rule sets and the placement take {} bytes, the limit is {}",
                                                  proto.ByteSizeLong(), distribution::kUpdateBytesMax));
  }
  return decide::Snapshot::Compile(std::move(proto));
}

absl::Status Composition::Advance() {
  ASSIGN_OR_RETURN(const store::LatestVersions all, store_.Latest());
  if (snapshot_ != nullptr && all.sequence == sequence_) return absl::OkStatus();
  if (IsManaged(all) != managed_) {
    // Other topics than so far: what ran of those says nothing about these.
    managed_ = !managed_;
    snapshot_ = nullptr;
    parts_.clear();
  }
  store::LatestVersions latest;
  store::LatestVersions scoped;
  for (const store::LatestVersion& newest : all.topics) {
    // Versions must not go back when a store becomes managed, whatever of it ran.
    const bool begins_managing = managed_ && newest.info.topic == store::kFleetTopic;
    if (begins_managing) latest.sequence = std::max(latest.sequence, newest.info.sequence);
    if (!Concerns(newest.info.topic)) continue;
    latest.sequence = std::max(latest.sequence, newest.info.sequence);
    (IsOfScope(newest.info.topic) ? scoped : latest).topics.push_back(newest);
  }
  if (snapshot_ != nullptr && latest.sequence == snapshot_->version()) {
    sequence_ = all.sequence;
    return absl::OkStatus();
  }
  decltype(cache_) cache;
  Versions versions;
  for (const store::LatestVersions* of : {&latest, &scoped}) {
    for (const store::LatestVersion& newest : of->topics) {
      const std::pair key(newest.info.topic, newest.info.version);
      if (of == &latest) versions[key.first] = key.second;
      if (const auto known = cache_.find(key); known != cache_.end()) {
        cache.insert(*known);
      } else {
        cache.emplace(key, Parse(key.first, key.second, newest.content));
      }
    }
  }
  cache_ = std::move(cache);
  ASSIGN_OR_RETURN(State state, NewestOfAll(versions, latest.sequence));
  if (state.snapshot == nullptr) {
    ASSIGN_OR_RETURN(state, Replay(latest));
  }
  RETURN_IF_ERROR(TakeScopes(scoped));
  Adopt(std::move(state), latest, all.sequence);
  return absl::OkStatus();
}

// No snapshot: they do not go together, and `parts` is what each topic would bring.
absl::StatusOr<Composition::State> Composition::NewestOfAll(const Versions& versions, int64_t sequence) {
  State state;
  bool all_readable = true;
  for (const auto& [topic, version] : versions) {
    if (version == 0) continue;
    ASSIGN_OR_RETURN(Part part, Load(topic, version));
    all_readable = all_readable && part.fault.ok();
    state.parts[topic] = std::move(part);
  }
  if (all_readable) {
    absl::StatusOr<std::shared_ptr<const decide::Snapshot>> snapshot = Compile(state.parts, sequence);
    if (snapshot.ok()) {
      state.snapshot = *std::move(snapshot);
      return state;
    }
  }
  // Only now: each by itself takes another compilation.
  return SoundOfAll(versions, sequence);
}

absl::StatusOr<Composition::State> Composition::SoundOfAll(const Versions& versions, int64_t sequence) {
  State state;
  Parts older;
  for (const auto& [topic, newest] : versions) {
    for (int64_t version = newest; version > std::max<int64_t>(0, newest - kVersionsBackMax); --version) {
      ASSIGN_OR_RETURN(Part part, LoadAndTryAlone(topic, version));
      if (part.fault.ok()) {
        (version == newest ? state.parts : older)[topic] = std::move(part);
        break;
      }
      state.refused.try_emplace(topic, part.fault);
    }
  }
  absl::StatusOr<std::shared_ptr<const decide::Snapshot>> snapshot = Compile(state.parts, sequence);
  if (snapshot.ok()) {
    state.snapshot = *std::move(snapshot);
    // What comes back may not take from others what they have taken over since.
    for (const auto& [topic, part] : older) TryPart(topic, part, sequence, state);
  } else {
    state.parts.merge(older);
  }
  return state;
}

absl::StatusOr<Composition::State> Composition::Replay(const store::LatestVersions& latest) {
  const bool is_start = snapshot_ == nullptr;
  int64_t base = is_start ? std::max<int64_t>(0, latest.sequence - kReplayMax) : snapshot_->version();
  ASSIGN_OR_RETURN(std::vector<store::VersionInfo> changes, ChangesAfter(base, latest.sequence));
  Versions versions;
  for (const store::LatestVersion& topic : latest.topics) versions[topic.info.topic] = topic.info.version;

  State state{parts_, snapshot_, {}};
  auto next = changes.end();  // the first change to be replayed
  while (next != changes.begin()) {
    --next;
    --versions[next->topic];
    if (!is_start) continue;
    ASSIGN_OR_RETURN(State earlier, NewestOfAll(versions, next->sequence - 1));
    if (earlier.snapshot != nullptr) {
      state = std::move(earlier);
      break;
    }
  }
  if (state.snapshot == nullptr) {
    // They did not go together as far back as we look: begin with nothing, and take what compiles in the order of
    // topics.
    ASSIGN_OR_RETURN(State candidates, SoundOfAll(versions, base));
    ASSIGN_OR_RETURN(state.snapshot, Compile({}, base));
    for (const auto& [topic, part] : candidates.parts) TryPart(topic, part, base, state);
  }
  for (; next != changes.end(); ++next) {
    ++versions[next->topic];
    RETURN_IF_ERROR(Step(versions, *next, state));
  }
  return state;
}

absl::Status Composition::Step(const Versions& versions, const store::VersionInfo& change, State& state) {
  ASSIGN_OR_RETURN(State whole, NewestOfAll(versions, change.sequence));
  if (whole.snapshot != nullptr) {
    state = std::move(whole);
    return absl::OkStatus();
  }
  state.refused = std::move(whole.refused);
  if (const auto changed = whole.parts.find(change.topic); changed != whole.parts.end()) {
    TryPart(change.topic, changed->second, change.sequence, state);
  }
  // What stood in the way of another topic may be gone now.
  for (const auto& [topic, part] : whole.parts) {
    if (topic != change.topic) TryPart(topic, part, change.sequence, state);
  }
  // Also when nothing of this change runs, the snapshot is the one of this sequence.
  ASSIGN_OR_RETURN(state.snapshot, Compile(state.parts, change.sequence));
  return absl::OkStatus();
}

void Composition::TryPart(const std::string& topic, const Part& part, int64_t sequence, State& state) {
  if (const auto running = state.parts.find(topic);
      running != state.parts.end() && running->second.version == part.version) {
    return;
  }
  Parts parts = state.parts;
  parts[topic] = part;
  absl::StatusOr<std::shared_ptr<const decide::Snapshot>> snapshot = Compile(parts, sequence);
  if (snapshot.ok()) {
    state.parts = std::move(parts);
    state.snapshot = *std::move(snapshot);
  } else {
    state.refused.try_emplace(topic, snapshot.status());
  }
}

absl::StatusOr<std::vector<store::VersionInfo>> Composition::ChangesAfter(int64_t sequence, int64_t up_to) {
  ASSIGN_OR_RETURN(std::unique_ptr<store::Watch> watch, store_.WatchChanges(sequence));
  std::vector<store::VersionInfo> changes;
  while (sequence < up_to) {
    ASSIGN_OR_RETURN(std::vector<store::VersionInfo> more, watch->Next(std::chrono::milliseconds(0)));
    if (more.empty()) return absl::UnavailableError(fmt::format("{}: changes are missing", store_.name()));
    sequence = more.back().sequence;
    for (store::VersionInfo& change : more) {
      if (change.sequence <= up_to) changes.push_back(std::move(change));
    }
  }
  std::erase_if(changes,
                [&](const store::VersionInfo& change) { return !Concerns(change.topic) || IsOfScope(change.topic); });
  return changes;
}

absl::StatusOr<Composition::Part> Composition::Load(const std::string& topic, int64_t version) {
  const std::pair key(topic, version);
  if (const auto known = cache_.find(key); known != cache_.end()) return known->second;
  absl::StatusOr<store::Version> stored = store_.Get(topic, version);
  if (!stored.ok() && !absl::IsDataLoss(stored.status())) return stored.status();
  Part part =
      Parse(topic, version, stored.ok() ? std::move(stored->content) : absl::StatusOr<std::string>(stored.status()));
  cache_.emplace(key, part);
  return part;
}

absl::StatusOr<Composition::Part> Composition::LoadAndTryAlone(const std::string& topic, int64_t version) {
  ASSIGN_OR_RETURN(Part part, Load(topic, version));
  if (part.tried_alone || !part.fault.ok()) return part;
  part.fault = Compile({{topic, part}}, 0).status();
  part.tried_alone = true;
  cache_.insert_or_assign(std::pair(topic, version), part);
  return part;
}

absl::Status Composition::TakeScopes(const store::LatestVersions& scoped) {
  Parts parts;
  decltype(scoped_faults_) faults;
  for (const store::LatestVersion& newest : scoped.topics) {
    for (int64_t version = newest.info.version; version > std::max<int64_t>(0, newest.info.version - kVersionsBackMax);
         --version) {
      ASSIGN_OR_RETURN(Part part, LoadAndTryAlone(newest.info.topic, version));
      if (!part.fault.ok()) {
        faults.try_emplace(newest.info.topic, Message(part.fault));
        continue;
      }
      if (part.rules_version != 0) parts[newest.info.topic] = std::move(part);
      break;
    }
  }
  scoped_ = std::move(parts);
  scoped_faults_ = std::move(faults);
  return absl::OkStatus();
}

std::shared_ptr<const decide::Snapshot> Composition::SnapshotOf(const std::vector<std::string>& scopes) {
  const OfScopes* of_scopes = FindOfScopes(scopes);
  return of_scopes == nullptr ? snapshot_ : of_scopes->snapshot;
}

std::string Composition::WhyNot(const std::vector<std::string>& scopes) {
  const OfScopes* of_scopes = FindOfScopes(scopes);
  return of_scopes == nullptr ? "" : of_scopes->why_not;
}

// nullptr: what runs everywhere is what they should have.
const Composition::OfScopes* Composition::FindOfScopes(const std::vector<std::string>& scopes) {
  std::vector<std::string> with_rules;
  std::set_intersection(scopes_.begin(), scopes_.end(), scopes.begin(), scopes.end(), std::back_inserter(with_rules));
  if (with_rules.empty()) return nullptr;
  const auto known = of_scopes_.find(with_rules);
  if (known != of_scopes_.end()) return &known->second;
  OfScopes of_scopes = Overlay(with_rules);
  if (!of_scopes.why_not.empty()) {
    warnings_.push_back(fmt::format("data planes in {} do not get what was released to them: {}",
                                    fmt::join(with_rules, ", "), of_scopes.why_not));
  }
  return &of_scopes_.emplace(std::move(with_rules), std::move(of_scopes)).first->second;
}

Composition::OfScopes Composition::Overlay(const std::vector<std::string>& with_rules) const {
  OfScopes of_scopes;
  Parts parts = parts_;
  // Backwards, so that the first scope counts.
  for (auto scope = with_rules.rbegin(); scope != with_rules.rend(); ++scope) {
    for (const auto& [topic, part] : scoped_) {
      const auto active = store::NameOfActiveTopic(topic);
      if (active->scope == *scope) parts[store::ActiveTopic(active->namespace_name)] = part;
    }
    for (const auto& [topic, fault] : scoped_faults_) {
      if (store::NameOfActiveTopic(topic)->scope == *scope) of_scopes.why_not = fault;
    }
  }
  absl::StatusOr<std::shared_ptr<const decide::Snapshot>> snapshot = Compile(parts, snapshot_->version());
  if (!snapshot.ok()) of_scopes.why_not = Message(snapshot.status());
  of_scopes.snapshot = snapshot.ok() ? *std::move(snapshot) : snapshot_;
  return of_scopes;
}

void Composition::Adopt(State state, const store::LatestVersions& latest, int64_t sequence) {
  held_back_.clear();
  for (const store::LatestVersion& newest : latest.topics) {
    const auto running = state.parts.find(newest.info.topic);
    const int64_t running_version = running == state.parts.end() ? 0 : running->second.version;
    if (running_version == newest.info.version) continue;
    held_back_.push_back({newest.info.topic, newest.info.version, running_version,
                          std::string(Message(state.refused[newest.info.topic]))});
  }
  warnings_ = WithoutEffect(state.parts);
  sequence_ = sequence;
  parts_ = std::move(state.parts);
  snapshot_ = std::move(state.snapshot);
  of_scopes_.clear();
  scopes_.clear();
  for (const auto& [topic, part] : scoped_) scopes_.emplace_back(store::NameOfActiveTopic(topic)->scope);
  for (const auto& [topic, fault] : scoped_faults_) scopes_.emplace_back(store::NameOfActiveTopic(topic)->scope);
  std::sort(scopes_.begin(), scopes_.end());
  scopes_.erase(std::unique(scopes_.begin(), scopes_.end()), scopes_.end());
}

const Composition::Part* Composition::RulesOfNamespace(const Parts& parts, std::string_view namespace_name) {
  auto rules = parts.find(store::ActiveTopic(namespace_name));
  if (rules == parts.end()) rules = parts.find(store::RulesTopic(namespace_name));
  return rules == parts.end() ? nullptr : &rules->second;
}

std::vector<std::string> Composition::WithoutEffect(const Parts& parts) {
  std::vector<std::string> warnings;
  for (const auto& [topic, part] : parts) {
    if (part.traffic == nullptr) continue;
    const Part* rules = RulesOfNamespace(parts, part.traffic->namespace_());
    const v1::TrafficSettings with_effect =
        SettingsWithEffect(*part.traffic, rules == nullptr ? v1::RuleSet() : *rules->rule_set);
    for (const v1::ShiftSetting& setting : part.traffic->shifts()) {
      if (FindSetting(with_effect, setting.shift()) != nullptr) continue;
      warnings.push_back(
          fmt::format("{} version {}: what is set of traffic shift {} has no effect, the rules that run have no such "
                      "shift; `signalbox "
                      "traffic resume {}` takes it away",
                      topic, part.version, setting.shift(), setting.shift()));
    }
  }
  return warnings;
}

NamespaceInUse Composition::InUse(std::string_view namespace_name) const {
  NamespaceInUse in_use;
  if (const Part* rules = RulesOfNamespace(parts_, namespace_name)) {
    in_use.rules = rules->rule_set.get();
    in_use.rules_version = rules->rules_version;
  }
  if (const auto traffic = parts_.find(store::TrafficTopic(namespace_name)); traffic != parts_.end()) {
    in_use.traffic = traffic->second.traffic.get();
    in_use.traffic_version = traffic->second.version;
  }
  return in_use;
}

absl::StatusOr<std::shared_ptr<const decide::Snapshot>> Composition::Try(std::string_view topic,
                                                                         const std::string& content) const {
  Parts parts = parts_;
  const auto running = parts.find(topic);
  const int64_t version = running == parts.end() ? 1 : running->second.version + 1;
  Part& part = parts[std::string(topic)];
  part = Parse(topic, version, content);
  RETURN_IF_ERROR(part.fault);
  return Compile(parts, sequence_ + 1);
}

}  // namespace signalbox::control
