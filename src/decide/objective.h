// The rules of one Objective in the form that decisions are made from: what a walk (walk.h) reads. Made by the
// snapshot's compiler, side by side in memory; immutable.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "decide/bucket.h"
#include "decide/condition.h"
#include "decide/context_field.h"
#include "decide/snapshot.h"
#include "decide/text_table.h"
#include "decide/traffic_share.h"

namespace signalbox::decide {

// Limits of one Objective; rule sets beyond them are refused.
inline constexpr size_t kUnitsMax = 16;     // different units of its experiments, layers, holdouts and shifts
inline constexpr size_t kLayersMax = 16;    // layers of its experiments, that of those without one included
inline constexpr size_t kHoldoutsMax = 32;  // holdouts that concern it
inline constexpr size_t kExperimentsMax = 1'000;
inline constexpr size_t kOverridesMax = 100;
inline constexpr size_t kParameterRulesMax = 15;  // context rules with parameters: each is an overlay

// The fields that give the unit: the value of the first that the request has.
struct Unit {
  std::span<const Field> fields;
};

// An answer, and its model beside it, so that a decision need not look into the answer.
struct Choice {
  const Answer* answer = nullptr;  // nullptr: this rule chooses no model
  const Model* model = nullptr;
};

// What is done when the chosen model cannot be reached, and what is allowed. One for each policy that can apply.
struct CompiledPolicy {
  const Policy* policy = nullptr;
  const StaticAnswer* static_answer = nullptr;
  std::span<const Answer* const> fallbacks;
  // Theirs, in the same order, so that a decision need not look into the answers.
  std::span<const Model* const> models;
  // For each of the fallbacks the list without it, one after the other.
  std::span<const Answer* const> others;

  // A model that could not be reached is not tried again.
  std::span<const Answer* const> FallbacksOf(const Model* chosen) const {
    for (size_t i = 0; i < models.size(); ++i) {
      if (models[i] == chosen) return others.subspan(i * (models.size() - 1), models.size() - 1);
    }
    return fallbacks;
  }
};

struct CompiledOverride {
  const TextTable* tenants = nullptr;  // nullptr: none
  const TextTable* users = nullptr;
  // By model id: index in `choices`.
  const TextTable* models = nullptr;
  std::span<const Choice> choices;
  const v1::Override* rule = nullptr;
};

struct CompiledContextRule {
  const Condition* condition = nullptr;  // here and below, nullptr: it always holds
  Choice choice;
  const CompiledPolicy* policy = nullptr;  // nullptr: it says nothing of it
  const Overlay* overlay = nullptr;        // its parameters; nullptr: none
  const v1::ContextRule* rule = nullptr;
};

struct CompiledLayer {
  Draw draw;
  const v1::Layer* rule = nullptr;  // nullptr: that of the experiments that name none, which nothing is drawn for
};

struct CompiledHoldout {
  const Condition* condition = nullptr;
  Draw draw;
  uint32_t share_ppm = 0;  // held out are the buckets below
  const v1::Holdout* rule = nullptr;
};

// Of the cells of an experiment a request meets one at most: they lie apart from the rules, and are fetched when they
// are chosen.
struct alignas(64) CompiledCell {
  std::string_view name;
  Choice choice;  // none: the cell leaves the model to the shifts and the default
  // Of a cell without a model: its parameters and its place in `cells`; the second says as well that it is the
  // request's experiment.
  const Overlay* overlay = nullptr;
  const Overlay* main_overlay = nullptr;
  // Of a cell with a model: those of its parameters that another rule's overlay may set as well; they are laid over it,
  // but not where a fallback or a shadow is asked (Overlay::is_of_choosing_cell). nullptr: none.
  const Overlay* over_others = nullptr;
  const v1::Cell* rule = nullptr;
};

struct CompiledRemote {
  std::string_view platform;
  std::string_view flag;
  uint32_t ttl_ms = 0;
  uint32_t deadline_ms = 0;
  v1::RemoteAllocation::Fallback fallback = v1::RemoteAllocation::HASH;
  uint32_t fallback_cell = 0;  // index
};

struct CompiledExperiment {
  const Condition* condition = nullptr;
  uint8_t layer = 0;           // index in Objective::layers
  uint8_t unit = 0;            // index in Objective::units
  bool chooses_model = false;  // any of its cells has a model
  bool each_cell_has_model = false;
  bool has_layer_range = false;  // else every unit of the layer
  bool is_scheduled = false;     // has a start or an end
  // Everybody, or the cells' ranges leave room for those who take no part (GrowthBook's coverage).
  bool takes_everybody = false;
  uint32_t holdouts = 0;        // bits: indexes in Objective::holdouts
  BucketRange layer_range;      // of the layer's draw
  uint32_t allocation_end = 0;  // of the allocation's draw: those below take part
  Draw allocation;
  Draw cell;
  std::span<const BucketRange> ranges;  // of the cells, in the cells' draw
  std::span<const CompiledCell> cells;
  int64_t start_unix_ms = 0;
  int64_t end_unix_ms = 0;                 // 0: open on that side
  const TextTable* forced = nullptr;       // unit -> index of its cell; nullptr: none
  const CompiledRemote* remote = nullptr;  // nullptr: it is not remote
  std::string_view id;
  const v1::Experiment* rule = nullptr;
};

struct CompiledShift {
  const Condition* condition = nullptr;
  Draw draw;
  TrafficRamp ramp;
  // False where the Objective's default model is not the one that the rule shifts from.
  bool applies = true;
  Choice choice;
  const v1::TrafficShift* rule = nullptr;
};

struct CompiledShadow {
  const Condition* condition = nullptr;
  Draw draw;  // of the request's random number, not of a unit
  uint32_t share_ppm = 0;
  const Shadow* shadow = nullptr;
  const v1::Shadow* rule = nullptr;
};

struct alignas(64) Objective {
  std::string_view name;
  uint32_t bytes = 0;  // from here on its rules lie side by side
  // In order of declaration.
  std::span<const CompiledOverride> overrides;
  std::span<const CompiledContextRule> context_rules;
  // In the order in which they are asked: by priority, then by declaration.
  std::span<const CompiledExperiment> experiments;
  std::span<const CompiledShift> shifts;
  std::span<const CompiledShadow> shadows;
  Choice default_choice;
  const CompiledPolicy* policy = nullptr;

  std::span<const Unit> units;
  std::span<const CompiledLayer> layers;
  std::span<const CompiledHoldout> holdouts;
  bool has_forced_cells = false;
  bool has_remote = false;  // experiments with remote allocation
  // What is left of kObjectiveConfigBytesMax for cells that callers or testers chose, when all else that can meet does.
  size_t chosen_cells_bytes_max = 0;

  const v1::Objective* rule = nullptr;
  const v1::PublishedRuleSet* rule_set = nullptr;
};

}  // namespace signalbox::decide
