#include "rules/experiment_cells.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "api/rule_set.h"
#include "rules/cell_weights.h"
#include "rules/suggestion.h"

namespace signalbox::rules {
namespace {

using rule_set::IsName;

constexpr double kWeightTolerance = 1e-9;
constexpr double kWeightMin = 1e-6;
// Cells are walked one by one for every decision.
constexpr size_t kCellsMax = 1000;

class CellsReader {
 public:
  explicit CellsReader(RuleReading& reading) : reading_(reading) {}

  void Read(v1::Experiment& experiment) {
    const Field models = reading_.Key("cellToModel");
    const Field parameters = reading_.Key("cellParameters");
    if (models.AsObject() == nullptr && (models.IsPresent() || !parameters.IsPresent()))
      return reading_.reader.ErrorExpected(models, "an object of cells: {1: {name: '...'}, 2: {name: '...'}}");
    if (parameters.IsPresent() && parameters.AsObject() == nullptr)
      return reading_.reader.ErrorExpected(parameters, "an object of cells: {1: {parameter: value}}");
    for (const Field& cells : {models, parameters}) {
      if (cells.AsObject() != nullptr && reading_.reader.HasTooManyKeys(cells, kCellsMax)) return;
    }
    AddCells(models, experiment);
    AddCells(parameters, experiment);
    if (experiment.cells().empty()) return reading_.reader.Error(models, "has no cells, expected at least one");
    if (experiment.cells_size() > static_cast<int>(kCellsMax))
      return reading_.reader.Error(models,
                                   fmt::format("{} cells, expected at most {}", experiment.cells_size(), kCellsMax));
    for (v1::Cell& cell : *experiment.mutable_cells()) {
      if (const Field model = reading_.reader.Key(models, cell.name()); model.value != nullptr)
        reading_.reader.Model(model, *cell.mutable_model(), Ensembles::kAllowed);
      if (const Field values = reading_.reader.Key(parameters, cell.name()); values.value != nullptr)
        reading_.reader.Parameters(values, *cell.mutable_parameters());
    }
    ReadWeights(experiment);
  }

 private:
  // Cells without a model of their own leave it to the traffic shift and the default.
  void AddCells(const Field& field, v1::Experiment& experiment) {
    if (field.AsObject() == nullptr) return;
    for (const RuleProperty& property : *field.AsObject()) {
      const std::string& name = property.name;
      const auto& cells = experiment.cells();
      if (std::any_of(cells.begin(), cells.end(), [&](const v1::Cell& cell) { return cell.name() == name; })) continue;
      if (!IsName(name)) {
        reading_.reader.Error(reading_.reader.Key(field, name),
                              "expected a cell's name of 1 to 200 letters, digits, '.', '_' and '-'");
      }
      experiment.add_cells()->set_name(name);
    }
  }

  void ReadWeights(v1::Experiment& experiment) {
    const Field field = reading_.Key("cellWeights");
    std::vector<double> weights(static_cast<size_t>(experiment.cells_size()), 1.0 / experiment.cells_size());
    if (field.IsPresent() && !ReadWeights(field, experiment, weights)) return;
    const std::vector<uint32_t> ppm = WeightsAsPpm(weights);
    for (int i = 0; i < experiment.cells_size(); ++i) {
      const auto at = static_cast<size_t>(i);
      experiment.mutable_cells(i)->set_weight_ppm(ppm[at]);
      if (experiment.hash_version() != 0) experiment.mutable_cells(i)->set_weight(weights[at]);
    }
  }

  bool ReadWeights(const Field& field, const v1::Experiment& experiment, std::vector<double>& weights) {
    if (field.AsObject() == nullptr) {
      reading_.reader.ErrorExpected(field, "an object of weights: {1: 0.5, 2: 0.5}");
      return false;
    }
    if (reading_.reader.HasTooManyKeys(field)) return false;
    bool complete = true;
    std::vector<std::string> names;
    std::vector<std::string> listed;
    double sum = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      names.push_back(experiment.cells(static_cast<int>(i)).name());
      const Field weight_field = reading_.reader.Key(field, names.back());
      const std::optional<double> weight = reading_.reader.Number(weight_field, 0, 1, "a weight from 0 to 1");
      complete = complete && weight;
      if (!weight) continue;
      if (*weight > 0 && *weight < kWeightMin)
        reading_.reader.Error(weight_field, fmt::format("expected 0 or at least {:f}, got {}", kWeightMin, *weight));
      weights[i] = *weight;
      sum += *weight;
      listed.push_back(fmt::format("{}={}", names.back(), *weight));
    }
    for (const auto& [name, value] : *field.AsObject()) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      complete = false;
      reading_.reader.Error(
          reading_.reader.Key(field, name),
          fmt::format("there is no such cell{}; the cells are {}", DidYouMean(name, names), fmt::join(names, ", ")));
    }
    if (!complete) return false;
    if (std::abs(sum - 1) <= kWeightTolerance) return true;
    Field whole = field;
    whole.path.clear();
    reading_.reader.Error(whole, fmt::format("weights add up to {:.10g}, expected 1 (tolerance 1e-9); cells {}", sum,
                                             fmt::join(listed, " ")));
    return false;
  }

  RuleReading& reading_;
};

}  // namespace

void ReadCells(RuleReading& reading, v1::Experiment& experiment) { CellsReader(reading).Read(experiment); }

}  // namespace signalbox::rules
