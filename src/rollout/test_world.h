// A world for the controller, played one step after the other: a store, hosts that do what they are told, data planes
// that take what they are sent. Everything can be made to fail.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/canonical_json.h"
#include "base/status.h"
#include "rollout/controller.h"

namespace signalbox::rollout {

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

struct TestHost {
  std::string shard;
  std::string instance;
  bool alive = true;
  std::map<std::string, ModelState> index;
  std::string address;
  bool probed = true;
};

class World {
 public:
  explicit World(ControllerOptions options = {}) : options_(options) { Elect(); }

  // --- What people do.
  void Fleet(const std::string& text) { Write("fleet", Parse<v1::Fleet>(text)); }
  void PutFleet(const v1::Fleet& fleet) { Write("fleet", fleet); }
  void Drains(const std::string& text) { Write("drains", Parse<v1::Drains>(text)); }
  void Plan(const std::string& name, const std::string& text) {
    auto plan = Parse<v1::ReleasePlan>(text);
    plan.set_namespace_(name);
    Write("release/" + name, plan);
  }
  // Rules of one Objective, named after the namespace, with the first model as its default, the others as fallbacks.
  int64_t Publish(const std::string& name, const std::vector<std::string>& models, int64_t rollback_of = 0) {
    v1::RuleSet rules;
    rules.set_namespace_(name);
    v1::Objective& objective = *rules.add_objectives();
    objective.set_name("Objective_" + name);
    for (const std::string& id : models) {
      v1::ModelRef& ref =
          &id == &models.front() ? *objective.mutable_default_model() : *objective.add_fallback_models();
      ref.set_name(id.substr(0, id.find('@')));
      if (id.find('@') != std::string::npos) ref.set_version(id.substr(id.find('@') + 1));
    }
    return PublishRules(rules, rollback_of);
  }
  int64_t PublishRules(const v1::RuleSet& rules, int64_t rollback_of = 0) {
    const std::string topic = "rules/" + rules.namespace_();
    Write(topic, rules);
    rollback_of_[{topic, topics_[topic].version}] = rollback_of;
    return topics_[topic].version;
  }

  void Put(const std::string& topic, const std::string& json) {
    StoredTopic& stored = topics_[topic];
    stored = {stored.version + 1, ++sequence_, json};
  }

  // --- What hosts do.
  TestHost& AddHost(const std::string& id, const std::string& shard) {
    TestHost& host = hosts_[id];
    host = {.shard = shard, .instance = id + "-1", .alive = true, .index = {}, .address = id + ":8001"};
    return host;
  }
  void Restart(const std::string& id) {
    hosts_[id].instance += "+";
    hosts_[id].index.clear();
  }
  TestHost& Host(const std::string& id) { return hosts_.at(id); }
  void RemoveHost(const std::string& id) { hosts_.erase(id); }
  // Answers of commands, by "load HOST MODEL"; an unset optional: no answer ever. HOST may be "*".
  std::map<std::string, std::optional<absl::Status>> answers;

  // Commands of the next turns do not reach their hosts: the leadership is not sure.
  bool begins_nothing = false;

  // --- What data planes do.
  v1::DataPlane& DataPlane(const std::string& node) {
    v1::DataPlane& data_plane = data_planes_[node];
    data_plane.set_node_id(node);
    data_plane.set_connected(true);
    return data_plane;
  }
  std::set<std::string> stuck;  // data planes that take nothing new

  // --- Time and leadership.
  void Elect() {
    controller_ = std::make_unique<Controller>(options_);
    ++term_;
    results_.clear();
    batch_status_.reset();
  }
  void JumpClock(int64_t ms) { unix_offset_ms_ += ms; }
  absl::Status write_status;  // of the batches to come
  std::function<void(const HostCommand&)> before_unload;
  std::function<void(const HostCommand&)> before_command;
  std::string refused_topic;  // a batch with it is never taken

  // One step, and everything that it asks for. Whether it asked for anything.
  bool Turn() {
    for (auto& [node, data_plane] : data_planes_) {
      if (stuck.contains(node)) continue;
      data_plane.set_running_version(sequence_);
      data_plane.set_acknowledged_version(sequence_);
      data_plane.set_oldest_version_in_use(sequence_);
    }
    Observation observation = Observe();
    last_ = controller_->Next(observation);
    ++steps;
    for (const std::string& line : last_.log) log.push_back(line);
    const bool quiet = last_.commands.empty() && !last_.batch.has_value();
    for (const HostCommand& command : last_.commands) Obey(command);
    if (last_.batch.has_value()) {
      ++batches;
      batch_status_ = write_status.ok() ? Apply(*last_.batch) : write_status;
      if (!batch_status_->ok()) last_failure_ms_ = now_ms_;
    }
    is_quiet_ = quiet;
    return !quiet;
  }
  // Turns until nothing is asked for any more.
  void Settle() {
    for (int i = 0; i < 1000; ++i) {
      if (!Turn() && results_.empty()) return;
    }
    const size_t last = std::min<size_t>(20, commands.size());
    ADD_FAILURE() << "it does not come to rest: " << fmt::format("{}", fmt::join(log, "\n")) << "\nlast commands: "
                  << fmt::format("{}",
                                 fmt::join(commands.end() - static_cast<std::ptrdiff_t>(last), commands.end(), ", "));
  }
  // Settles at every time that the controller asks to be woken at.
  void Pass(int64_t ms) {
    const int64_t until = now_ms_ + ms;
    Settle();
    for (int i = 0; i < 100000 && now_ms_ < until; ++i) {
      now_ms_ = std::min(until, now_ms_ + std::max<int64_t>(1, last_.wake_after.count()));
      Settle();
    }
  }

  // --- What has come of it.
  v1::Rollouts Rollouts(const std::string& name) const {
    v1::Rollouts rollouts;
    const auto record = records_.find("rollout/" + name);
    if (record != records_.end()) rollouts.ParseFromString(record->second.value);
    return rollouts;
  }
  v1::Rollout::State StateOf(const std::string& name) const { return Rollouts(name).current().state(); }
  std::string ReasonOf(const std::string& name) const { return Rollouts(name).current().reason(); }
  int64_t ActiveVersion(const std::string& name, const std::string& scope = "") const {
    const auto topic = topics_.find("active/" + name + (scope.empty() ? "" : "/" + scope));
    if (topic == topics_.end()) return 0;
    v1::ActiveRules active;
    EXPECT_TRUE(ParseJson(topic->second.content, active).ok());
    return active.rules_version();
  }
  v1::Placement Placement() const {
    v1::Placement placement;
    if (const auto topic = topics_.find("placement"); topic != topics_.end()) {
      EXPECT_TRUE(ParseJson(topic->second.content, placement).ok());
    }
    return placement;
  }
  std::string ShardsOf(const std::string& model) const {
    const v1::Placement placement = Placement();
    const auto found = placement.models().find(model);
    if (found == placement.models().end()) return "";
    std::string text = fmt::format("{}", fmt::join(found->second.shards(), ","));
    if (!found->second.weights().empty()) text += fmt::format(" {}", fmt::join(found->second.weights(), ":"));
    return text;
  }
  std::string HostsOf(const std::string& shard) const {
    const v1::Placement placement = Placement();
    const auto found = placement.shards().find(shard);
    return found == placement.shards().end() ? "" : fmt::format("{}", fmt::join(found->second.hosts(), ","));
  }
  bool Has(const std::string& host, const std::string& model) const {
    const auto found = hosts_.at(host).index.find(model);
    return found != hosts_.at(host).index.end() && found->second == ModelState::kReady;
  }
  bool Routes(const std::string& address, const std::string& model) const {
    const v1::Placement placement = Placement();
    const auto entry = placement.models().find(model);
    if (entry == placement.models().end()) return false;
    for (const std::string& shard : entry->second.shards()) {
      for (const std::string& host : placement.shards().at(shard).hosts()) {
        if (host == address) return true;
      }
    }
    return false;
  }
  // Names of the models of the rules that run there.
  std::vector<std::string> ActiveModels(const std::string& name, const std::string& scope) const {
    const auto topic = topics_.find("active/" + name + (scope.empty() ? "" : "/" + scope));
    v1::ActiveRules active;
    if (topic != topics_.end()) {
      EXPECT_TRUE(ParseJson(topic->second.content, active).ok());
    }
    std::vector<std::string> models;
    for (const v1::Objective& objective : active.rule_set().objectives()) {
      const auto add = [&](const v1::ModelRef& ref) {
        models.push_back(ref.version().empty() ? ref.name() : ref.name() + "@" + ref.version());
      };
      add(objective.default_model());
      for (const v1::ModelRef& ref : objective.fallback_models()) add(ref);
    }
    return models;
  }
  // Nothing is on its way: the last step has seen everything there is.
  bool IsQuiet() const { return is_quiet_ && results_.empty() && now_ms_ > last_failure_ms_ + 30'000; }
  int64_t sequence() const { return sequence_; }
  int64_t version(const std::string& topic) const {
    const auto found = topics_.find(topic);
    return found == topics_.end() ? 0 : found->second.version;
  }
  int64_t now_ms() const { return now_ms_; }
  const Step& last() const { return last_; }
  Step Next(const Observation& observation) { return controller_->Next(observation); }
  const Controller& controller() const { return *controller_; }
  Observation Observe() {
    Observation observation;
    observation.now_unix_ms = 1'800'000'000'000 + now_ms_ + unix_offset_ms_;
    observation.steady_ms = now_ms_;
    observation.node_id = "control-1";
    observation.leadership = store::Fence{"leader", term_};
    observation.store = ObserveStore();
    for (const auto& [id, host] : hosts_) observation.hosts.push_back(ObserveHost(id, host));
    for (const auto& [node, data_plane] : data_planes_) observation.data_planes.push_back(data_plane);
    observation.results = std::exchange(results_, {});
    observation.batch_status = std::exchange(batch_status_, std::nullopt);
    return observation;
  }
  struct StoredTopic {
    int64_t version = 0;
    int64_t sequence = 0;
    std::string content;
  };
  std::map<std::string, StoredTopic>& topics() { return topics_; }
  void Restore(std::map<std::string, StoredTopic> topics, std::map<std::string, store::Record> records,
               int64_t sequence) {
    topics_ = std::move(topics);
    records_ = std::move(records);
    sequence_ = sequence;
    observed_ = nullptr;
  }
  std::map<std::string, store::Record>& records() { return records_; }

  int steps = 0;
  int batches = 0;
  std::vector<std::string> log;
  std::vector<std::string> commands;  // "load HOST MODEL"

 private:
  template <typename Message>
  void Write(const std::string& topic, const Message& content) {
    absl::StatusOr<std::string> json = CanonicalJson(content);
    ASSERT_TRUE(json.ok()) << Message_(json.status());
    StoredTopic& stored = topics_[topic];
    ++stored.version;
    stored.sequence = ++sequence_;
    stored.content = *json;
    old_[{topic, stored.version}] = stored;
  }
  static std::string_view Message_(const absl::Status& status) { return signalbox::Message(status); }

  absl::Status Apply(const store::Batch& batch) {
    if (!batch.fence.has_value() || batch.fence->created_revision != term_) return absl::AbortedError("fenced");
    for (const store::Publication& publication : batch.publications) {
      if (publication.topic == refused_topic) return absl::InvalidArgumentError(refused_topic + ": too large");
      EXPECT_TRUE(publication.expected.version.has_value());
      if (version(publication.topic) != *publication.expected.version) return absl::AbortedError(publication.topic);
    }
    for (const store::RecordWrite& write : batch.records) {
      const auto found = records_.find(write.key);
      EXPECT_TRUE(write.expected_revision.has_value());
      if ((found == records_.end() ? 0 : found->second.revision) != *write.expected_revision) {
        return absl::AbortedError(write.key);
      }
    }
    for (const store::Publication& publication : batch.publications) {
      StoredTopic& stored = topics_[publication.topic];
      EXPECT_NE(stored.content, publication.content) << publication.topic << " is written again without a change";
      ++stored.version;
      stored.sequence = ++sequence_;
      stored.content = publication.content;
    }
    ++revision_;
    for (const store::RecordWrite& write : batch.records) {
      records_[write.key] = {write.key, write.value.value_or(""), revision_, revision_};
    }
    return absl::OkStatus();
  }

  template <typename Message>
  void Read(const std::string& topic, Topic<Message>& out) {
    const auto found = topics_.find(topic);
    if (found == topics_.end()) return;
    ReadStored(topic, found->second, out);
  }
  template <typename Message>
  void ReadStored(const std::string& topic, const StoredTopic& stored, Topic<Message>& out) {
    auto content = std::make_shared<Message>();
    EXPECT_TRUE(ParseJson(stored.content, *content).ok()) << stored.content;
    out = {stored.version, stored.sequence, "alice", content, rollback_of_[{topic, stored.version}]};
  }

  // As the observed store does: what has not changed is the same object.
  std::shared_ptr<const ObservedStore> ObserveStore() {
    if (observed_ != nullptr && observed_sequence_ == sequence_ && observed_revision_ == revision_) return observed_;
    auto store = std::make_shared<ObservedStore>();
    store->sequence = sequence_;
    Read("fleet", store->fleet);
    Read("drains", store->drains);
    Read("placement", store->placement);
    for (const auto& [topic, stored] : topics_) {
      const size_t slash = topic.find('/');
      if (slash == std::string::npos) continue;
      const std::string kind = topic.substr(0, slash);
      std::string name = topic.substr(slash + 1);
      std::string scope;
      if (kind == "active" && name.find('/') != std::string::npos) {
        scope = name.substr(name.find('/') + 1);
        name = name.substr(0, name.find('/'));
      }
      ObservedNamespace& observed = store->namespaces[name];
      if (kind == "rules") Read(topic, observed.rules);
      if (kind == "release") Read(topic, observed.release);
      if (kind == "active") Read(topic, observed.active[scope]);
    }
    for (auto& [name, observed] : store->namespaces) {
      if (const auto record = records_.find("rollout/" + name); record != records_.end()) {
        observed.rollout = record->second;
      }
      const int64_t pinned = observed.release.content == nullptr ? 0 : observed.release.content->pinned_version();
      if (const auto old = old_.find({"rules/" + name, pinned}); old != old_.end()) {
        ReadStored("rules/" + name, old->second, observed.pinned);
      }
    }
    observed_ = std::move(store);
    observed_sequence_ = sequence_;
    observed_revision_ = revision_;
    return observed_;
  }

  static ObservedHost ObserveHost(const std::string& id, const TestHost& host) {
    ObservedHost observed;
    observed.id = id;
    observed.address = host.address;
    observed.shard = host.shard;
    if (!host.probed) return observed;
    observed.instance = host.instance;
    observed.alive = host.alive;
    if (!host.alive) observed.trouble = "does not answer";
    for (const auto& [model, state] : host.index) observed.index[model] = {state, ""};
    return observed;
  }

  void Obey(const HostCommand& command) {
    static const char* const kNames[] = {"load", "dry-run", "unload"};
    const std::string kind = kNames[static_cast<int>(command.kind)];
    commands.push_back(fmt::format("{} {} {}", kind, command.host, command.model));
    CommandResult result{command.kind, command.host, command.instance, command.model, absl::OkStatus(), 0, ""};
    if (begins_nothing) {
      result.begun = false;
      result.status = absl::AbortedError("not sure to lead");
      results_.push_back(result);
      return;
    }
    if (before_command) before_command(command);
    if (command.kind == CommandKind::kUnload && before_unload) before_unload(command);
    for (const std::string& host : {command.host, std::string("*")}) {
      const auto answer = answers.find(fmt::format("{} {} {}", kind, host, command.model));
      if (answer == answers.end()) continue;
      if (!answer->second.has_value()) return;
      result.status = *answer->second;
    }
    const auto host = hosts_.find(command.host);
    if (host == hosts_.end() || host->second.instance != command.instance || !host->second.alive) {
      result.status = absl::UnavailableError("no such host");
    }
    if (result.status.ok()) {
      std::map<std::string, ModelState>& index = host->second.index;
      if (command.kind == CommandKind::kLoad) index[command.model] = ModelState::kReady;
      if (command.kind == CommandKind::kUnload) index.erase(command.model);
      if (command.kind == CommandKind::kDryRun) {
        result.seconds = 0.002;
        if (!index.contains(command.model)) result.status = absl::NotFoundError("not loaded");
      }
    }
    results_.push_back(result);
  }

  const ControllerOptions options_;
  std::unique_ptr<Controller> controller_;
  bool is_quiet_ = false;
  int64_t last_failure_ms_ = -1'000'000;
  int64_t term_ = 0;
  int64_t now_ms_ = 1'000'000;
  int64_t unix_offset_ms_ = 0;
  int64_t sequence_ = 0;
  int64_t revision_ = 0;
  std::map<std::string, StoredTopic> topics_;
  std::map<std::pair<std::string, int64_t>, StoredTopic> old_;
  std::map<std::pair<std::string, int64_t>, int64_t> rollback_of_;
  std::map<std::string, store::Record> records_;
  std::map<std::string, TestHost> hosts_;
  std::map<std::string, v1::DataPlane> data_planes_;
  std::vector<CommandResult> results_;
  std::optional<absl::Status> batch_status_;
  std::shared_ptr<const ObservedStore> observed_;
  int64_t observed_sequence_ = -1;
  int64_t observed_revision_ = -1;
  Step last_;
};

}  // namespace signalbox::rollout
