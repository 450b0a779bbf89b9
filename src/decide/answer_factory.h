// Makes models, answers and overlays: everything that a decision leads to, with the bytes that carry it. Private to
// src/decide; part of compiling a snapshot.
#pragma once

#include <memory_resource>
#include <string>
#include <vector>

#include "base/string_map.h"
#include "decide/problems.h"
#include "decide/rule_checks.h"
#include "decide/snapshot.h"
#include "signalbox/v1/objective_config.pb.h"

namespace signalbox::decide {

class AnswerFactory {
 public:
  AnswerFactory(Snapshot& snapshot, const StringMap<const Shard*>& shards) : snapshot_(snapshot), shards_(shards) {}

  struct Because {
    Reason reason = Reason::kDefault;
    const v1::Experiment* experiment = nullptr;
    const v1::Cell* cell = nullptr;
  };
  // `named` is where ensembles are looked up.
  const Answer* MakeAnswer(const v1::Objective& objective, const v1::ModelRef& ref, const NamedRules& named,
                           const Because& because);
  const Overlay* MakeOverlay(const v1::ObjectiveConfig& config) { return MakeOverlay(config, false); }
  // Of a cell with a model: Overlay::is_of_choosing_cell.
  const Overlay* MakeOverlayOfChoosingCell(const v1::ObjectiveConfig& config) { return MakeOverlay(config, true); }
  // Two: that of `config`, and that of `config` with `more` behind it. They share their texts.
  struct Pair {
    const Overlay* without = nullptr;
    const Overlay* with = nullptr;
  };
  Pair MakeOverlays(const v1::ObjectiveConfig& config, const v1::ObjectiveConfig& more);

 private:
  const Overlay* MakeOverlay(const v1::ObjectiveConfig& config, bool is_of_choosing_cell);
  Overlay* AddOverlay(std::string_view objective_config, std::string_view open_inference_suffix);
  const Model* FindOrMakeModel(const v1::ModelRef& ref);
  std::vector<const Shard*> ShardsOf(const std::string& id, const std::string& name) const;
  std::string_view Keep(std::string_view text);

  Snapshot& snapshot_;
  const StringMap<const Shard*>& shards_;
};

}  // namespace signalbox::decide
