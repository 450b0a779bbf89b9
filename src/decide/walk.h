// The order of a decision, in one place (docs/decisions/0007-decision-order.md): override, context rules, experiments,
// traffic shifts, default model; then shadows and what is laid over the answer.
//
// Walk goes through the rules of an Objective and asks its questions of an *asker*. Decide's asker answers from a
// request (decide.cc), Explain's writes down what it is asked and told as well (explain.cc), RemoteQuestions' notes
// which platforms would be asked (remote_questions.cc), and one that follows every possible answer finds out what a
// rule set can do at all. An asker is any class with the members below; Walk is a template, so that nothing is called
// through a pointer.
//
// Questions, each asked only when the decision depends on it:
//   int64_t now_unix_ms()                 0: unknown, nothing that depends on time is in effect
//   bool Holds(const Condition*)          nullptr: it always does. Conditions are known by their `proto`
//   bool HasUnit(uint8_t unit)            whether the request has one of Objective::units[unit]
//   Bucket Draw(const decide::Draw&)      where the unit falls. `Bucket` is the asker's own type, cheap to copy, made
//                                         without arguments, with `bool In(uint32_t begin, uint32_t end) const`. Asked
//                                         once for each draw of a layer or a holdout. The same draw (bucket.h says
//                                         which) has the same bucket wherever it is asked for
//   Bucket DrawRequest(const decide::Draw&)   the same of the request's random number
//   CallersChoice Override()              what the caller may choose, and chose
//   int32_t OverrideCell(const CompiledExperiment&)   index of the cell that the caller chose, or kNoCell. Asked only
//   when
//                                         CallersChoice says that there are any
//   int32_t ForcedCell(const CompiledExperiment&)     index of the cell that the rules force the unit into, or kNoCell
//   bool IsShadow()                       the request is a shadow itself, which is not shadowed again
//   int32_t RemoteCell(const CompiledExperiment&)     what its platform gave: an index, kNoCell (nothing, or what does
//   not
//                                         exist), or kNoPart
//
// Told, after each rule was asked or passed by, in order:
//   void On(const CompiledOverride*, const CallersChoice&)
//   void On(const CompiledContextRule&, Outcome)
//   void On(const CompiledExperiment&, const ExperimentStep&)
//   void On(const CompiledShift&, Outcome)
//   void OnDefault(Outcome)
//   void On(const CompiledShadow&, Outcome)
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "decide/decide.h"
#include "decide/objective.h"

namespace signalbox::decide {

inline constexpr int32_t kNoCell = -1;
inline constexpr int32_t kNoPart = -2;

// Why a rule was taken or not.
enum class Outcome : uint8_t {
  kTaken,
  kModelIsChosen,     // by a rule before it, so that it was not asked
  kModelIsNotNeeded,  // it holds and gives what else it says, but the model is chosen
  kConditionFails,
  kNotRunning,  // at this time
  kNoUnit,      // the request does not have it
  kHeldOut,
  kLayerIsTaken,          // by another experiment of its layer
  kOtherModelExperiment,  // applies already, and this one has models too
  kOutsideLayerRange,
  kNotAllocated,      // outside its allocation or share, or in no cell's range
  kFallbackIsNoPart,  // the platform's fallback
  kOtherModel,        // shifts from a model that is not the default one
  kTooMany,           // no room is left in the decision for a cell that was chosen by name
};

// How a unit came into its cell.
enum class Allocation : uint8_t { kHash, kForced, kOverride, kRemote, kFallback };

struct ExperimentStep {
  Outcome outcome = Outcome::kTaken;
  Allocation allocation = Allocation::kHash;
  const CompiledCell* cell = nullptr;         // where it was taken
  const CompiledHoldout* holdout = nullptr;   // where it was held out
  const CompiledExperiment* other = nullptr;  // the experiment that has the layer or the model
};

// What the caller asks for in `sb-override`, as far as the rules allow it.
struct CallersChoice {
  const CompiledOverride* rule = nullptr;  // that allows it; nullptr: none was asked for, or none allows it
  const Choice* model = nullptr;
  bool has_cells = false;
  bool is_refused = false;  // all of it, or a part
};

template <typename Asker>
class Walker {
 public:
  // `decision` is a new one.
  Walker(const Objective& objective, Asker& asker, Decision& decision)
      : objective_(objective), asker_(asker), decision_(decision) {}

  void Walk() {
    policy_ = objective_.policy;
    if (!objective_.overrides.empty())
      AskOverride();
    else
      RefuseOverride();
    for (const CompiledContextRule& rule : objective_.context_rules) AskContextRule(rule);
    AskExperiments();
    for (const CompiledShift& shift : objective_.shifts) AskShift(shift);
    if (choice_ == nullptr) {
      choice_ = &objective_.default_choice;
      asker_.OnDefault(Outcome::kTaken);
    } else {
      asker_.OnDefault(Outcome::kModelIsChosen);
    }
    if (!objective_.shadows.empty() && !asker_.IsShadow()) {
      for (const CompiledShadow& shadow : objective_.shadows) AskShadow(shadow);
    }
    Finish();
  }

 private:
  using Bucket = decltype(std::declval<Asker&>().Draw(std::declval<const Draw&>()));

  struct Taken {
    const CompiledExperiment* experiment;
    const CompiledCell* cell;
  };

  // Override.

  void RefuseOverride() {
    if (asker_.Override().is_refused) decision_.notes |= kOverrideRefused;
  }

  void AskOverride() {
    const CallersChoice chosen = asker_.Override();
    if (chosen.is_refused) decision_.notes |= kOverrideRefused;
    asker_.On(chosen.rule, chosen);
    if (chosen.rule == nullptr) return;
    if (chosen.model != nullptr) {
      choice_ = chosen.model;
      decision_.override_rule = chosen.rule->rule->id();
    }
    if (!chosen.has_cells) return;
    for (const CompiledExperiment& experiment : objective_.experiments) {
      const int32_t cell = asker_.OverrideCell(experiment);
      if (cell < 0) continue;
      if (TakeChosen(experiment, experiment.cells[static_cast<size_t>(cell)], Allocation::kOverride)) {
        decision_.override_rule = chosen.rule->rule->id();
      } else {
        decision_.notes |= kOverrideRefused;
      }
    }
  }

  // Context rules.

  void AskContextRule(const CompiledContextRule& rule) {
    if (!asker_.Holds(rule.condition)) return asker_.On(rule, Outcome::kConditionFails);
    if (rule.policy != nullptr && !has_context_policy_) {
      policy_ = rule.policy;
      has_context_policy_ = true;
    }
    if (rule.overlay != nullptr) context_overlays_[context_overlay_count_++] = rule.overlay;
    if (rule.choice.answer != nullptr && choice_ == nullptr) {
      choice_ = &rule.choice;
      asker_.On(rule, Outcome::kTaken);
    } else {
      asker_.On(rule, rule.choice.answer == nullptr ? Outcome::kTaken : Outcome::kModelIsNotNeeded);
    }
  }

  // Experiments.

  void AskExperiments() {
    // A cell that the caller chose may have given the model; the others are asked all the same.
    const bool is_over = choice_ != nullptr && !experiment_chose_;
    if (!is_over && objective_.has_forced_cells) AskForcedCells();
    for (const CompiledExperiment& experiment : objective_.experiments) {
      if (chosen_count_ > 0 && IsTaken(experiment)) continue;
      if (is_over) {
        asker_.On(experiment, {.outcome = Outcome::kModelIsChosen});
        continue;
      }
      ExperimentStep step;
      AskExperiment(experiment, step);
      if (step.outcome == Outcome::kTaken) Take(experiment, *step.cell);
      asker_.On(experiment, step);
    }
  }

  void AskForcedCells() {
    for (const CompiledExperiment& experiment : objective_.experiments) {
      if (experiment.forced == nullptr || IsTaken(experiment)) continue;
      const int32_t cell = asker_.ForcedCell(experiment);
      if (cell >= 0) TakeChosen(experiment, experiment.cells[static_cast<size_t>(cell)], Allocation::kForced);
    }
  }

  // Whatever condition, time, holdout, layer and allocation say.
  bool TakeChosen(const CompiledExperiment& experiment, const CompiledCell& cell, Allocation allocation) {
    ExperimentStep step = {.outcome = Outcome::kTaken, .allocation = allocation, .cell = &cell};
    if (experiment.chooses_model && model_experiment_ != nullptr) {
      step.outcome = Outcome::kOtherModelExperiment;
      step.other = model_experiment_;
    } else if (cell.choice.answer != nullptr && choice_ != nullptr) {
      step.outcome = Outcome::kModelIsChosen;
    } else if (!HasRoomFor(cell)) {
      step.outcome = Outcome::kTooMany;
    }
    // What was passed by is asked again with all others.
    if (step.outcome != Outcome::kTaken) return false;
    ++chosen_count_;
    Take(experiment, cell);
    asker_.On(experiment, step);
    return true;
  }

  bool HasRoomFor(const CompiledCell& cell) {
    // So that each layer has still room for one.
    if (chosen_count_ + objective_.layers.size() >= kEnrolmentsMax) return false;
    const Overlay* overlay = cell.choice.answer != nullptr ? cell.over_others : cell.main_overlay;
    const size_t bytes = overlay == nullptr ? 0 : overlay->objective_config.size();
    if (chosen_bytes_ + bytes > objective_.chosen_cells_bytes_max) return false;
    chosen_bytes_ += bytes;
    return true;
  }

  void AskExperiment(const CompiledExperiment& experiment, ExperimentStep& step) {
    step.outcome = Outcome::kNotRunning;
    if (experiment.chooses_model && model_experiment_ != nullptr) {
      step.outcome = Outcome::kOtherModelExperiment;
      step.other = model_experiment_;
    } else if ((layers_taken_ >> experiment.layer & 1) != 0) {
      step.outcome = Outcome::kLayerIsTaken;
      step.other = OtherOfLayer(experiment.layer);
    } else if (experiment.is_scheduled && !Runs(experiment)) {
      step.outcome = Outcome::kNotRunning;
    } else if (!asker_.Holds(experiment.condition)) {
      step.outcome = Outcome::kConditionFails;
    } else if (!asker_.HasUnit(experiment.unit)) {
      step.outcome = Outcome::kNoUnit;
      decision_.notes |= kMissingUnit;
    } else if (experiment.holdouts != 0 && IsHeldOut(experiment, step)) {
      step.outcome = Outcome::kHeldOut;
    } else if (experiment.has_layer_range &&
               !LayerBucket(experiment.layer).In(experiment.layer_range.begin, experiment.layer_range.end)) {
      step.outcome = Outcome::kOutsideLayerRange;
    } else {
      Allocate(experiment, step);
    }
  }

  bool Runs(const CompiledExperiment& experiment) {
    const int64_t now = asker_.now_unix_ms();
    if (now == 0 || now < experiment.start_unix_ms) return false;
    return experiment.end_unix_ms == 0 || now < experiment.end_unix_ms;
  }

  bool IsHeldOut(const CompiledExperiment& experiment, ExperimentStep& step) {
    for (uint32_t i = 0; i < objective_.holdouts.size(); ++i) {
      if ((experiment.holdouts >> i & 1) == 0) continue;
      if ((holdouts_asked_ >> i & 1) == 0) {
        holdouts_asked_ |= 1U << i;
        if (AskHoldout(objective_.holdouts[i])) holdouts_ |= 1U << i;
      }
      if ((holdouts_ >> i & 1) == 0) continue;
      step.holdout = &objective_.holdouts[i];
      return true;
    }
    return false;
  }

  bool AskHoldout(const CompiledHoldout& holdout) {
    if (!asker_.Holds(holdout.condition)) return false;
    if (!asker_.HasUnit(holdout.draw.unit)) {
      decision_.notes |= kMissingUnit;
      return false;
    }
    return asker_.Draw(holdout.draw).In(0, holdout.share_ppm);
  }

  const Bucket& LayerBucket(uint8_t layer) {
    if ((layers_drawn_ >> layer & 1) == 0) {
      layers_drawn_ |= 1U << layer;
      layer_buckets_[layer] = asker_.Draw(objective_.layers[layer].draw);
    }
    return layer_buckets_[layer];
  }

  void Allocate(const CompiledExperiment& experiment, ExperimentStep& step) {
    if (experiment.remote == nullptr) return AllocateByHash(experiment, step);
    const int32_t cell = asker_.RemoteCell(experiment);
    if (cell >= 0) {
      step.allocation = Allocation::kRemote;
      return TakeCell(experiment, static_cast<size_t>(cell), step);
    }
    step.allocation = Allocation::kFallback;
    step.outcome = Outcome::kFallbackIsNoPart;
    if (cell == kNoPart) return;
    decision_.notes |= kRemoteFallback;
    if (experiment.remote->fallback == v1::RemoteAllocation::HASH) AllocateByHash(experiment, step);
    if (experiment.remote->fallback == v1::RemoteAllocation::CELL)
      TakeCell(experiment, experiment.remote->fallback_cell, step);
  }

  void AllocateByHash(const CompiledExperiment& experiment, ExperimentStep& step) {
    step.outcome = Outcome::kNotAllocated;
    if (!experiment.takes_everybody && !asker_.Draw(experiment.allocation).In(0, experiment.allocation_end)) return;
    const Bucket bucket = asker_.Draw(experiment.cell);
    for (size_t i = 0; i < experiment.ranges.size(); ++i) {
      if (bucket.In(experiment.ranges[i].begin, experiment.ranges[i].end)) return TakeCell(experiment, i, step);
    }
  }

  static void TakeCell(const CompiledExperiment& experiment, size_t cell, ExperimentStep& step) {
    step.outcome = Outcome::kTaken;
    step.cell = &experiment.cells[cell];
    __builtin_prefetch(step.cell);
  }

  // Does not look into the cell where that can wait: its memory is on its way, while other rules are asked.
  void Take(const CompiledExperiment& experiment, const CompiledCell& cell) {
    taken_[taken_count_++] = {&experiment, &cell};
    layers_taken_ |= 1U << experiment.layer;
    if (!experiment.chooses_model) return;
    model_experiment_ = &experiment;
    if (!experiment.each_cell_has_model && cell.choice.answer == nullptr) return;
    choice_ = &cell.choice;
    experiment_chose_ = true;
  }

  bool IsTaken(const CompiledExperiment& experiment) const {
    for (size_t i = 0; i < taken_count_; ++i) {
      if (taken_[i].experiment == &experiment) return true;
    }
    return false;
  }

  const CompiledExperiment* OtherOfLayer(uint8_t layer) const {
    for (size_t i = 0; i < taken_count_; ++i) {
      if (taken_[i].experiment->layer == layer) return taken_[i].experiment;
    }
    return nullptr;
  }

  // Traffic shifts.

  void AskShift(const CompiledShift& shift) {
    if (choice_ != nullptr) return asker_.On(shift, Outcome::kModelIsChosen);
    if (!shift.applies) return asker_.On(shift, Outcome::kOtherModel);
    if (!asker_.Holds(shift.condition)) return asker_.On(shift, Outcome::kConditionFails);
    if (!asker_.HasUnit(shift.draw.unit)) {
      decision_.notes |= kMissingUnit;
      return asker_.On(shift, Outcome::kNoUnit);
    }
    const uint32_t share_ppm =
        shift.ramp.steps.empty() ? shift.ramp.share_ppm : shift.ramp.ShareAt(asker_.now_unix_ms());
    if (share_ppm == 0 || !asker_.Draw(shift.draw).In(0, share_ppm)) return asker_.On(shift, Outcome::kNotAllocated);
    choice_ = &shift.choice;
    asker_.On(shift, Outcome::kTaken);
  }

  // Shadows, and what follows from the choice.

  void AskShadow(const CompiledShadow& shadow) {
    if (!asker_.Holds(shadow.condition)) return asker_.On(shadow, Outcome::kConditionFails);
    if (!asker_.DrawRequest(shadow.draw).In(0, shadow.share_ppm)) return asker_.On(shadow, Outcome::kNotAllocated);
    decision_.shadows.Add(shadow.shadow);
    asker_.On(shadow, Outcome::kTaken);
  }

  void Finish() {
    decision_.answer = choice_->answer;
    decision_.fallbacks = policy_->FallbacksOf(choice_->model);
    decision_.static_answer = policy_->static_answer;
    decision_.policy = policy_->policy;
    for (size_t i = 0; i < taken_count_; ++i)
      decision_.enrolments.Add({.experiment = taken_[i].experiment->id, .cell = taken_[i].cell->name});
    AddOverlays();
  }

  // The last one wins where they are merged, and the first rule is to: so they are added from behind.
  void AddOverlays() {
    for (size_t i = context_overlay_count_; i > 0; --i) decision_.overlays.Add(context_overlays_[i - 1]);
    for (size_t i = taken_count_; i > 0; --i) {
      const CompiledCell& cell = *taken_[i - 1].cell;
      if (cell.choice.answer != nullptr) {
        if (cell.over_others != nullptr && (context_overlay_count_ > 0 || taken_count_ > 1))
          decision_.overlays.Add(cell.over_others);
      } else {
        const bool is_main = i == 1 && !experiment_chose_;
        decision_.overlays.Add(is_main ? cell.main_overlay : cell.overlay);
      }
    }
  }

  const Objective& objective_;
  Asker& asker_;
  Decision& decision_;

  const Choice* choice_ = nullptr;
  const CompiledPolicy* policy_ = nullptr;
  bool has_context_policy_ = false;
  bool experiment_chose_ = false;
  const CompiledExperiment* model_experiment_ = nullptr;
  // Bits: indexes of layers and holdouts.
  uint32_t layers_taken_ = 0;
  uint32_t layers_drawn_ = 0;
  uint32_t holdouts_asked_ = 0;
  uint32_t holdouts_ = 0;
  // Of those taken, by name: overrides and forced cells.
  size_t chosen_count_ = 0;
  size_t chosen_bytes_ = 0;
  size_t taken_count_ = 0;
  size_t context_overlay_count_ = 0;
  // Not initialised: they cost what is put into them.
  std::array<Taken, kEnrolmentsMax> taken_;
  std::array<const Overlay*, kParameterRulesMax> context_overlays_;
  std::array<Bucket, kLayersMax> layer_buckets_;
};

// `decision` is a new one, where the caller wants it: nothing is copied.
template <typename Asker>
void Walk(const Objective& objective, Asker& asker, Decision& decision) {
  Walker<Asker>(objective, asker, decision).Walk();
}

template <typename Asker>
Decision Walk(const Objective& objective, Asker& asker) {
  Decision decision;
  Walk(objective, asker, decision);
  return decision;
}

}  // namespace signalbox::decide
