#include "decide/objective_builder.h"

#include <algorithm>
#include <set>

#include "api/answer_count.h"
#include "api/rule_set.h"
#include "decide/arena.h"
#include "decide/decide.h"
#include "decide/remote_questions.h"

namespace signalbox::decide {

using rule_set::kObjectiveConfigBytesMax;
using rule_set::ModelId;

namespace {

const std::string& SeedText(const std::string& seed, const std::string& id) { return seed.empty() ? id : seed; }

std::string UnitText(const google::protobuf::RepeatedPtrField<std::string>& unit) {
  return unit.empty() ? "user" : fmt::format("{}", fmt::join(unit, "\n"));
}

size_t SizeOf(const Overlay* overlay) { return overlay == nullptr ? 0 : overlay->objective_config.size(); }

}  // namespace

ObjectiveBuilder::ObjectiveBuilder(const v1::PublishedRuleSet& published, const NamedRules& named,
                                   AnswerFactory& answers, ConditionCompiler& conditions,
                                   std::pmr::memory_resource& rules_memory, std::pmr::memory_resource& cells_memory,
                                   std::pmr::memory_resource& texts_memory, Problems& problems)
    : published_(published),
      rules_(published.rule_set()),
      named_(named),
      answers_(answers),
      conditions_(conditions),
      rules_memory_(rules_memory),
      cells_memory_(cells_memory),
      texts_memory_(texts_memory),
      problems_(problems) {
  Group(rules_.context_rules(), &Targeting::context_rules);
  Group(rules_.experiments(), &Targeting::experiments);
  Group(rules_.traffic_shifts(), &Targeting::shifts);
  Group(rules_.shadows(), &Targeting::shadows);
  Group(rules_.overrides(), &Targeting::overrides);
  for (const v1::ShiftSetting& setting : published.traffic().shifts()) settings_.emplace(setting.shift(), &setting);
}

template <typename Rule>
void ObjectiveBuilder::Group(const google::protobuf::RepeatedPtrField<Rule>& rules,
                             std::vector<const Rule*> Targeting::*of_kind) {
  for (const Rule& rule : rules) {
    for (const std::string& objective : rule.objectives()) (targeting_[objective].*of_kind).push_back(&rule);
  }
}

std::vector<const Objective*> ObjectiveBuilder::Build() {
  std::vector<const Objective*> built;
  built.reserve(static_cast<size_t>(rules_.objectives_size()));
  for (const v1::Objective& rule : rules_.objectives()) built.push_back(BuildOne(rule));
  return built;
}

const Objective* ObjectiveBuilder::BuildOne(const v1::Objective& rule) {
  static const Targeting kNone;
  const auto found = targeting_.find(rule.name());
  const Targeting& targeting = found == targeting_.end() ? kNone : found->second;
  auto* objective = New<Objective>(rules_memory_);
  Draft draft(rule, targeting, *objective);
  objective->rule = &rule;
  objective->rule_set = &published_;
  objective->name = NewText(rule.name(), rules_memory_);
  CheckLimit(draft, targeting.experiments.size(), kExperimentsMax, "experiments");
  CheckLimit(draft, targeting.overrides.size(), kOverridesMax, "overrides");
  CheckLimit(draft, targeting.shadows.size(), kShadowsMax, "shadows");
  for (const v1::ContextRule* each : targeting.context_rules) {
    for (const auto& [key, value] : each->parameters()) draft.context_parameters.insert(key);
  }
  for (const v1::Experiment* each : targeting.experiments) {
    std::set<std::string_view> keys;
    for (const v1::Cell& cell : each->cells()) {
      for (const auto& [key, value] : cell.parameters()) keys.insert(key);
    }
    for (const std::string_view key : keys) ++draft.experiment_parameters[std::string(key)];
  }

  objective->policy = PolicyOf(draft, nullptr);
  objective->default_choice =
      Choose(answers_.MakeAnswer(rule, rule.default_model(), named_, {.reason = Reason::kDefault}));
  std::vector<CompiledContextRule> context_rules;
  for (const v1::ContextRule* each : targeting.context_rules) context_rules.push_back(BuildContextRule(draft, *each));
  AddHoldouts(draft);
  std::vector<CompiledExperiment> experiments;
  for (const v1::Experiment* each : targeting.experiments) experiments.push_back(BuildExperiment(draft, *each));
  std::stable_sort(experiments.begin(), experiments.end(),
                   [](const auto& a, const auto& b) { return a.rule->priority() < b.rule->priority(); });
  std::vector<CompiledShift> shifts;
  for (const v1::TrafficShift* each : targeting.shifts) shifts.push_back(BuildShift(draft, *each));
  std::vector<CompiledShadow> shadows;
  for (const v1::Shadow* each : targeting.shadows) shadows.push_back(BuildShadow(draft, *each));
  std::vector<CompiledOverride> overrides;
  for (const v1::Override* each : targeting.overrides) overrides.push_back(BuildOverride(draft, *each));

  CheckLimit(draft, draft.units.size(), kUnitsMax, "different units");
  CheckLimit(draft, draft.layers.size(), kLayersMax, "layers of experiments");
  objective->context_rules = NewCopy(context_rules, rules_memory_);
  objective->experiments = NewCopy(experiments, rules_memory_);
  objective->shifts = NewCopy(shifts, rules_memory_);
  objective->shadows = NewCopy(shadows, rules_memory_);
  objective->overrides = NewCopy(overrides, rules_memory_);
  objective->units = NewCopy(draft.units, rules_memory_);
  objective->layers = NewCopy(draft.layers, rules_memory_);
  objective->holdouts = NewCopy(draft.holdouts, rules_memory_);
  CheckSizes(draft);
  // Where a new piece of memory was begun in between, only what lies in the first one counts.
  const auto* end = NewArray<char>(1, rules_memory_).data();
  const auto bytes = end - reinterpret_cast<const char*>(objective);
  constexpr ptrdiff_t kBytesMax = 1 << 20;
  objective->bytes = bytes > 0 && bytes < kBytesMax ? static_cast<uint32_t>(bytes) : sizeof(Objective);
  return objective;
}

CompiledOverride ObjectiveBuilder::BuildOverride(Draft& draft, const v1::Override& rule) {
  const auto table = [&](const auto& texts) -> const TextTable* {
    if (texts.empty()) return nullptr;
    std::vector<TextTable::Entry> entries;
    for (const std::string& text : texts) entries.push_back({.text = text});
    return TextTable::Make(entries, texts_memory_);
  };
  const AllowedModels allowed = rule.models().empty() ? AllModels(draft) : MakeAllowed(draft, rule.models());
  return {.tenants = table(rule.tenants()),
          .users = table(rule.users()),
          .models = allowed.models,
          .choices = allowed.choices,
          .rule = &rule};
}

// Those that a rule of the Objective names.
const ObjectiveBuilder::AllowedModels& ObjectiveBuilder::AllModels(Draft& draft) {
  if (draft.all_models.models == nullptr) {
    std::vector<v1::ModelRef> refs;
    const Targeting& by = draft.targeting;
    rule_set::ForEachModel(draft.rule, by.context_rules, by.experiments, by.shifts, by.shadows,
                           [&](const v1::ModelRef& ref) { refs.push_back(ref); });
    draft.all_models = MakeAllowed(draft, refs);
  }
  return draft.all_models;
}

template <typename Refs>
ObjectiveBuilder::AllowedModels ObjectiveBuilder::MakeAllowed(Draft& draft, const Refs& refs) {
  std::vector<Choice> choices;
  std::vector<TextTable::Entry> models;
  absl::flat_hash_set<const Model*> met;
  for (const v1::ModelRef& ref : refs) {
    const Choice choice = SharedChoice(draft, draft.override_choices, ref, Reason::kOverride);
    if (!met.insert(choice.model).second) continue;
    models.push_back({.text = choice.model->id, .value = static_cast<uint32_t>(choices.size())});
    choices.push_back(choice);
  }
  return {.models = TextTable::Make(models, texts_memory_), .choices = NewCopy(choices, texts_memory_)};
}

Choice ObjectiveBuilder::SharedChoice(const Draft& draft, StringMap<Choice>& known, const v1::ModelRef& ref,
                                      Reason reason) {
  Choice& choice = known[ModelId(ref)];
  if (choice.answer == nullptr) choice = Choose(answers_.MakeAnswer(draft.rule, ref, named_, {.reason = reason}));
  return choice;
}

CompiledContextRule ObjectiveBuilder::BuildContextRule(Draft& draft, const v1::ContextRule& rule) {
  CompiledContextRule built;
  built.condition = ConditionOf(rule.has_condition(), rule.condition());
  built.rule = &rule;
  if (rule.has_model())
    built.choice = Choose(answers_.MakeAnswer(draft.rule, rule.model(), named_, {.reason = Reason::kContextRule}));
  if (!rule.policy().empty()) built.policy = PolicyOf(draft, named_.policies.at(rule.policy()));
  if (!rule.parameters().empty()) {
    v1::ObjectiveConfig config;
    *config.mutable_parameters() = rule.parameters();
    built.overlay = answers_.MakeOverlay(config);
  }
  return built;
}

CompiledExperiment ObjectiveBuilder::BuildExperiment(Draft& draft, const v1::Experiment& rule) {
  CompiledExperiment built;
  built.rule = &rule;
  built.id = rule.id();
  built.condition = ConditionOf(rule.has_condition(), rule.condition());
  built.layer = LayerIndex(draft, rule.layer());
  built.unit = UnitIndex(draft, rule.unit());
  built.chooses_model =
      std::any_of(rule.cells().begin(), rule.cells().end(), [](const v1::Cell& cell) { return cell.has_model(); });
  built.each_cell_has_model =
      std::all_of(rule.cells().begin(), rule.cells().end(), [](const v1::Cell& cell) { return cell.has_model(); });
  built.is_scheduled = rule.start_unix_ms() != 0 || rule.end_unix_ms() != 0;
  built.start_unix_ms = rule.start_unix_ms();
  built.end_unix_ms = rule.end_unix_ms();
  built.holdouts = HoldoutsOf(draft, rule);
  if (!rule.layer().empty() && built.layer < draft.layers.size()) {
    const uint32_t buckets = BucketCount(draft.layers[built.layer].draw.hash);
    built.layer_range = {.begin = rule.layer_begin_ppm(), .end = rule.layer_end_ppm()};
    if (buckets != kBuckets)
      built.layer_range = growthbook::RangeOf(rule.layer_begin_ppm() / 1e6, rule.layer_end_ppm() / 1e6, buckets);
    built.has_layer_range = built.layer_range.begin > 0 || built.layer_range.end < buckets;
  }
  const std::string& seed = SeedText(rule.seed(), rule.id());
  const auto hash = static_cast<HashVersion>(rule.hash_version());
  built.allocation = MakeDraw(Purpose::kAllocation, seed, built.unit);
  built.allocation_end = rule.allocation_ppm();
  built.cell = MakeDraw(Purpose::kCell, seed, built.unit, hash);
  // GrowthBook's ranges leave room for those who take no part.
  built.takes_everybody = rule.allocation_ppm() == kBuckets || hash != HashVersion::kSignalbox;
  BuildCells(draft, rule, built);
  if (!rule.forced_cells().empty()) {
    draft.objective.has_forced_cells = true;
    const TextTable*& forced = forced_[&rule];
    if (forced == nullptr) {
      StringMap<uint32_t> index_of;
      for (int i = 0; i < rule.cells_size(); ++i) index_of.emplace(rule.cells(i).name(), static_cast<uint32_t>(i));
      std::vector<TextTable::Entry> entries;
      for (const auto& [unit, cell] : rule.forced_cells())
        entries.push_back({.text = unit, .value = index_of.at(cell)});
      forced = TextTable::Make(entries, texts_memory_);
    }
    built.forced = forced;
  }
  if (rule.has_remote()) {
    draft.objective.has_remote = true;
    built.remote = BuildRemote(rule);
  }
  return built;
}

void ObjectiveBuilder::BuildCells(Draft& draft, const v1::Experiment& rule, CompiledExperiment& experiment) {
  std::vector<CompiledCell> cells;
  std::vector<BucketRange> ranges;
  std::vector<double> weights;
  uint32_t end = 0;
  for (const v1::Cell& cell : rule.cells()) {
    cells.push_back(BuildCell(draft, rule, cell));
    ranges.push_back({.begin = end, .end = end + cell.weight_ppm()});
    end += cell.weight_ppm();
    weights.push_back(cell.weight());
  }
  const bool has_weights = std::any_of(weights.begin(), weights.end(), [](double weight) { return weight != 0; });
  for (size_t i = 0; i < weights.size() && !has_weights; ++i)
    weights[i] = rule.cells(static_cast<int>(i)).weight_ppm() / 1e6;
  if (experiment.cell.hash != HashVersion::kSignalbox)
    ranges = growthbook::VariationRanges(weights, rule.allocation_ppm() / 1e6, BucketCount(experiment.cell.hash));
  experiment.ranges = NewCopy(ranges, rules_memory_);
  experiment.cells = NewCopy(cells, cells_memory_);
}

CompiledCell ObjectiveBuilder::BuildCell(Draft& draft, const v1::Experiment& rule, const v1::Cell& cell) {
  CompiledCell built;
  built.name = cell.name();
  built.rule = &cell;
  v1::ObjectiveConfig config;
  if (cell.has_model()) {
    built.choice = Choose(answers_.MakeAnswer(draft.rule, cell.model(), named_,
                                              {.reason = Reason::kExperiment, .experiment = &rule, .cell = &cell}));
    for (const auto& [key, value] : cell.parameters()) {
      // Its own experiment is one of those that set it.
      if (draft.context_parameters.contains(key) || draft.experiment_parameters[key] > 1)
        (*config.mutable_parameters())[key] = value;
    }
    if (!config.parameters().empty()) built.over_others = answers_.MakeOverlayOfChoosingCell(config);
    return built;
  }
  *config.mutable_parameters() = cell.parameters();
  (*config.mutable_cells())[rule.id()] = cell.name();
  v1::ObjectiveConfig main;
  main.set_experiment(rule.id());
  main.set_cell(cell.name());
  main.set_model_input_type(rule.model_input_type());
  main.set_model_type(rule.model_type());
  const AnswerFactory::Pair overlays = answers_.MakeOverlays(config, main);
  built.overlay = overlays.without;
  built.main_overlay = overlays.with;
  return built;
}

const CompiledRemote* ObjectiveBuilder::BuildRemote(const v1::Experiment& rule) {
  auto* remote = New<CompiledRemote>(texts_memory_);
  remote->platform = rule.remote().platform();
  remote->flag = rule.remote().flag().empty() ? rule.id() : rule.remote().flag();
  remote->ttl_ms = rule.remote().ttl_ms();
  remote->deadline_ms = rule.remote().deadline_ms();
  remote->fallback = rule.remote().fallback();
  for (int i = 0; i < rule.cells_size(); ++i) {
    if (rule.cells(i).name() == rule.remote().fallback_cell()) remote->fallback_cell = static_cast<uint32_t>(i);
  }
  return remote;
}

CompiledShift ObjectiveBuilder::BuildShift(Draft& draft, const v1::TrafficShift& rule) {
  CompiledShift built;
  built.condition = ConditionOf(rule.has_condition(), rule.condition());
  built.draw = MakeDraw(Purpose::kShift, SeedText(rule.seed(), rule.id()), UnitIndex(draft, rule.unit()));
  const auto setting = settings_.find(rule.id());
  built.ramp = TrafficRamp::Make(rule, setting == settings_.end() ? nullptr : setting->second, rules_memory_);
  built.applies = !rule.has_from() || ModelId(rule.from()) == ModelId(draft.rule.default_model());
  built.choice = Choose(answers_.MakeAnswer(draft.rule, rule.to(), named_, {.reason = Reason::kTrafficShift}));
  built.rule = &rule;
  return built;
}

CompiledShadow ObjectiveBuilder::BuildShadow(Draft& draft, const v1::Shadow& rule) {
  auto* shadow = New<Shadow>(texts_memory_);
  shadow->id = rule.id();
  // What it is chosen by does not matter: its answer is never returned.
  shadow->answer = answers_.MakeAnswer(draft.rule, rule.model(), named_, {.reason = Reason::kDefault});
  shadow->comparison = rule.has_comparison() ? &rule.comparison() : nullptr;
  return {.condition = ConditionOf(rule.has_condition(), rule.condition()),
          .draw = MakeDraw(Purpose::kShadow, rule.id(), 0),
          .share_ppm = rule.share_ppm(),
          .shadow = shadow,
          .rule = &rule};
}

const Condition* ObjectiveBuilder::ConditionOf(bool is_set, const v1::Condition& condition) {
  if (!is_set) return nullptr;
  // Checked before, so it compiles.
  return *conditions_.CompileShared(condition);
}

uint8_t ObjectiveBuilder::UnitIndex(Draft& draft, const google::protobuf::RepeatedPtrField<std::string>& unit) {
  const std::string text = UnitText(unit);
  const auto known = std::find(draft.unit_texts.begin(), draft.unit_texts.end(), text);
  const auto index = static_cast<size_t>(known - draft.unit_texts.begin());
  if (known == draft.unit_texts.end() && index <= kUnitsMax) {
    std::vector<Field> fields;
    for (const std::string& name : unit) fields.push_back({.id = ParseField(name), .name = name});
    if (unit.empty()) fields.push_back({.id = FieldId::kUser, .name = "user"});
    draft.units.push_back({.fields = NewCopy(fields, rules_memory_)});
    draft.unit_texts.push_back(text);
  }
  return static_cast<uint8_t>(index);
}

uint8_t ObjectiveBuilder::LayerIndex(Draft& draft, const std::string& id) {
  const auto known = std::find(draft.layer_ids.begin(), draft.layer_ids.end(), id);
  const auto index = static_cast<size_t>(known - draft.layer_ids.begin());
  if (known == draft.layer_ids.end() && index <= kLayersMax) {
    CompiledLayer layer;
    if (!id.empty()) {
      layer.rule = named_.layers.at(id);
      const auto hash = static_cast<HashVersion>(layer.rule->hash_version());
      const std::string& seed = SeedText(layer.rule->seed(), id);
      // GrowthBook's namespaces are hashed with this before their name.
      const std::string_view text =
          hash == HashVersion::kGrowthBook1 ? NewText("__" + seed, rules_memory_) : std::string_view(seed);
      layer.draw = MakeDraw(Purpose::kLayer, text, UnitIndex(draft, layer.rule->unit()), hash);
    }
    draft.layers.push_back(layer);
    draft.layer_ids.push_back(id);
  }
  return static_cast<uint8_t>(index);
}

void ObjectiveBuilder::AddHoldouts(Draft& draft) {
  absl::flat_hash_set<std::string_view> layers;
  for (const v1::Experiment* experiment : draft.targeting.experiments) layers.insert(experiment->layer());
  if (layers.empty()) return;
  for (const v1::Holdout& rule : rules_.holdouts()) {
    const bool concerns = rule.layers().empty() || std::any_of(rule.layers().begin(), rule.layers().end(),
                                                               [&](const auto& id) { return layers.contains(id); });
    if (!concerns) continue;
    draft.holdouts.push_back(
        {.condition = ConditionOf(rule.has_condition(), rule.condition()),
         .draw = MakeDraw(Purpose::kHoldout, SeedText(rule.seed(), rule.id()), UnitIndex(draft, rule.unit())),
         .share_ppm = rule.share_ppm(),
         .rule = &rule});
    if (draft.holdouts.size() > kHoldoutsMax) break;
  }
  CheckLimit(draft, draft.holdouts.size(), kHoldoutsMax, "holdouts");
}

uint32_t ObjectiveBuilder::HoldoutsOf(const Draft& draft, const v1::Experiment& rule) const {
  uint32_t holdouts = 0;
  for (size_t i = 0; i < std::min(draft.holdouts.size(), kHoldoutsMax); ++i) {
    const auto& layers = draft.holdouts[i].rule->layers();
    if (layers.empty() || std::find(layers.begin(), layers.end(), rule.layer()) != layers.end()) holdouts |= 1U << i;
  }
  return holdouts;
}

const CompiledPolicy* ObjectiveBuilder::PolicyOf(Draft& draft, const v1::Policy* narrower) {
  const CompiledPolicy*& known = draft.policies[narrower];
  if (known != nullptr) return known;
  const v1::Policy* own = draft.rule.policy().empty() ? nullptr : named_.policies.at(draft.rule.policy());
  auto* built = New<CompiledPolicy>(rules_memory_);
  known = built;
  // What each of them does not say, the next says.
  const google::protobuf::RepeatedPtrField<v1::ModelRef>* refs = &draft.rule.fallback_models();
  if (narrower != nullptr && !narrower->fallback_models().empty()) {
    refs = &narrower->fallback_models();
  } else if (refs->empty() && own != nullptr) {
    refs = &own->fallback_models();
  }
  std::vector<const Answer*> fallbacks;
  std::vector<const Model*> models;
  for (const v1::ModelRef& ref : *refs) {
    const auto is_same = [&](const Model* model) { return model->id == ModelId(ref); };
    if (std::any_of(models.begin(), models.end(), is_same)) continue;
    fallbacks.push_back(SharedChoice(draft, draft.fallback_choices, ref, Reason::kFallback).answer);
    models.push_back(fallbacks.back()->model);
  }
  std::vector<const Answer*> others;
  for (const Answer* left_out : fallbacks) {
    std::copy_if(fallbacks.begin(), fallbacks.end(), std::back_inserter(others),
                 [&](const Answer* each) { return each != left_out; });
  }
  built->fallbacks = NewCopy(fallbacks, rules_memory_);
  built->models = NewCopy(models, rules_memory_);
  built->others = NewCopy(others, rules_memory_);
  built->policy = MergedPolicy(narrower == nullptr ? own : narrower, own);
  if (narrower != nullptr && narrower->has_static_answer()) {
    built->static_answer = StaticAnswerOf(narrower->static_answer());
  } else if (draft.rule.has_static_answer()) {
    built->static_answer = StaticAnswerOf(draft.rule.static_answer());
  } else if (own != nullptr && own->has_static_answer()) {
    built->static_answer = StaticAnswerOf(own->static_answer());
  }
  return built;
}

// Each field by itself, as where a policy extends another; 0 says nothing. A number for concurrency takes the place of
// an adaptive one, and the other way round.
const Policy* ObjectiveBuilder::MergedPolicy(const v1::Policy* policy, const v1::Policy* base) {
  if (policy == nullptr) return nullptr;
  const Policy*& known = policies_[{policy, base}];
  if (known != nullptr) return known;
  v1::Policy says = base == nullptr ? v1::Policy() : *base;
  if (policy->limits().concurrent_requests() != 0) says.mutable_limits()->clear_adaptive_concurrency();
  if (policy->limits().has_adaptive_concurrency()) says.mutable_limits()->clear_concurrent_requests();
  if (policy->has_affinity()) says.clear_affinity();
  says.MergeFrom(*policy);
  auto* merged = New<Policy>(texts_memory_);
  merged->name = policy->name();
  const v1::Limits& limits = says.limits();
  merged->limits = {.requests_per_second = limits.requests_per_second(),
                    .burst = limits.burst(),
                    .concurrent_requests = limits.concurrent_requests(),
                    .concurrency_is_adaptive = limits.has_adaptive_concurrency(),
                    .adaptive_min = limits.adaptive_concurrency().min(),
                    .adaptive_max = limits.adaptive_concurrency().max(),
                    .payload_bytes = limits.payload_bytes(),
                    .priority = limits.priority()};
  merged->total_ms = says.deadlines().total_ms();
  merged->per_try_ms = says.deadlines().per_try_ms();
  merged->retries = {.tries = says.retries().tries(),
                     .idempotent = says.retries().idempotent(),
                     .budget_ppm = says.retries().budget_ppm(),
                     .backoff_ms = says.retries().backoff_ms(),
                     .backoff_max_ms = says.retries().backoff_max_ms()};
  merged->hedge_percentile_ppm = says.hedging().percentile_ppm();
  merged->hedge_min_delay_ms = says.hedging().min_delay_ms();
  std::vector<Field> unit;
  const auto& names = (policy->has_affinity() || base == nullptr ? policy : base)->affinity().unit();
  for (const std::string& name : names) unit.push_back({.id = ParseField(name), .name = name});
  merged->affinity_unit = NewCopy(unit, texts_memory_);
  constexpr uint32_t kLoadBoundPercentDefault = 125;
  const uint32_t bound = says.affinity().load_bound_percent();
  merged->load_bound_percent = bound == 0 ? kLoadBoundPercentDefault : bound;
  merged->bulkhead = {.requests = says.bulkhead().requests(),
                      .buffered_bytes = says.bulkhead().buffered_bytes(),
                      .connections_per_host = says.bulkhead().connections_per_host()};
  return known = merged;
}

const StaticAnswer* ObjectiveBuilder::StaticAnswerOf(const v1::StaticAnswer& proto) {
  const StaticAnswer*& known = static_answers_[&proto];
  if (known != nullptr) return known;
  auto* answer = New<StaticAnswer>(texts_memory_);
  answer->message = proto.message();
  return known = answer;
}

void ObjectiveBuilder::CheckSizes(Draft& draft) {
  Objective& objective = draft.objective;
  size_t answer_bytes = 0;
  const auto meet = [&](const Choice& choice) {
    if (choice.answer == nullptr) return;
    answer_bytes = std::max(answer_bytes, choice.answer->objective_config.size());
    for (const Answer::Member& member : choice.answer->members)
      answer_bytes = std::max(answer_bytes, member.answer->objective_config.size());
  };
  meet(objective.default_choice);
  for (const CompiledOverride& rule : objective.overrides) {
    for (const Choice& choice : rule.choices) meet(choice);
  }
  for (const CompiledShift& shift : objective.shifts) meet(shift.choice);
  for (const CompiledShadow& shadow : objective.shadows) meet({.answer = shadow.shadow->answer, .model = nullptr});
  for (const auto& [name, policy] : draft.policies) {
    for (const Answer* fallback : policy->fallbacks) meet({.answer = fallback, .model = nullptr});
  }
  size_t context_bytes = 0;
  size_t context_overlays = 0;
  for (const CompiledContextRule& rule : objective.context_rules) {
    meet(rule.choice);
    context_bytes += SizeOf(rule.overlay);
    context_overlays += rule.overlay != nullptr;
  }
  CheckLimit(draft, context_overlays, kParameterRulesMax, "context rules with parameters");
  // One experiment of each layer applies.
  std::vector<size_t> layer_bytes(objective.layers.size() + 1, 0);
  size_t remote = 0;
  for (const CompiledExperiment& experiment : objective.experiments) {
    remote += experiment.remote != nullptr;
    size_t& bytes = layer_bytes[std::min<size_t>(experiment.layer, objective.layers.size())];
    for (const CompiledCell& cell : experiment.cells) {
      meet(cell.choice);
      bytes = std::max({bytes, SizeOf(cell.main_overlay), SizeOf(cell.over_others)});
    }
  }
  CheckLimit(draft, remote, kRemoteQuestionsMax, "experiments with remote allocation");
  size_t bytes = answer_bytes + context_bytes;
  for (const size_t each : layer_bytes) bytes += each;
  if (bytes > kObjectiveConfigBytesMax) {
    return Problem(draft,
                   "what is sent with a request takes up to {} bytes, expected at most {}; shorten the parameters",
                   bytes, kObjectiveConfigBytesMax);
  }
  objective.chosen_cells_bytes_max = kObjectiveConfigBytesMax - bytes;
}

void ObjectiveBuilder::CheckLimit(const Draft& draft, size_t count, size_t max, const char* what) {
  if (count > max) Problem(draft, "has {} {}, expected at most {}", count, what, max);
}

}  // namespace signalbox::decide
