#include "decide/snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "base/status.h"
#include "decide/allocate.h"
#include "decide/content_hash.h"
#include "decide/objective.h"
#include "decide/objective_config.h"
#include "decide/routing_key.h"

namespace signalbox::decide {

std::string_view Name(Reason reason) {
  static constexpr std::array<std::string_view, 4> kNames = {"default", "experiment", "traffic_shift", "fallback"};
  return kNames[static_cast<size_t>(reason)];
}

namespace {

// More would make an answer to a broken snapshot longer than anybody reads.
constexpr size_t kErrorsMax = 100;

std::string ModelId(const v1::ModelRef& model) {
  return model.version().empty() ? model.name() : fmt::format("{}@{}", model.name(), model.version());
}

}  // namespace

// Builds a Snapshot from its message, collecting everything that is wrong with it.
class SnapshotCompiler {
 public:
  explicit SnapshotCompiler(v1::Snapshot proto) : snapshot_(new Snapshot()) { snapshot_->proto_ = std::move(proto); }

  absl::StatusOr<std::shared_ptr<const Snapshot>> Compile() {
    RETURN_IF_ERROR(CheckHash());
    CompileShards();
    CollectNamespaces();
    for (const v1::PublishedRuleSet& published : snapshot_->proto_.rule_sets()) CompileObjectives(published.rule_set());
    for (const v1::PublishedRuleSet& published : snapshot_->proto_.rule_sets())
      CompileExperiments(published.rule_set());
    for (const v1::PublishedRuleSet& published : snapshot_->proto_.rule_sets()) CompileShifts(published.rule_set());
    CheckPlacement();
    if (!errors_.empty()) {
      if (errors_.size() > kErrorsMax) errors_.resize(kErrorsMax);
      return absl::InvalidArgumentError(fmt::format("{}", fmt::join(errors_, "\n")));
    }
    for (auto& [name, objective] : objectives_) snapshot_->objectives_.emplace(name, std::move(objective));
    return std::shared_ptr<const Snapshot>(std::move(snapshot_));
  }

 private:
  template <typename... Arguments>
  void Error(const v1::SourceLocation& source, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    std::string place =
        source.file().empty() ? "" : fmt::format("{}:{}:{}: ", source.file(), source.line(), source.column());
    errors_.push_back(place + fmt::format(format, std::forward<Arguments>(arguments)...));
  }

  absl::Status CheckHash() {
    ASSIGN_OR_RETURN(std::string hash, SnapshotHash(snapshot_->proto_));
    if (snapshot_->proto_.hash().empty()) snapshot_->proto_.set_hash(hash);
    if (snapshot_->proto_.hash() == hash) return absl::OkStatus();
    return absl::InvalidArgumentError(
        fmt::format("the snapshot says its hash is {}, its content has {}: it was damaged or made by another version",
                    snapshot_->proto_.hash(), hash));
  }

  void CompileShards() {
    std::set<std::string> names;  // map order is not defined, indices must be
    for (const auto& [name, shard] : snapshot_->proto_.placement().shards()) names.insert(name);
    for (const std::string& name : names) {
      auto shard = std::make_unique<Shard>();
      shard->name = name;
      const v1::Shard& rule = snapshot_->proto_.placement().shards().at(name);
      shard->hosts.assign(rule.hosts().begin(), rule.hosts().end());
      shards_.emplace(name, shard.get());
      snapshot_->shards_.push_back(std::move(shard));
    }
  }

  void CollectNamespaces() {
    std::set<std::string> names;
    for (const v1::PublishedRuleSet& published : snapshot_->proto_.rule_sets()) {
      const std::string& name = published.rule_set().namespace_();
      if (!names.insert(name).second) Error({}, "namespace {} is in the snapshot twice", name);
    }
  }

  const Model* FindModel(const v1::ModelRef& ref, const v1::SourceLocation& source, std::string_view what) {
    if (ref.name().empty()) {
      Error(source, "{}: the model has no name", what);
      return nullptr;
    }
    std::string id = ModelId(ref);
    if (auto found = snapshot_->models_by_id_.find(id); found != snapshot_->models_by_id_.end()) return found->second;
    auto model = std::make_unique<Model>();
    model->id = id;
    model->name = ref.name();
    model->version = ref.version();
    model->routing_key = RoutingKey(id);
    auto [same_key, is_new] = keys_.emplace(model->routing_key, id);
    if (!is_new)
      Error(source, "models {} and {} have the same routing key {}: rename one of them", same_key->second, id,
            model->routing_key);
    PlaceModel(*model);
    const Model* raw = model.get();
    snapshot_->models_by_id_.emplace(id, raw);
    snapshot_->models_.push_back(std::move(model));
    return raw;
  }

  void PlaceModel(Model& model) {
    const auto& placements = snapshot_->proto_.placement().models();
    auto found = placements.find(model.id);
    if (found == placements.end()) found = placements.find(model.name);
    if (found == placements.end()) return;
    for (const std::string& name : found->second.shards()) {
      if (auto shard = shards_.find(name); shard != shards_.end()) model.shards.push_back(shard->second);
    }
  }

  void CheckPlacement() {
    std::set<std::string> unknown;
    for (const auto& [model, placement] : snapshot_->proto_.placement().models()) {
      for (const std::string& shard : placement.shards()) {
        if (!shards_.contains(shard))
          unknown.insert(fmt::format("placement: model {} is on shard {}, which is not declared", model, shard));
      }
    }
    errors_.insert(errors_.end(), unknown.begin(), unknown.end());
  }

  struct Choice {
    Reason reason = Reason::kDefault;
    std::string experiment = {};
    std::string cell = {};
    const google::protobuf::Map<std::string, std::string>* parameters = nullptr;
  };

  const Answer* AddAnswer(const v1::Objective& objective, const Model* model, const Choice& choice) {
    if (model == nullptr) return nullptr;
    auto answer = std::make_unique<Answer>();
    answer->index = static_cast<uint32_t>(snapshot_->answers_.size());
    answer->model = model;
    answer->reason = choice.reason;
    answer->objective = objective.name();
    answer->experiment = choice.experiment;
    answer->cell = choice.cell;
    v1::ObjectiveConfig config;
    config.set_objective(objective.name());
    config.set_model_name(model->name);
    config.set_model_version(model->version);
    config.set_experiment(choice.experiment);
    config.set_cell(choice.cell);
    config.set_model_input_type(objective.model_input_type());
    config.set_model_type(objective.model_type());
    *config.mutable_parameters() = objective.parameters();
    if (choice.parameters != nullptr) {
      for (const auto& [key, value] : *choice.parameters) (*config.mutable_parameters())[key] = value;
    }
    SerializeInto(config, *answer);
    const Answer* raw = answer.get();
    snapshot_->answers_.push_back(std::move(answer));
    return raw;
  }

  void CompileObjectives(const v1::RuleSet& rules) {
    for (const v1::Objective& rule : rules.objectives()) {
      if (rule.name().empty()) {
        Error(rule.source(), "an Objective has no name");
        continue;
      }
      auto [entry, is_new] = objectives_.emplace(rule.name(), std::make_unique<Objective>());
      if (!is_new) {
        Error(rule.source(),
              "Objective {} of namespace {} is declared by namespace {} already; an Objective belongs to one namespace",
              rule.name(), rules.namespace_(), owners_[rule.name()]);
        continue;
      }
      owners_[rule.name()] = rules.namespace_();
      Objective& objective = *entry->second;
      objective.name = rule.name();
      objective.rule = &rule;
      std::string what = fmt::format("Objective {}", rule.name());
      objective.default_answer =
          AddAnswer(rule, FindModel(rule.default_model(), rule.source(), what), {.reason = Reason::kDefault});
      for (const v1::ModelRef& fallback : rule.fallback_models()) {
        objective.fallbacks.push_back(
            AddAnswer(rule, FindModel(fallback, rule.source(), what), {.reason = Reason::kFallback}));
      }
    }
  }

  // The Objectives of a rule, which must be of its own namespace.
  std::vector<Objective*> Targets(const v1::RuleSet& rules,
                                  const google::protobuf::RepeatedPtrField<std::string>& names,
                                  const v1::SourceLocation& source, const std::string& what) {
    std::vector<Objective*> targets;
    if (names.empty()) Error(source, "{} targets no Objective", what);
    for (const std::string& name : names) {
      auto found = objectives_.find(name);
      if (found == objectives_.end()) {
        Error(source, "{} targets Objective {}, which is not declared", what, name);
      } else if (owners_[name] != rules.namespace_()) {
        Error(source, "{} of namespace {} targets Objective {}, which belongs to namespace {}", what,
              rules.namespace_(), name, owners_[name]);
      } else {
        targets.push_back(found->second.get());
      }
    }
    return targets;
  }

  void CompileExperiments(const v1::RuleSet& rules) {
    std::vector<const v1::Experiment*> in_order;
    for (const v1::Experiment& rule : rules.experiments()) in_order.push_back(&rule);
    std::stable_sort(in_order.begin(), in_order.end(),
                     [](const auto* a, const auto* b) { return a->priority() < b->priority(); });
    for (const v1::Experiment* rule : in_order) {
      std::string what = fmt::format("experiment {}", rule->id());
      uint64_t weights = 0;
      for (const v1::Cell& cell : rule->cells()) weights += cell.weight_ppm();
      if (weights != kBuckets)
        Error(rule->source(), "{}: cell weights add up to {} ppm, expected {}", what, weights, kBuckets);
      if (rule->allocation_ppm() == 0 || rule->allocation_ppm() > kBuckets) {
        Error(rule->source(), "{}: allocation is {} ppm, expected 1 to {}", what, rule->allocation_ppm(), kBuckets);
      }
      for (Objective* objective : Targets(rules, rule->objectives(), rule->source(), what)) {
        const std::string& seed = rule->seed().empty() ? rule->id() : rule->seed();
        CompiledExperiment experiment{.id = rule->id(),
                                      .allocation_seed = BucketSeed(seed, Purpose::kAllocation),
                                      .cell_seed = BucketSeed(seed, Purpose::kCell),
                                      .allocation_ppm = rule->allocation_ppm(),
                                      .cells = {},
                                      .rule = rule};
        uint32_t end = 0;
        for (const v1::Cell& cell : rule->cells()) {
          end += cell.weight_ppm();
          const Model* model = FindModel(cell.model(), rule->source(), fmt::format("{}, cell {}", what, cell.name()));
          experiment.cells.push_back({end, AddAnswer(*objective->rule, model,
                                                     {.reason = Reason::kExperiment,
                                                      .experiment = rule->id(),
                                                      .cell = cell.name(),
                                                      .parameters = &cell.parameters()})});
        }
        objective->experiments.push_back(std::move(experiment));
      }
    }
  }

  void CompileShifts(const v1::RuleSet& rules) {
    for (const v1::TrafficShift& rule : rules.traffic_shifts()) {
      std::string what = fmt::format("traffic shift {}", rule.id());
      if (rule.share_ppm() > kBuckets)
        Error(rule.source(), "{}: share is {} ppm, expected 0 to {}", what, rule.share_ppm(), kBuckets);
      for (Objective* objective : Targets(rules, rule.objectives(), rule.source(), what)) {
        if (!objective->shifts.empty()) {
          // With two, raising the first would move users out of the second's new model.
          Error(rule.source(), "{}: Objective {} has traffic shift {} already; join the two", what, objective->name,
                objective->shifts[0].rule->id());
          continue;
        }
        if (rule.has_from() && ModelId(rule.from()) != ModelId(objective->rule->default_model())) {
          Error(rule.source(), "{}: shifts traffic from {}, but the default model of Objective {} is {}", what,
                ModelId(rule.from()), objective->name, ModelId(objective->rule->default_model()));
        }
        const Answer* answer =
            AddAnswer(*objective->rule, FindModel(rule.to(), rule.source(), what), {.reason = Reason::kTrafficShift});
        const std::string& seed = rule.seed().empty() ? rule.id() : rule.seed();
        objective->shifts.push_back({BucketSeed(seed, Purpose::kTrafficShift), rule.share_ppm(), answer, &rule});
      }
    }
  }

  std::unique_ptr<Snapshot> snapshot_;
  std::vector<std::string> errors_;
  StringMap<const Shard*> shards_;
  StringMap<std::string> keys_;    // routing key -> model id
  StringMap<std::string> owners_;  // Objective -> namespace
  StringMap<std::unique_ptr<Objective>> objectives_;
};

Snapshot::Snapshot() = default;
Snapshot::~Snapshot() = default;

absl::StatusOr<std::shared_ptr<const Snapshot>> Snapshot::Compile(v1::Snapshot proto) {
  return SnapshotCompiler(std::move(proto)).Compile();
}

const Objective* Snapshot::FindObjective(std::string_view name) const {
  auto found = objectives_.find(name);
  return found == objectives_.end() ? nullptr : found->second.get();
}

std::vector<std::string_view> Snapshot::ObjectiveNames() const {
  std::vector<std::string_view> names;
  for (const auto& [name, objective] : objectives_) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

bool Snapshot::NamesModel(std::string_view id) const {
  return std::any_of(models_.begin(), models_.end(),
                     [&](const auto& model) { return model->id == id || model->name == id; });
}

}  // namespace signalbox::decide
