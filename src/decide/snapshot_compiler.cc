// From the message to the form that decisions are made from: checks everything first and reports all that is wrong,
// then works out every answer.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "api/rule_set.h"
#include "base/status.h"
#include "decide/bucket.h"
#include "decide/content_hash.h"
#include "decide/enrichment.h"
#include "decide/objective.h"
#include "decide/routing_key.h"
#include "decide/snapshot.h"

namespace signalbox::decide {
namespace {

using rule_set::ConfigOf;
using rule_set::IsName;
using rule_set::IsObjectiveName;
using rule_set::kFallbacksMax;
using rule_set::kNameBytesMax;
using rule_set::kObjectiveConfigBytesMax;
using rule_set::kReservedParameterPrefix;
using rule_set::ModelId;

// A message with more lines than this helps nobody.
constexpr size_t kErrorsShownMax = 100;

std::string Where(const v1::SourceLocation& source, std::string_view namespace_name) {
  if (source.file().empty()) return fmt::format("namespace {}", namespace_name);
  return fmt::format("{}:{}:{}", source.file(), source.line(), source.column());
}

std::string SeedText(const std::string& seed, const std::string& id) { return seed.empty() ? id : seed; }

}  // namespace

class SnapshotCompiler {
 public:
  explicit SnapshotCompiler(v1::Snapshot proto) : snapshot_(new Snapshot) { snapshot_->proto_ = std::move(proto); }

  absl::StatusOr<std::shared_ptr<const Snapshot>> Run() {
    SortRuleSets();
    CheckRuleSets();
    CheckAndSetHashes();
    BuildShards();
    CheckPlacement();
    RETURN_IF_ERROR(Errors());
    // From here on every reference is known to lead somewhere.
    for (const v1::PublishedRuleSet& published : snapshot_->proto_.rule_sets()) BuildObjectives(published);
    CheckRoutingKeys();
    RETURN_IF_ERROR(Errors());
    return std::shared_ptr<const Snapshot>(std::move(snapshot_));
  }

 private:
  void Error(std::string text) { errors_.push_back(std::move(text)); }

  absl::Status Errors() const {
    if (errors_.empty()) return absl::OkStatus();
    const size_t shown = std::min(errors_.size(), kErrorsShownMax);
    std::string text =
        fmt::format("{}", fmt::join(errors_.begin(), errors_.begin() + static_cast<ptrdiff_t>(shown), "\n"));
    if (shown < errors_.size()) text += fmt::format("\n... and {} more", errors_.size() - shown);
    return absl::InvalidArgumentError(text);
  }

  // So that no decision can depend on the order in which namespaces were put together.
  void SortRuleSets() {
    auto& rule_sets = *snapshot_->proto_.mutable_rule_sets();
    std::stable_sort(rule_sets.begin(), rule_sets.end(), [](const auto& a, const auto& b) {
      return a.rule_set().namespace_() < b.rule_set().namespace_();
    });
  }

  void CheckRuleSets() {
    std::set<std::string> namespaces;
    std::map<std::string, std::string> place_of_objective;
    for (const v1::PublishedRuleSet& published : snapshot_->proto_.rule_sets()) {
      const v1::RuleSet& rules = published.rule_set();
      if (!namespaces.insert(rules.namespace_()).second)
        Error(fmt::format("namespace {}: stands twice in the snapshot, expected once", rules.namespace_()));
      for (const v1::Objective& objective : rules.objectives()) {
        const std::string where = Where(objective.source(), rules.namespace_());
        const auto [first, is_new] = place_of_objective.emplace(objective.name(), where);
        if (!is_new)
          Error(fmt::format("{}: Objective {} is declared already at {}; an Objective belongs to one namespace", where,
                            objective.name(), first->second));
      }
      CheckRules(rules);
    }
  }

  void CheckRules(const v1::RuleSet& rules) {
    std::set<std::string> objectives;
    for (const v1::Objective& objective : rules.objectives()) objectives.insert(objective.name());
    for (const v1::Objective& objective : rules.objectives()) CheckObjective(objective, rules.namespace_());
    std::set<std::string> experiments;
    for (const v1::Experiment& experiment : rules.experiments()) {
      CheckExperiment(experiment, rules.namespace_());
      const std::string what = fmt::format("experiment {}", experiment.id());
      CheckRule(experiment, what, rules.namespace_(), objectives, experiments);
    }
    std::set<std::string> shifts;
    for (const v1::TrafficShift& shift : rules.traffic_shifts()) {
      CheckShift(shift, rules.namespace_());
      const std::string what = fmt::format("traffic shift {}", shift.id());
      CheckRule(shift, what, rules.namespace_(), objectives, shifts);
    }
  }

  void CheckObjective(const v1::Objective& objective, const std::string& namespace_name) {
    const std::string place =
        fmt::format("{}: Objective {}", Where(objective.source(), namespace_name), objective.name());
    if (!IsObjectiveName(objective.name())) {
      Error(fmt::format("{}: not a name, expected 1 to {} letters, digits and '_' that start with a letter", place,
                        kNameBytesMax));
    }
    if (!objective.has_default_model()) {
      Error(fmt::format("{}: has no default model, expected one", place));
    } else {
      CheckModelRef(objective.default_model(), place + ": default model");
    }
    if (objective.fallback_models_size() > kFallbacksMax) {
      Error(fmt::format("{}: {} fallback models, expected at most {}", place, objective.fallback_models_size(),
                        kFallbacksMax));
    }
    for (const v1::ModelRef& ref : objective.fallback_models()) CheckModelRef(ref, place + ": fallback model");
    CheckParameters(objective.parameters(), place);
  }

  void CheckExperiment(const v1::Experiment& experiment, const std::string& namespace_name) {
    const std::string place =
        fmt::format("{}: experiment {}", Where(experiment.source(), namespace_name), experiment.id());
    if (experiment.allocation_ppm() < 1 || experiment.allocation_ppm() > kBuckets)
      Error(fmt::format("{}: allocation is {} ppm, expected 1 to {}", place, experiment.allocation_ppm(), kBuckets));
    uint64_t weights_ppm = 0;
    std::vector<std::string> listed;
    std::set<std::string> names;
    for (const v1::Cell& cell : experiment.cells()) {
      weights_ppm += cell.weight_ppm();
      listed.push_back(fmt::format("{}={}", cell.name(), cell.weight_ppm()));
      if (cell.name().empty()) Error(fmt::format("{}: a cell has no name, expected one", place));
      if (!names.insert(cell.name()).second) Error(fmt::format("{}: two cells are named {}", place, cell.name()));
      const std::string cell_place = fmt::format("{}: cell {}", place, cell.name());
      if (cell.has_model()) CheckModelRef(cell.model(), cell_place);
      CheckParameters(cell.parameters(), cell_place);
    }
    if (weights_ppm != kBuckets) {
      Error(fmt::format("{}: the weights of its cells add up to {} ppm, expected exactly {}; cells {}", place,
                        weights_ppm, kBuckets, listed.empty() ? "none" : fmt::format("{}", fmt::join(listed, " "))));
    }
  }

  void CheckShift(const v1::TrafficShift& shift, const std::string& namespace_name) {
    const std::string place = fmt::format("{}: traffic shift {}", Where(shift.source(), namespace_name), shift.id());
    if (shift.share_ppm() > kBuckets)
      Error(fmt::format("{}: share is {} ppm, expected 0 to {}", place, shift.share_ppm(), kBuckets));
    CheckModelRef(shift.to(), place + ": the model that it shifts to");
    if (shift.has_from()) CheckModelRef(shift.from(), place + ": the model that it shifts from");
  }

  // What holds for experiments and shifts alike.
  template <typename Rule>
  void CheckRule(const Rule& rule, const std::string& what, const std::string& namespace_name,
                 const std::set<std::string>& objectives, std::set<std::string>& ids) {
    const std::string place = fmt::format("{}: {}", Where(rule.source(), namespace_name), what);
    if (rule.id().empty()) Error(fmt::format("{}: has no id, expected one", place));
    if (!ids.insert(rule.id()).second) Error(fmt::format("{}: declared twice in namespace {}", place, namespace_name));
    if (rule.objectives().empty()) Error(fmt::format("{}: targets no Objective, expected at least one", place));
    std::set<std::string> targets;
    for (const std::string& target : rule.objectives()) {
      if (!objectives.contains(target)) {
        Error(fmt::format("{}: targets Objective {}, which namespace {} does not declare; it declares {}", place,
                          target, namespace_name, fmt::join(objectives, ", ")));
      }
      if (!targets.insert(target).second) Error(fmt::format("{}: targets Objective {} twice", place, target));
    }
  }

  void CheckModelRef(const v1::ModelRef& ref, const std::string& place) {
    if (IsName(ref.name()) && (ref.version().empty() || IsName(ref.version()))) return;
    Error(fmt::format("{} \"{}\": not a model, expected name and version of 1 to {} letters, digits, '.', '_', '-'",
                      place, ModelId(ref), kNameBytesMax));
  }

  void CheckParameters(const google::protobuf::Map<std::string, std::string>& parameters, const std::string& place) {
    for (const auto& [key, value] : parameters) {
      if (key.starts_with(kReservedParameterPrefix)) {
        Error(fmt::format("{}: parameter {}: names that begin with {} belong to signalbox; choose another", place, key,
                          kReservedParameterPrefix));
      }
    }
  }

  void CheckAndSetHashes() {
    v1::Snapshot& proto = snapshot_->proto_;
    for (v1::PublishedRuleSet& published : *proto.mutable_rule_sets()) {
      CheckAndSetHash(fmt::format("namespace {}: content hash", published.rule_set().namespace_()),
                      RuleSetHash(published.rule_set()), *published.mutable_content_hash());
    }
    CheckAndSetHash("snapshot hash", SnapshotHash(proto), *proto.mutable_hash());
  }

  void CheckAndSetHash(const std::string& what, const absl::StatusOr<std::string>& computed, std::string& hash) {
    if (!computed.ok()) {
      Error(fmt::format("{}: {}", what, Message(computed.status())));
    } else if (hash.empty()) {
      hash = *computed;
    } else if (hash != *computed) {
      Error(fmt::format("{} is {}, but the content has {}: damaged or changed on the way", what, hash, *computed));
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
          Error(fmt::format("placement of model {}: shard {} is not declared", model, name));
        if (!names.insert(name).second) Error(fmt::format("placement of model {}: shard {} stands twice", model, name));
      }
    }
  }

  void BuildObjectives(const v1::PublishedRuleSet& published) {
    const v1::RuleSet& rules = published.rule_set();
    const auto experiments = ByObjective(rules.experiments());
    const auto shifts = ByObjective(rules.traffic_shifts());
    for (const v1::Objective& rule : rules.objectives()) {
      auto objective = std::make_unique<Objective>();
      objective->rule = &rule;
      objective->rule_set = &published;
      const std::vector<const Answer*> fallbacks = BuildFallbacks(rule);
      objective->default_choice =
          MakeChoice(AddAnswer(rule, rule.default_model(), {.reason = Reason::kDefault}), fallbacks);
      for (const v1::Experiment* experiment : RulesOf(experiments, rule)) {
        objective->experiments.push_back(BuildExperiment(rule, *experiment, RulesOf(shifts, rule), fallbacks));
      }
      std::stable_sort(objective->experiments.begin(), objective->experiments.end(),
                       [](const auto& a, const auto& b) { return a.rule->priority() < b.rule->priority(); });
      for (const v1::TrafficShift* shift : RulesOf(shifts, rule)) {
        objective->shifts.push_back(BuildShift(rule, *shift, fallbacks));
      }
      snapshot_->objectives_.emplace(rule.name(), std::move(objective));
    }
  }

  // The rules that target each Objective, in order of declaration.
  template <typename Rule>
  static StringMap<std::vector<const Rule*>> ByObjective(const google::protobuf::RepeatedPtrField<Rule>& rules) {
    StringMap<std::vector<const Rule*>> by_objective;
    for (const Rule& rule : rules) {
      for (const std::string& objective : rule.objectives()) {
        std::vector<const Rule*>& targeting = by_objective[objective];
        // Named twice by one rule is named once.
        if (targeting.empty() || targeting.back() != &rule) targeting.push_back(&rule);
      }
    }
    return by_objective;
  }

  template <typename Rule>
  static std::vector<const Rule*> RulesOf(const StringMap<std::vector<const Rule*>>& by_objective,
                                          const v1::Objective& objective) {
    const auto found = by_objective.find(objective.name());
    return found == by_objective.end() ? std::vector<const Rule*>() : found->second;
  }

  std::vector<const Answer*> BuildFallbacks(const v1::Objective& rule) {
    std::vector<const Answer*> fallbacks;
    std::set<std::string> ids;
    for (const v1::ModelRef& ref : rule.fallback_models()) {
      if (ids.insert(ModelId(ref)).second) fallbacks.push_back(AddAnswer(rule, ref, {.reason = Reason::kFallback}));
    }
    return fallbacks;
  }

  CompiledExperiment BuildExperiment(const v1::Objective& objective, const v1::Experiment& rule,
                                     const std::vector<const v1::TrafficShift*>& shifts,
                                     const std::vector<const Answer*>& fallbacks) {
    const std::string seed = SeedText(rule.seed(), rule.id());
    CompiledExperiment experiment;
    experiment.rule = &rule;
    experiment.allocation_seed = BucketSeed(Purpose::kAllocation, seed);
    experiment.cell_seed = BucketSeed(Purpose::kCell, seed);
    experiment.allocation_ppm = rule.allocation_ppm();
    uint32_t bucket_end = 0;
    for (const v1::Cell& cell : rule.cells()) {
      bucket_end += cell.weight_ppm();
      const auto choice = [&](const v1::ModelRef& model) {
        return MakeChoice(
            AddAnswer(objective, model, {.reason = Reason::kExperiment, .experiment = &rule, .cell = &cell}),
            fallbacks);
      };
      CompiledCell& compiled = experiment.cells.emplace_back();
      compiled.rule = &cell;
      compiled.bucket_end = bucket_end;
      compiled.choice = choice(cell.has_model() ? cell.model() : objective.default_model());
      if (cell.has_model()) continue;
      for (const v1::TrafficShift* shift : shifts) compiled.with_shift.push_back(choice(shift->to()));
    }
    return experiment;
  }

  CompiledShift BuildShift(const v1::Objective& objective, const v1::TrafficShift& rule,
                           const std::vector<const Answer*>& fallbacks) {
    CompiledShift shift;
    shift.rule = &rule;
    shift.seed = BucketSeed(Purpose::kShift, SeedText(rule.seed(), rule.id()));
    shift.share_ppm = rule.share_ppm();
    shift.applies = !rule.has_from() || ModelId(rule.from()) == ModelId(objective.default_model());
    shift.choice = MakeChoice(AddAnswer(objective, rule.to(), {.reason = Reason::kTrafficShift}), fallbacks);
    return shift;
  }

  // A model that could not be reached is not tried again.
  static Choice MakeChoice(const Answer* answer, const std::vector<const Answer*>& fallbacks) {
    Choice choice{.answer = answer, .fallbacks = {}};
    for (const Answer* fallback : fallbacks) {
      if (fallback->model != answer->model) choice.fallbacks.push_back(fallback);
    }
    return choice;
  }

  struct Because {
    Reason reason = Reason::kDefault;
    const v1::Experiment* experiment = nullptr;
    const v1::Cell* cell = nullptr;
  };

  const Answer* AddAnswer(const v1::Objective& objective, const v1::ModelRef& ref, const Because& because) {
    const v1::ObjectiveConfig config = ConfigOf(objective, ref, because.experiment, because.cell);
    auto answer = std::make_unique<Answer>();
    answer->index = static_cast<uint32_t>(snapshot_->answers_.size());
    answer->model = FindOrAddModel(ref);
    answer->reason = because.reason;
    answer->objective = config.objective();
    answer->experiment = config.experiment();
    answer->cell = config.cell();
    answer->objective_config = SerialiseObjectiveConfig(config);
    absl::Base64Escape(answer->objective_config, &answer->objective_config_base64);
    answer->open_inference_suffix = OpenInferenceSuffix(config);
    answer->serve_suffix = ServeSuffix(config);
    if (answer->objective_config.size() > kObjectiveConfigBytesMax) {
      Error(
          fmt::format("{}: Objective {}: what is sent with model {} takes {} bytes, expected at most {}; shorten the "
                      "parameters",
                      Where(objective.source(), ""), objective.name(), answer->model->id,
                      answer->objective_config.size(), kObjectiveConfigBytesMax));
    }
    snapshot_->answers_.push_back(std::move(answer));
    return snapshot_->answers_.back().get();
  }

  const Model* FindOrAddModel(const v1::ModelRef& ref) {
    const std::string id = ModelId(ref);
    if (const auto found = snapshot_->models_by_id_.find(id); found != snapshot_->models_by_id_.end())
      return found->second;
    auto model = std::make_unique<Model>();
    model->id = id;
    model->name = ref.name();
    model->version = ref.version();
    model->routing_key = RoutingKey(id);
    model->shards = ShardsOf(id, ref.name());
    snapshot_->models_by_id_.emplace(id, model.get());
    snapshot_->models_.push_back(std::move(model));
    return snapshot_->models_.back().get();
  }

  std::vector<const Shard*> ShardsOf(const std::string& id, const std::string& name) const {
    const auto& placements = snapshot_->proto_.placement().models();
    auto placement = placements.find(id);
    if (placement == placements.end()) placement = placements.find(name);
    std::vector<const Shard*> shards;
    if (placement == placements.end()) return shards;
    for (const std::string& shard : placement->second.shards()) shards.push_back(shards_by_name_.at(shard));
    return shards;
  }

  void CheckRoutingKeys() {
    std::map<std::string_view, const Model*> model_of_key;
    for (const auto& model : snapshot_->models_) {
      const auto [first, is_new] = model_of_key.emplace(model->routing_key, model.get());
      if (!is_new) {
        Error(fmt::format("models {} and {} have the same routing key {}; rename one of them", first->second->id,
                          model->id, model->routing_key));
      }
    }
  }

  std::unique_ptr<Snapshot> snapshot_;
  std::map<std::string, const Shard*> shards_by_name_;
  std::vector<std::string> errors_;
};

absl::StatusOr<std::shared_ptr<const Snapshot>> Snapshot::Compile(v1::Snapshot proto) {
  return SnapshotCompiler(std::move(proto)).Run();
}

}  // namespace signalbox::decide
