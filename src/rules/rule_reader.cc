#include "rules/rule_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "api/rule_set.h"
#include "rules/cell_weights.h"
#include "rules/field_reader.h"
#include "rules/suggestion.h"

namespace signalbox::rules {
namespace {

using rule_set::IsName;
using rule_set::kEverybodyPpm;
using rule_set::kFallbacksMax;

constexpr double kWeightTolerance = 1e-9;
constexpr double kWeightMin = 1e-6;
// Cells are walked one by one for every decision.
constexpr size_t kCellsMax = 1000;

class RuleReader {
 public:
  RuleReader(const DeclaredRule& declared, RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics)
      : declared_(declared), draft_(draft), reader_(declared, diagnostics), rule_(reader_.Rule()) {}

  void Read() {
    if (rule_.AsObject() == nullptr)
      return reader_.Error(rule_, fmt::format("expected a rule, got {}", InWords(declared_.value)));
    if (Has("objective")) return ReadObjective();
    if (Has("abTestId") || Has("cellToModel")) return ReadExperiment();
    if (Has("trafficShiftId") || Has("toModel")) return ReadShift();
    if (Has("fallbackModels")) return ReadFallback();
    ReportUnknownKind();
  }

 private:
  bool Has(std::string_view key) const { return Key(key).IsPresent(); }
  Field Key(std::string_view key) const { return reader_.Key(rule_, key); }

  void ReportUnknownKind() {
    const std::vector<std::string> kinds = {"objective", "abTestId", "trafficShiftId", "fallbackModels"};
    std::string suggestion;
    std::vector<std::string> keys;
    for (const auto& [key, value] : *rule_.AsObject()) {
      keys.push_back(key.substr(0, 50));
      if (suggestion.empty()) suggestion = DidYouMean(key, kinds);
      if (keys.size() == 20) break;
    }
    reader_.Error(rule_,
                  fmt::format("no kind of rule: expected a key objective (an Objective), abTestId (an experiment), "
                              "trafficShiftId (a traffic shift) or fallbackModels (fallbacks); its keys are {}{}",
                              keys.empty() ? "none" : fmt::format("{}", fmt::join(keys, ", ")), suggestion));
  }

  template <typename Rule>
  void SetSource(Rule& rule) {
    v1::SourceLocation& source = *rule.mutable_source();
    FillSource(source);
  }
  void FillSource(v1::SourceLocation& source) {
    source.set_file(declared_.file);
    source.set_line(rule_.place.line);
    source.set_column(rule_.place.column);
  }

  void ReadObjective() {
    v1::Objective objective;
    std::vector<std::string> names;
    std::vector<Place> places;
    if (Key("objective").AsArray() != nullptr) {
      reader_.ErrorExpected(Key("objective"), "one Objectives.Name");
    } else {
      reader_.Targets(Key("objective"), names, places);
    }
    if (!names.empty()) {
      objective.set_name(names[0]);
      reader_.set_subject(fmt::format("Objective {}", names[0]));
    }
    reader_.CheckKeys(rule_,
                      {"objective", "defaultModel", "fallbackModels", "modelInputType", "modelType", "parameters"});
    reader_.Model(Key("defaultModel"), *objective.mutable_default_model());
    if (Has("fallbackModels")) {
      std::vector<v1::ModelRef> models;
      ReadModels(Key("fallbackModels"), models);
      objective.mutable_fallback_models()->Assign(models.begin(), models.end());
    }
    reader_.Description(Key("modelInputType"), *objective.mutable_model_input_type());
    reader_.Description(Key("modelType"), *objective.mutable_model_type());
    if (Has("parameters")) reader_.Parameters(Key("parameters"), *objective.mutable_parameters());
    SetSource(objective);
    if (reader_.ok()) {
      draft_.objectives.push_back(std::move(objective));
    } else if (!names.empty()) {
      draft_.refused_objectives.push_back(names[0]);
    }
  }

  void ReadModels(const Field& field, std::vector<v1::ModelRef>& models) {
    const RuleValue::Array* items = field.AsArray();
    if (items == nullptr) return reader_.ErrorExpected(field, "an array of models: [{name: '...'}]");
    if (items->size() > kFallbacksMax)
      return reader_.Error(field, fmt::format("has {} models, expected at most {}", items->size(), kFallbacksMax));
    for (size_t i = 0; i < items->size(); ++i) {
      const Field item = reader_.Item(field, i);
      v1::ModelRef model;
      reader_.Model(item, model);
      const bool is_there = std::any_of(models.begin(), models.end(), [&](const v1::ModelRef& other) {
        return other.name() == model.name() && other.version() == model.version();
      });
      if (is_there && !model.name().empty()) reader_.Error(item, "stands in the list already");
      models.push_back(std::move(model));
    }
  }

  void ReadExperiment() {
    Draft<v1::Experiment> draft;
    v1::Experiment& experiment = draft.rule;
    if (const std::optional<std::string> id = reader_.Id(Key("abTestId"))) {
      experiment.set_id(*id);
      reader_.set_subject(fmt::format("experiment {}", *id));
    }
    reader_.CheckKeys(rule_, {"abTestId", "targetObjectives", "cellToModel", "cellWeights", "cellParameters",
                              "allocationPercentage", "seed", "priority", "modelInputType", "modelType"});
    ReadTargets(draft);
    ReadCells(experiment);
    experiment.set_allocation_ppm(kEverybodyPpm);
    if (const Field allocation = Key("allocationPercentage"); allocation.IsPresent()) {
      if (const std::optional<uint32_t> ppm = reader_.PercentageAsPpm(allocation, 0.0001))
        experiment.set_allocation_ppm(*ppm);
    }
    ReadSeed(experiment);
    if (const Field priority = Key("priority"); priority.IsPresent()) {
      const std::optional<double> number =
          reader_.Number(priority, -1'000'000, 1'000'000, "a whole number from -1000000 to 1000000");
      if (number && *number != std::floor(*number)) reader_.ErrorExpected(priority, "a whole number");
      if (number) experiment.set_priority(static_cast<int32_t>(*number));
    }
    reader_.Description(Key("modelInputType"), *experiment.mutable_model_input_type());
    reader_.Description(Key("modelType"), *experiment.mutable_model_type());
    SetSource(experiment);
    Keep(std::move(draft), draft_.experiments);
  }

  template <typename Rule>
  void Keep(Draft<Rule> draft, std::vector<Draft<Rule>>& drafts) {
    if (reader_.ok()) return drafts.push_back(std::move(draft));
    const auto& names = draft.rule.objectives();
    draft_.refused.push_back(
        {reader_.subject(), {names.begin(), names.end()}, std::move(draft.targets), draft.rule.source()});
  }

  template <typename Rule>
  void ReadTargets(Draft<Rule>& draft) {
    std::vector<std::string> names;
    reader_.Targets(Key("targetObjectives"), names, draft.targets);
    draft.rule.mutable_objectives()->Assign(names.begin(), names.end());
  }

  template <typename Rule>
  void ReadSeed(Rule& rule) {
    const Field seed = Key("seed");
    if (!seed.IsPresent()) return;
    if (const std::optional<std::string> text = reader_.Id(seed)) rule.set_seed(*text);
  }

  void ReadCells(v1::Experiment& experiment) {
    const Field models = Key("cellToModel");
    const Field parameters = Key("cellParameters");
    if (models.AsObject() == nullptr && (models.IsPresent() || !parameters.IsPresent()))
      return reader_.ErrorExpected(models, "an object of cells: {1: {name: '...'}, 2: {name: '...'}}");
    if (parameters.IsPresent() && parameters.AsObject() == nullptr)
      return reader_.ErrorExpected(parameters, "an object of cells: {1: {parameter: value}}");
    for (const Field& cells : {models, parameters}) {
      if (cells.AsObject() != nullptr && reader_.HasTooManyKeys(cells)) return;
    }
    AddCells(models, experiment);
    AddCells(parameters, experiment);
    if (experiment.cells().empty()) return reader_.Error(models, "has no cells, expected at least one");
    if (experiment.cells_size() > static_cast<int>(kCellsMax))
      return reader_.Error(models, fmt::format("{} cells, expected at most {}", experiment.cells_size(), kCellsMax));
    for (v1::Cell& cell : *experiment.mutable_cells()) {
      if (const Field model = reader_.Key(models, cell.name()); model.value != nullptr)
        reader_.Model(model, *cell.mutable_model());
      if (const Field values = reader_.Key(parameters, cell.name()); values.value != nullptr)
        reader_.Parameters(values, *cell.mutable_parameters());
    }
    ReadWeights(experiment);
  }

  // Cells without a model of their own get the Objective's default model.
  void AddCells(const Field& field, v1::Experiment& experiment) {
    if (field.AsObject() == nullptr) return;
    for (const RuleProperty& property : *field.AsObject()) {
      const std::string& name = property.name;
      const auto& cells = experiment.cells();
      if (std::any_of(cells.begin(), cells.end(), [&](const v1::Cell& cell) { return cell.name() == name; })) continue;
      if (!IsName(name)) {
        reader_.Error(reader_.Key(field, name), "expected a cell's name of 1 to 200 letters, digits, '.', '_' and '-'");
      }
      experiment.add_cells()->set_name(name);
    }
  }

  void ReadWeights(v1::Experiment& experiment) {
    const Field field = Key("cellWeights");
    std::vector<double> weights(static_cast<size_t>(experiment.cells_size()), 1.0 / experiment.cells_size());
    if (field.IsPresent() && !ReadWeights(field, experiment, weights)) return;
    const std::vector<uint32_t> ppm = WeightsAsPpm(weights);
    for (int i = 0; i < experiment.cells_size(); ++i)
      experiment.mutable_cells(i)->set_weight_ppm(ppm[static_cast<size_t>(i)]);
  }

  bool ReadWeights(const Field& field, const v1::Experiment& experiment, std::vector<double>& weights) {
    if (field.AsObject() == nullptr) {
      reader_.ErrorExpected(field, "an object of weights: {1: 0.5, 2: 0.5}");
      return false;
    }
    if (reader_.HasTooManyKeys(field)) return false;
    bool complete = true;
    std::vector<std::string> names;
    std::vector<std::string> listed;
    double sum = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      names.push_back(experiment.cells(static_cast<int>(i)).name());
      const Field weight_field = reader_.Key(field, names.back());
      const std::optional<double> weight = reader_.Number(weight_field, 0, 1, "a weight from 0 to 1");
      complete = complete && weight;
      if (!weight) continue;
      if (*weight > 0 && *weight < kWeightMin)
        reader_.Error(weight_field, fmt::format("expected 0 or at least {:f}, got {}", kWeightMin, *weight));
      weights[i] = *weight;
      sum += *weight;
      listed.push_back(fmt::format("{}={}", names.back(), *weight));
    }
    for (const auto& [name, value] : *field.AsObject()) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      complete = false;
      reader_.Error(reader_.Key(field, name), fmt::format("there is no such cell{}; the cells are {}",
                                                          DidYouMean(name, names), fmt::join(names, ", ")));
    }
    if (!complete) return false;
    if (std::abs(sum - 1) <= kWeightTolerance) return true;
    Field whole = field;
    whole.path.clear();
    reader_.Error(whole, fmt::format("weights add up to {:.10g}, expected 1 (tolerance 1e-9); cells {}", sum,
                                     fmt::join(listed, " ")));
    return false;
  }

  void ReadShift() {
    Draft<v1::TrafficShift> draft;
    v1::TrafficShift& shift = draft.rule;
    if (const std::optional<std::string> id = reader_.Id(Key("trafficShiftId"))) {
      shift.set_id(*id);
      reader_.set_subject(fmt::format("traffic shift {}", *id));
    }
    reader_.CheckKeys(rule_, {"trafficShiftId", "targetObjectives", "fromModel", "toModel", "percentage", "seed"});
    ReadTargets(draft);
    if (Has("fromModel")) reader_.Model(Key("fromModel"), *shift.mutable_from());
    reader_.Model(Key("toModel"), *shift.mutable_to());
    if (const std::optional<uint32_t> ppm = reader_.PercentageAsPpm(Key("percentage"), 0)) shift.set_share_ppm(*ppm);
    ReadSeed(shift);
    SetSource(shift);
    Keep(std::move(draft), draft_.shifts);
  }

  void ReadFallback() {
    Draft<FallbackRule> draft;
    reader_.set_subject(fmt::format("fallbacks ({})", declared_.label));
    reader_.CheckKeys(rule_, {"targetObjectives", "fallbackModels"});
    reader_.Targets(Key("targetObjectives"), draft.rule.names, draft.targets);
    ReadModels(Key("fallbackModels"), draft.rule.models);
    FillSource(draft.rule.location);
    Keep(std::move(draft), draft_.fallbacks);
  }

  const DeclaredRule& declared_;
  RuleSetDraft& draft_;
  FieldReader reader_;
  Field rule_;
};

}  // namespace

void ReadRule(const DeclaredRule& declared, RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics) {
  RuleReader(declared, draft, diagnostics).Read();
}

}  // namespace signalbox::rules
