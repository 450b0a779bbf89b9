// From the message to the form that decisions are made from: checks everything first and reports all that is wrong
// (rule_checks.h), then builds every Objective (objective_builder.h).
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "api/answer_count.h"
#include "base/status.h"
#include "decide/answer_factory.h"
#include "decide/content_hash.h"
#include "decide/objective.h"
#include "decide/objective_builder.h"
#include "decide/problems.h"
#include "decide/rule_checks.h"
#include "decide/snapshot.h"
#include "decide/snapshot_memory.h"

namespace signalbox::decide {

class SnapshotCompiler {
 public:
  explicit SnapshotCompiler(v1::Snapshot proto) : snapshot_(new Snapshot) { snapshot_->proto_ = std::move(proto); }

  absl::StatusOr<std::shared_ptr<const Snapshot>> Run() {
    SortRuleSets();
    CheckRuleSets();
    CheckAndSetHashes();
    BuildShards();
    CheckPlacement();
    CheckAnswerCounts();
    RETURN_IF_ERROR(problems_.Status());
    // From here on every reference is known to lead somewhere.
    BuildObjectives();
    CheckRoutingKeys();
    RETURN_IF_ERROR(problems_.Status());
    snapshot_->IndexObjectives();
    snapshot_->SortNames();
    snapshot_->memory_->conditions.ForgetShared();
    return std::shared_ptr<const Snapshot>(std::move(snapshot_));
  }

 private:
  // So that no decision can depend on the order in which namespaces were put together.
  void SortRuleSets() {
    auto& rule_sets = *snapshot_->proto_.mutable_rule_sets();
    std::stable_sort(rule_sets.begin(), rule_sets.end(), [](const auto& a, const auto& b) {
      return a.rule_set().namespace_() < b.rule_set().namespace_();
    });
  }

  void CheckRuleSets() {
    std::set<std::string> namespaces;
    struct Declaration {
      std::string namespace_name;
      std::string place;
    };
    StringMap<Declaration> declarations;
    for (const v1::PublishedRuleSet& published : snapshot_->proto_.rule_sets()) {
      const v1::RuleSet& rules = published.rule_set();
      if (!namespaces.insert(rules.namespace_()).second)
        problems_.Add(fmt::format("namespace {}: stands twice in the snapshot, expected once", rules.namespace_()));
      for (const v1::Objective& objective : rules.objectives()) {
        const std::string where = PlaceOf(objective.source(), rules.namespace_());
        const auto [first, is_new] = declarations.emplace(
            objective.name(), Declaration{rules.namespace_(), objective.source().file().empty() ? "" : where});
        if (!is_new) {
          problems_.Add(fmt::format(
              "{}: Objective {} is declared already by namespace {}{}; an Objective belongs to one namespace", where,
              objective.name(), first->second.namespace_name,
              first->second.place.empty() ? "" : ", at " + first->second.place));
        }
      }
      RuleChecks(published, named_.emplace_back(rules), snapshot_->memory_->conditions, problems_).Check();
    }
  }

  void CheckAndSetHashes() {
    v1::Snapshot& proto = snapshot_->proto_;
    for (v1::PublishedRuleSet& published : *proto.mutable_rule_sets()) {
      CheckAndSetHash(fmt::format("namespace {}: content hash", published.rule_set().namespace_()),
                      RuleSetHash(published.rule_set()), *published.mutable_content_hash());
    }
    CheckAndSetHash("snapshot hash", SnapshotHashOf(proto), *proto.mutable_hash());
  }

  void CheckAndSetHash(const std::string& what, const absl::StatusOr<std::string>& computed, std::string& hash) {
    if (!computed.ok()) {
      problems_.Add(fmt::format("{}: {}", what, Message(computed.status())));
    } else if (hash.empty()) {
      hash = *computed;
    } else if (hash != *computed) {
      problems_.Add(
          fmt::format("{} is {}, but the content has {}: damaged or changed on the way", what, hash, *computed));
    }
  }

  void CheckAnswerCounts() {
    for (const v1::PublishedRuleSet& published : snapshot_->proto_.rule_sets()) {
      const v1::RuleSet& rules = published.rule_set();
      rule_set::AnswerCount count;
      const auto add = [&](const auto& list) {
        for (const auto& rule : list) count.Add(rule);
      };
      add(rules.ensembles());
      add(rules.policies());
      add(rules.objectives());
      add(rules.context_rules());
      add(rules.experiments());
      add(rules.traffic_shifts());
      add(rules.shadows());
      add(rules.overrides());
      if (const size_t total = count.Total(); total > rule_set::kAnswersMax)
        problems_.Add(fmt::format("namespace {}: {}", rules.namespace_(), rule_set::TooManyAnswers(total)));
    }
  }

  void BuildShards() {
    // Sorted, because protobuf's maps have no order.
    std::map<std::string, const v1::Shard*> sorted;
    for (const auto& [name, shard] : snapshot_->proto_.placement().shards()) sorted.emplace(name, &shard);
    for (const auto& [name, shard] : sorted) {
      auto built = std::make_unique<Shard>();
      built->name = name;
      built->hosts.assign(shard->hosts().begin(), shard->hosts().end());
      shards_by_name_[name] = built.get();
      snapshot_->shards_.push_back(std::move(built));
    }
  }

  void CheckPlacement() {
    for (const auto& [model, placement] : snapshot_->proto_.placement().models()) {
      std::set<std::string> names;
      for (const std::string& name : placement.shards()) {
        if (!shards_by_name_.contains(name))
          problems_.Add(fmt::format("placement of model {}: shard {} is not declared", model, name));
        if (!names.insert(name).second)
          problems_.Add(fmt::format("placement of model {}: shard {} stands twice", model, name));
      }
    }
  }

  void BuildObjectives() {
    AnswerFactory answers(*snapshot_, shards_by_name_);
    Snapshot::Memory& memory = *snapshot_->memory_;
    for (const v1::PublishedRuleSet& published : snapshot_->proto_.rule_sets()) {
      ObjectiveBuilder builder(published, named_.front(), answers, memory.conditions, memory.rules, memory.cells,
                               memory.texts, problems_);
      const std::vector<const Objective*> built = builder.Build();
      snapshot_->objectives_.insert(snapshot_->objectives_.end(), built.begin(), built.end());
      named_.pop_front();  // of a large snapshot they are some megabytes
    }
  }

  // Sorted, as a map of all keys would be some megabytes when the snapshot is at its largest.
  void CheckRoutingKeys() {
    std::vector<const Model*> models;
    models.reserve(snapshot_->models_.size());
    for (const auto& model : snapshot_->models_) {
      if (!model->routing_key.empty()) models.push_back(model.get());  // an ensemble has none
    }
    // Of those with one key in the order in which they were met.
    std::stable_sort(models.begin(), models.end(),
                     [](const Model* a, const Model* b) { return a->routing_key < b->routing_key; });
    for (size_t i = 1; i < models.size(); ++i) {
      if (models[i]->routing_key != models[i - 1]->routing_key) continue;
      problems_.Add(fmt::format("models {} and {} have the same routing key {}; rename one of them", models[i - 1]->id,
                                models[i]->id, models[i]->routing_key));
    }
  }

  std::unique_ptr<Snapshot> snapshot_;
  StringMap<const Shard*> shards_by_name_;
  // In the order of the rule sets; a deque, because it is referred to while it grows.
  std::deque<NamedRules> named_;
  Problems problems_;
};

absl::StatusOr<std::shared_ptr<const Snapshot>> Snapshot::Compile(v1::Snapshot proto) {
  return SnapshotCompiler(std::move(proto)).Run();
}

}  // namespace signalbox::decide
