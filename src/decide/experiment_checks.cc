// What layers, holdouts and experiments may say.
#include <algorithm>
#include <cmath>
#include <vector>

#include "api/rule_set.h"
#include "decide/bucket.h"
#include "decide/objective.h"
#include "decide/rule_checks.h"

namespace signalbox::decide {
namespace {

constexpr int kCellsMax = 1'000;
constexpr int kForcedCellsMax = 10'000;
constexpr uint32_t kTtlMsMin = 1'000;
constexpr uint32_t kTtlMsMax = 86'400'000;
constexpr uint32_t kDeadlineMsMax = 10'000;
// GrowthBook's own: with weights further from 1 it takes equal ones.
constexpr double kGrowthBookWeightTolerance = 0.01;

// As it counts: nothing means the user.
std::string UnitText(const google::protobuf::RepeatedPtrField<std::string>& unit) {
  return unit.empty() ? "user" : fmt::format("{}", fmt::join(unit, ", "));
}

}  // namespace

void RuleChecks::CheckLayer(const v1::Layer& layer, Ids& ids) {
  const std::string place = Place(layer, "layer", layer.id());
  CheckId(layer.id(), place, ids);
  CheckUnit(layer.unit(), place);
  CheckHashVersion(layer.hash_version(), place);
}

void RuleChecks::CheckHoldout(const v1::Holdout& holdout, Ids& ids) {
  const std::string place = Place(holdout, "holdout", holdout.id());
  CheckId(holdout.id(), place, ids);
  CheckShare(holdout.share_ppm(), place);
  CheckUnit(holdout.unit(), place);
  for (const std::string& layer : holdout.layers()) {
    if (!named_.layers.contains(layer))
      Problem("{}: layer {} is not declared in namespace {}", place, layer, rules_.namespace_());
  }
  if (holdout.has_condition()) CheckCondition(holdout.condition(), place);
}

void RuleChecks::CheckExperiment(const v1::Experiment& experiment, Ids& ids) {
  const std::string place = Place(experiment, "experiment", experiment.id());
  CheckId(experiment.id(), place, ids);
  CheckTargets(experiment, place);
  if (experiment.allocation_ppm() < 1 || experiment.allocation_ppm() > kBuckets)
    Problem("{}: allocation is {} ppm, expected 1 to {}", place, experiment.allocation_ppm(), kBuckets);
  CheckHashVersion(experiment.hash_version(), place);
  CheckUnit(experiment.unit(), place);
  CheckCells(experiment, place);
  CheckLayerOf(experiment, place);
  if (experiment.has_condition()) CheckCondition(experiment.condition(), place);
  if (experiment.start_unix_ms() < 0 || experiment.end_unix_ms() < 0 ||
      (experiment.end_unix_ms() != 0 && experiment.end_unix_ms() <= experiment.start_unix_ms()))
    Problem("{}: ends before it starts", place);
  if (experiment.has_remote()) CheckRemote(experiment, place);
}

void RuleChecks::CheckCells(const v1::Experiment& experiment, const std::string& place) {
  if (experiment.cells_size() > kCellsMax)
    return Problem("{}: {} cells, expected at most {}", place, experiment.cells_size(), kCellsMax);
  uint64_t weights_ppm = 0;
  double weights = 0;
  std::vector<std::string> listed;
  Ids names;
  for (const v1::Cell& cell : experiment.cells()) {
    weights_ppm += cell.weight_ppm();
    weights += cell.weight();
    listed.push_back(fmt::format("{}={}", cell.name(), cell.weight_ppm()));
    if (cell.name().empty()) Problem("{}: a cell has no name, expected one", place);
    if (!names.insert(cell.name()).second) Problem("{}: two cells are named {}", place, cell.name());
    const std::string cell_place = fmt::format("{}: cell {}", place, cell.name());
    if (cell.has_model()) CheckModel(cell.model(), Ensembles::kAllowed, cell_place);
    CheckParameters(cell.parameters(), cell_place);
    if (!(std::isfinite(cell.weight()) && cell.weight() >= 0))
      Problem("{}: weight {}, expected 0 to 1", cell_place, cell.weight());
  }
  if (weights_ppm != kBuckets) {
    Problem("{}: the weights of its cells add up to {} ppm, expected exactly {}; cells {}", place, weights_ppm,
            kBuckets, listed.empty() ? "none" : fmt::format("{}", fmt::join(listed, " ")));
  }
  if (experiment.hash_version() != 0 && weights != 0 && std::abs(weights - 1) > kGrowthBookWeightTolerance)
    Problem("{}: the weights of its cells add up to {}, expected 1", place, weights);
  if (experiment.forced_cells_size() > kForcedCellsMax)
    Problem("{}: {} forced cells, expected at most {}", place, experiment.forced_cells_size(), kForcedCellsMax);
  for (const auto& [unit, cell] : experiment.forced_cells()) {
    if (!names.contains(cell)) Problem("{}: forces {} into cell {}, which it does not have", place, unit, cell);
  }
}

void RuleChecks::CheckLayerOf(const v1::Experiment& experiment, const std::string& place) {
  if (experiment.layer().empty()) {
    if (experiment.layer_begin_ppm() != 0 || experiment.layer_end_ppm() != 0)
      Problem("{}: has a range of a layer, but names no layer", place);
    return;
  }
  if (experiment.layer_begin_ppm() >= experiment.layer_end_ppm() || experiment.layer_end_ppm() > kBuckets) {
    Problem("{}: range {} to {} ppm of layer {}, expected 0 to {}, and to begin before its end", place,
            experiment.layer_begin_ppm(), experiment.layer_end_ppm(), experiment.layer(), kBuckets);
  }
  const auto layer = named_.layers.find(experiment.layer());
  if (layer == named_.layers.end())
    return Problem("{}: layer {} is not declared in namespace {}", place, experiment.layer(), rules_.namespace_());
  if (UnitText(layer->second->unit()) != UnitText(experiment.unit())) {
    Problem("{}: its unit is {}, but that of its layer {} is {}; expected the same", place, UnitText(experiment.unit()),
            experiment.layer(), UnitText(layer->second->unit()));
  }
}

void RuleChecks::CheckRemote(const v1::Experiment& experiment, const std::string& place) {
  const v1::RemoteAllocation& remote = experiment.remote();
  if (remote.platform().empty()) Problem("{}: its remote allocation names no platform, expected one", place);
  if (remote.ttl_ms() < kTtlMsMin || remote.ttl_ms() > kTtlMsMax)
    Problem("{}: remote allocation lives {} ms, expected {} to {}", place, remote.ttl_ms(), kTtlMsMin, kTtlMsMax);
  if (remote.deadline_ms() < 1 || remote.deadline_ms() > kDeadlineMsMax)
    Problem("{}: remote allocation has {} ms, expected 1 to {}", place, remote.deadline_ms(), kDeadlineMsMax);
  if (remote.fallback() != v1::RemoteAllocation::CELL) return;
  const bool exists = std::any_of(experiment.cells().begin(), experiment.cells().end(),
                                  [&](const v1::Cell& cell) { return cell.name() == remote.fallback_cell(); });
  if (!exists) Problem("{}: falls back to cell {}, which it does not have", place, remote.fallback_cell());
}

void RuleChecks::CheckLayersDoNotOverlap() {
  StringMap<std::vector<const v1::Experiment*>> of_layer;
  for (const v1::Experiment& experiment : rules_.experiments()) {
    if (!experiment.layer().empty()) of_layer[experiment.layer()].push_back(&experiment);
  }
  for (auto& [layer, experiments] : of_layer) {
    std::stable_sort(experiments.begin(), experiments.end(),
                     [](const auto* a, const auto* b) { return a->layer_begin_ppm() < b->layer_begin_ppm(); });
    const v1::Experiment* before = nullptr;
    for (const v1::Experiment* experiment : experiments) {
      if (before != nullptr && experiment->layer_begin_ppm() < before->layer_end_ppm()) {
        Problem(
            "{}: has {} to {} ppm of layer {}, of which experiment {} at {} has {} to {}; expected ranges of their own",
            Place(*experiment, "experiment", experiment->id()), experiment->layer_begin_ppm(),
            experiment->layer_end_ppm(), layer, before->id(), PlaceOf(before->source(), rules_.namespace_()),
            before->layer_begin_ppm(), before->layer_end_ppm());
      }
      if (before == nullptr || before->layer_end_ppm() < experiment->layer_end_ppm()) before = experiment;
    }
  }
}

}  // namespace signalbox::decide
