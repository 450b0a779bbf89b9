#include "rules/experiment_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <tuple>

#include "api/rule_set.h"
#include "base/percent.h"
#include "base/string_map.h"
#include "rules/source_place.h"

namespace signalbox::rules {
namespace {

using rule_set::kEverybodyPpm;

bool SetsModel(const v1::Experiment& experiment) {
  return std::any_of(experiment.cells().begin(), experiment.cells().end(),
                     [](const v1::Cell& cell) { return cell.has_model(); });
}

template <typename A, typename B>
bool HaveSameUnit(const A& a, const B& b) {
  return std::equal(a.unit().begin(), a.unit().end(), b.unit().begin(), b.unit().end());
}

template <typename Rule>
std::string UnitText(const Rule& rule) {
  return rule.unit().empty() ? "user" : fmt::format("{}", fmt::join(rule.unit(), ", "));
}

std::string RangeText(const v1::Experiment& experiment) {
  return fmt::format("{} to {}", Percent(experiment.layer_begin_ppm()), Percent(experiment.layer_end_ppm()));
}

using ByObjective = StringMap<std::vector<const v1::Experiment*>>;

ByObjective GroupByObjective(const RuleSetDraft& draft) {
  ByObjective groups;
  for (const Draft<v1::Experiment>& one : draft.experiments) {
    for (const std::string& name : one.rule.objectives()) groups[name].push_back(&one.rule);
  }
  return groups;
}

void CheckOverlap(std::vector<const v1::Experiment*> in_layer, std::vector<Diagnostic>& diagnostics) {
  std::stable_sort(in_layer.begin(), in_layer.end(),
                   [](const auto* a, const auto* b) { return a->layer_begin_ppm() < b->layer_begin_ppm(); });
  const v1::Experiment* last = nullptr;  // the one that reaches farthest
  for (const v1::Experiment* each : in_layer) {
    if (last != nullptr && each->layer_begin_ppm() < last->layer_end_ppm()) {
      Report(diagnostics, each->source(),
             fmt::format("experiment {} has {} of layer {}, which overlaps with {} of experiment {} at {}; give "
                         "each a layerRange of its own",
                         each->id(), RangeText(*each), each->layer(), RangeText(*last), last->id(),
                         Where(last->source())));
    }
    if (last == nullptr || each->layer_end_ppm() > last->layer_end_ppm()) last = each;
  }
}

// Everybody who has the unit and is not held out.
bool TakesEverybody(const v1::Experiment& experiment) {
  const bool is_certain = !experiment.has_remote() || experiment.remote().fallback() == v1::RemoteAllocation::CELL;
  return experiment.allocation_ppm() == kEverybodyPpm && experiment.layer().empty() && !experiment.has_condition() &&
         experiment.start_unix_ms() == 0 && experiment.end_unix_ms() == 0 && is_certain;
}

class ReachCheck {
 public:
  ReachCheck(const RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics)
      : draft_(draft), diagnostics_(diagnostics) {}

  void Run() {
    for (auto& [name, asked] : GroupByObjective(draft_)) {
      std::vector<const v1::Experiment*> in_order = asked;
      std::stable_sort(in_order.begin(), in_order.end(),
                       [](const auto* a, const auto* b) { return a->priority() < b->priority(); });
      const auto last =
          std::find_if(in_order.begin(), in_order.end(), [](const auto* each) { return TakesEverybody(*each); });
      if (last != in_order.end()) CheckBehind(**last, name, {std::next(last), in_order.end()});
    }
  }

 private:
  static constexpr const char* kMessage =
      "{} can never be reached for Objective {}: experiment {} at {} is asked before it{}; lower that one's "
      "allocationPercentage or remove one of the two";

  void CheckBehind(const v1::Experiment& last, const std::string& objective,
                   const std::vector<const v1::Experiment*>& later) {
    for (const v1::Experiment* experiment : later) {
      if (experiment->id() == last.id()) continue;  // told already
      // In another layer both apply; testers get there whatever is before; and who has no such unit may have another.
      if (!experiment->layer().empty() || !experiment->forced_cells().empty() || !HaveSameUnit(*experiment, last))
        continue;
      Report(diagnostics_, experiment->source(),
             fmt::format(kMessage, fmt::format("experiment {}", experiment->id()), objective, last.id(),
                         Where(last.source()), " and takes everybody"));
    }
    const bool chooses_all = std::all_of(last.cells().begin(), last.cells().end(),
                                         [](const auto& cell) { return cell.has_model() || cell.weight_ppm() == 0; });
    // Who is held out of the experiment gets to the shift.
    if (!chooses_all || !draft_.holdouts.empty()) return;
    for (const Draft<v1::TrafficShift>& shift : draft_.shifts) {
      const auto& names = shift.rule.objectives();
      if (std::find(names.begin(), names.end(), objective) == names.end() || !HaveSameUnit(shift.rule, last)) continue;
      Report(diagnostics_, shift.rule.source(),
             fmt::format(kMessage, fmt::format("traffic shift {}", shift.rule.id()), objective, last.id(),
                         Where(last.source()), ", takes everybody, and all of its cells have models"));
    }
  }

  const RuleSetDraft& draft_;
  std::vector<Diagnostic>& diagnostics_;
};

}  // namespace

bool MayMeet(const v1::Experiment& a, const v1::Experiment& b) {
  return a.layer() != b.layer() && !(SetsModel(a) && SetsModel(b));
}

void CheckLayers(RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics) {
  StringMap<const v1::Layer*> layers;
  for (const v1::Layer& layer : draft.layers) layers.try_emplace(layer.id(), &layer);
  StringMap<std::vector<const v1::Experiment*>> experiments;
  for (Draft<v1::Experiment>& one : draft.experiments) {
    v1::Experiment& experiment = one.rule;
    const auto layer = layers.find(experiment.layer());
    if (layer == layers.end()) continue;  // told already
    if (experiment.unit().empty()) *experiment.mutable_unit() = layer->second->unit();
    if (!HaveSameUnit(experiment, *layer->second)) {
      Report(
          diagnostics, experiment.source(),
          fmt::format("experiment {} has the unit {}, but layer {} at {} has {}; all experiments of a layer have the "
                      "layer's",
                      experiment.id(), UnitText(experiment), experiment.layer(), Where(layer->second->source()),
                      UnitText(*layer->second)));
    }
    experiments[experiment.layer()].push_back(&experiment);
  }
  for (const auto& [name, in_layer] : experiments) CheckOverlap(in_layer, diagnostics);
}

void CheckParameters(const RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics) {
  // "Objective/parameter" -> who sets it.
  StringMap<std::vector<const v1::Experiment*>> setters;
  std::set<std::tuple<std::string, std::string, std::string>> told;
  for (const Draft<v1::Experiment>& one : draft.experiments) {
    const v1::Experiment& experiment = one.rule;
    std::set<std::string> keys;
    for (const v1::Cell& cell : experiment.cells()) {
      for (const auto& [key, value] : cell.parameters()) keys.insert(key);
    }
    for (const std::string& objective : experiment.objectives()) {
      for (const std::string& key : keys) {
        std::vector<const v1::Experiment*>& others = setters[fmt::format("{}/{}", objective, key)];
        for (const v1::Experiment* other : others) {
          if (other->id() == experiment.id() || !MayMeet(*other, experiment)) continue;
          if (!told.emplace(other->id(), experiment.id(), key).second) continue;
          Report(
              diagnostics, experiment.source(),
              fmt::format("experiment {} sets parameter {} of Objective {}, and so does experiment {} at {}; both may "
                          "apply to one request, so only one may, or put both into one layer",
                          experiment.id(), key, objective, other->id(), Where(other->source())));
        }
        others.push_back(&experiment);
      }
    }
  }
}

void CheckReach(const RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics) {
  ReachCheck(draft, diagnostics).Run();
}

}  // namespace signalbox::rules
