#include "rules/rule_set_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "api/rule_set.h"
#include "base/string_map.h"
#include "rules/suggestion.h"

namespace signalbox::rules {
namespace {

using rule_set::ConfigOf;
using rule_set::kEverybodyPpm;
using rule_set::kObjectiveConfigBytesMax;
using rule_set::ModelId;

std::string Where(const v1::SourceLocation& source) {
  return fmt::format("{}:{}:{}", source.file(), source.line(), source.column());
}

// An answer is worked out in advance for every cell of every Objective.
constexpr size_t kAnswersMax = 200'000;
// More are not worth the search.
constexpr int kSuggestionsMax = 100;

class RuleSetCheck {
 public:
  RuleSetCheck(RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics) : draft_(draft), diagnostics_(diagnostics) {}

  void Run() {
    IndexObjectives();
    AddFallbacks();
    CheckExperiments();
    CheckShifts();
    CheckRefused();
    if (!CheckAnswers()) return;
    CheckSizes();
    CheckReach();
  }

 private:
  void Error(const v1::SourceLocation& source, std::string message) {
    diagnostics_.push_back({source.file(), source.line(), source.column(), std::move(message)});
  }

  // Remembers `source` under `key`; where there is one already, returns that.
  static const v1::SourceLocation* Remember(StringMap<const v1::SourceLocation*>& places, const std::string& key,
                                            const v1::SourceLocation& source) {
    const auto [entry, is_new] = places.try_emplace(key, &source);
    return is_new ? nullptr : entry->second;
  }

  void IndexObjectives() {
    for (v1::Objective& objective : draft_.objectives) {
      const auto [first, is_new] = objectives_.try_emplace(objective.name(), &objective);
      if (is_new) {
        names_.push_back(objective.name());
        continue;
      }
      Error(objective.source(),
            fmt::format("Objective {} has two default models, {} here and {} at {}; remove one of the two rules",
                        objective.name(), ModelId(objective.default_model()), ModelId(first->second->default_model()),
                        Where(first->second->source())));
    }
    for (const std::string& name : draft_.refused_objectives) {
      names_.push_back(name);
      refused_.insert(name);
    }
  }

  // nullptr, after a diagnostic, when the Objective is not declared.
  v1::Objective* Find(const std::string& name, const std::string& subject, const v1::SourceLocation& source,
                      Place place) {
    if (const auto found = objectives_.find(name); found != objectives_.end()) return found->second;
    if (refused_.contains(name)) return nullptr;
    v1::SourceLocation at = source;
    if (place.line != 0) {
      at.set_line(place.line);
      at.set_column(place.column);
    }
    std::string hint = ++suggestions_ > kSuggestionsMax ? "" : DidYouMean(name, names_);
    if (hint.empty()) {
      if (draft_.is_incomplete) return nullptr;
      hint = names_.empty() ? "; no Objective is declared" : fmt::format("; declared are {}", FirstNames());
      hint += fmt::format(". Declare it with a rule {{objective: Objectives.{}, defaultModel: {{name: '...'}}}}", name);
    }
    Error(at, fmt::format("{}: Objective {} does not exist{}", subject, name, hint));
    return nullptr;
  }

  std::string FirstNames() const {
    constexpr size_t kShownMax = 10;
    const size_t shown = std::min(names_.size(), kShownMax);
    std::string text =
        fmt::format("{}", fmt::join(names_.begin(), names_.begin() + static_cast<ptrdiff_t>(shown), ", "));
    if (shown < names_.size()) text += fmt::format(" and {} more", names_.size() - shown);
    return text;
  }

  void AddFallbacks() {
    StringMap<const v1::SourceLocation*> places;
    for (const v1::Objective& objective : draft_.objectives) {
      if (objective.fallback_models_size() > 0) Remember(places, objective.name(), objective.source());
    }
    for (const Draft<FallbackRule>& draft : draft_.fallbacks) {
      for (size_t i = 0; i < draft.rule.names.size(); ++i) {
        const std::string& name = draft.rule.names[i];
        v1::Objective* objective = Find(name, "fallbacks", draft.rule.location, draft.targets[i]);
        if (objective == nullptr) continue;
        if (const v1::SourceLocation* first = Remember(places, name, draft.rule.location)) {
          Error(draft.rule.location, fmt::format("Objective {} has two lists of fallback models, here and at {}; write "
                                                 "one list",
                                                 name, Where(*first)));
          continue;
        }
        objective->mutable_fallback_models()->Assign(draft.rule.models.begin(), draft.rule.models.end());
      }
    }
  }

  void CheckExperiments() {
    StringMap<const v1::SourceLocation*> ids;
    for (const Draft<v1::Experiment>& draft : draft_.experiments) {
      const v1::Experiment& experiment = draft.rule;
      const std::string subject = fmt::format("experiment {}", experiment.id());
      if (const v1::SourceLocation* first = Remember(ids, experiment.id(), experiment.source()))
        Error(experiment.source(), fmt::format("{} is declared twice, first at {}; give one of them another abTestId",
                                               subject, Where(*first)));
      for (size_t i = 0; i < draft.targets.size(); ++i) {
        const std::string& name = experiment.objectives(static_cast<int>(i));
        const v1::Objective* objective = Find(name, subject, experiment.source(), draft.targets[i]);
        if (objective == nullptr) continue;
        CheckSame(experiment, *objective, "modelInputType", experiment.model_input_type(),
                  objective->model_input_type());
        CheckParameters(experiment, name);
      }
    }
  }

  void CheckSame(const v1::Experiment& experiment, const v1::Objective& objective, const char* key,
                 const std::string& mine, const std::string& theirs) {
    if (mine.empty() || theirs.empty() || mine == theirs) return;
    Error(experiment.source(),
          fmt::format("experiment {}: {} is {}, but Objective {} at {} has {}; both must be the same", experiment.id(),
                      key, mine, objective.name(), Where(objective.source()), theirs));
  }

  // Experiments on one Objective may not set the same parameter: which of them wins would depend on their order.
  void CheckParameters(const v1::Experiment& experiment, const std::string& objective) {
    std::set<std::string> keys;
    for (const v1::Cell& cell : experiment.cells()) {
      for (const auto& [key, value] : cell.parameters()) keys.insert(key);
    }
    for (const std::string& key : keys) {
      const auto [first, is_new] = parameters_.try_emplace(fmt::format("{}/{}", objective, key), &experiment);
      if (is_new || first->second->id() == experiment.id()) continue;
      Error(experiment.source(),
            fmt::format("experiment {} sets parameter {} of Objective {}, and so does experiment {} "
                        "at {}; only one may",
                        experiment.id(), key, objective, first->second->id(), Where(first->second->source())));
    }
  }

  void CheckShifts() {
    StringMap<const v1::SourceLocation*> ids;
    for (const Draft<v1::TrafficShift>& draft : draft_.shifts) {
      const v1::TrafficShift& shift = draft.rule;
      const std::string subject = fmt::format("traffic shift {}", shift.id());
      if (const v1::SourceLocation* first = Remember(ids, shift.id(), shift.source()))
        Error(shift.source(), fmt::format("{} is declared twice, first at {}; give one of them another trafficShiftId",
                                          subject, Where(*first)));
      for (size_t i = 0; i < draft.targets.size(); ++i) {
        const std::string& name = shift.objectives(static_cast<int>(i));
        const v1::Objective* objective = Find(name, subject, shift.source(), draft.targets[i]);
        if (objective == nullptr) continue;
        const auto [first, is_new] = shift_of_objective_.try_emplace(name, &shift);
        if (!is_new) {
          Error(shift.source(), fmt::format("Objective {} has two traffic shifts, {} here and {} at {}; one is allowed",
                                            name, shift.id(), first->second->id(), Where(first->second->source())));
        }
        CheckModels(shift, *objective);
      }
    }
  }

  void CheckModels(const v1::TrafficShift& shift, const v1::Objective& objective) {
    const std::string default_model = ModelId(objective.default_model());
    if (shift.has_from() && ModelId(shift.from()) != default_model) {
      Error(shift.source(),
            fmt::format("traffic shift {} would move nobody: it shifts from {}, but the default model of "
                        "Objective {} at {} is {}",
                        shift.id(), ModelId(shift.from()), objective.name(), Where(objective.source()), default_model));
    } else if (ModelId(shift.to()) == default_model) {
      Error(shift.source(), fmt::format("traffic shift {} would move nobody: {} is the default model of Objective {} "
                                        "already, at {}",
                                        shift.id(), default_model, objective.name(), Where(objective.source())));
    }
  }

  void CheckRefused() {
    for (const RefusedRule& rule : draft_.refused) {
      for (size_t i = 0; i < rule.targets.size(); ++i)
        Find(rule.objectives[i], rule.subject, rule.source, rule.targets[i]);
    }
  }

  // A rule that no user can get to looks like one that works, to everybody but the users.
  void CheckReach() {
    StringMap<std::vector<const v1::Experiment*>> experiments;
    for (const Draft<v1::Experiment>& draft : draft_.experiments) {
      for (const std::string& name : draft.rule.objectives()) experiments[name].push_back(&draft.rule);
    }
    for (auto& [name, asked] : experiments) {
      if (!objectives_.contains(name)) continue;
      std::stable_sort(asked.begin(), asked.end(),
                       [](const auto* a, const auto* b) { return a->priority() < b->priority(); });
      const auto last = std::find_if(asked.begin(), asked.end(),
                                     [](const auto* each) { return each->allocation_ppm() == kEverybodyPpm; });
      if (last != asked.end()) CheckReachBehind(**last, name, {std::next(last), asked.end()});
    }
  }

  void CheckReachBehind(const v1::Experiment& last, const std::string& objective,
                        const std::vector<const v1::Experiment*>& later) {
    constexpr const char* kMessage =
        "{} can never be reached for Objective {}: experiment {} at {} is asked before it{}; lower that one's "
        "allocationPercentage or remove one of the two";
    for (const v1::Experiment* experiment : later) {
      if (experiment->id() == last.id()) continue;  // told already
      Error(experiment->source(), fmt::format(kMessage, fmt::format("experiment {}", experiment->id()), objective,
                                              last.id(), Where(last.source()), " and takes everybody"));
    }
    const auto shift = shift_of_objective_.find(objective);
    const bool chooses_all = std::all_of(last.cells().begin(), last.cells().end(),
                                         [](const auto& cell) { return cell.has_model() || cell.weight_ppm() == 0; });
    if (shift == shift_of_objective_.end() || !chooses_all) return;
    Error(shift->second->source(),
          fmt::format(kMessage, fmt::format("traffic shift {}", shift->second->id()), objective, last.id(),
                      Where(last.source()), ", takes everybody, and all of its cells have models"));
  }

  bool CheckAnswers() {
    size_t answers = 0;
    for (const Draft<v1::Experiment>& draft : draft_.experiments)
      answers += static_cast<size_t>(draft.rule.objectives_size()) * static_cast<size_t>(draft.rule.cells_size());
    if (answers <= kAnswersMax) return true;
    diagnostics_.push_back({"", 0, 0,
                            fmt::format("the experiments have {} cells, each counted once for every Objective "
                                        "that is targeted; expected at most {}",
                                        answers, kAnswersMax)});
    return false;
  }

  // What travels with every request has to fit into its headers.
  void CheckSizes() {
    for (const auto& [name, objective] : objectives_) {
      for (const v1::ModelRef& model : objective->fallback_models()) CheckSize(*objective, model, nullptr, nullptr);
      CheckSize(*objective, objective->default_model(), nullptr, nullptr);
    }
    for (const Draft<v1::TrafficShift>& draft : draft_.shifts) {
      for (const std::string& name : draft.rule.objectives()) {
        if (const auto found = objectives_.find(name); found != objectives_.end())
          CheckSize(*found->second, draft.rule.to(), nullptr, nullptr);
      }
    }
    for (const Draft<v1::Experiment>& draft : draft_.experiments) {
      for (const std::string& name : draft.rule.objectives()) {
        const auto found = objectives_.find(name);
        if (found == objectives_.end()) continue;
        const auto shift = shift_of_objective_.find(name);
        for (const v1::Cell& cell : draft.rule.cells()) {
          CheckSize(*found->second, cell.has_model() ? cell.model() : found->second->default_model(), &draft.rule,
                    &cell);
          if (!cell.has_model() && shift != shift_of_objective_.end())
            CheckSize(*found->second, shift->second->to(), &draft.rule, &cell);
        }
      }
    }
  }

  void CheckSize(const v1::Objective& objective, const v1::ModelRef& model, const v1::Experiment* experiment,
                 const v1::Cell* cell) {
    const size_t bytes = ConfigOf(objective, model, experiment, cell).ByteSizeLong();
    if (bytes <= kObjectiveConfigBytesMax) return;
    const std::string whose = experiment == nullptr
                                  ? fmt::format("Objective {}", objective.name())
                                  : fmt::format("experiment {}: cell {}", experiment->id(), cell->name());
    Error(
        experiment == nullptr ? objective.source() : experiment->source(),
        fmt::format("{}: what is sent along with model {} takes {} bytes, expected at most {}; shorten the parameters",
                    whose, ModelId(model), bytes, kObjectiveConfigBytesMax));
  }

  RuleSetDraft& draft_;
  std::vector<Diagnostic>& diagnostics_;
  StringMap<v1::Objective*> objectives_;
  std::vector<std::string> names_;  // in order of declaration, for messages
  std::set<std::string> refused_;
  int suggestions_ = 0;
  StringMap<const v1::TrafficShift*> shift_of_objective_;
  StringMap<const v1::Experiment*> parameters_;  // "Objective/parameter" -> who sets it first
};

}  // namespace

v1::RuleSet CheckRuleSet(std::string_view namespace_name, RuleSetDraft draft, std::vector<Diagnostic>& diagnostics) {
  RuleSetCheck(draft, diagnostics).Run();
  v1::RuleSet rule_set;
  rule_set.set_namespace_(std::string(namespace_name));
  for (v1::Objective& objective : draft.objectives) *rule_set.add_objectives() = std::move(objective);
  for (auto& experiment : draft.experiments) *rule_set.add_experiments() = std::move(experiment.rule);
  for (auto& shift : draft.shifts) *rule_set.add_traffic_shifts() = std::move(shift.rule);
  return rule_set;
}

}  // namespace signalbox::rules
