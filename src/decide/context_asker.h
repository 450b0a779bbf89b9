// The answers of a request to the questions of a walk (walk.h). Allocation-free.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "decide/objective.h"
#include "decide/request_context.h"
#include "decide/walk.h"

namespace signalbox::decide {

// What the rules of `objective` allow of what the context asks for.
CallersChoice FindOverride(const Objective& objective, const RequestContext& context);

// Index of the cell of `experiment` that `cells` names, or kNoCell.
int32_t FindCell(const CompiledExperiment& experiment, std::span<const CellName> cells);

class ContextAsker {
 public:
  ContextAsker(const Objective& objective, const RequestContext& context) : objective_(objective), context_(context) {}

  // Without initial values: those that are not drawn cost nothing.
  struct Bucket {
    uint32_t value;
    bool In(uint32_t begin, uint32_t end) const { return value >= begin && value < end; }
  };

  int64_t now_unix_ms() const { return context_.now_unix_ms; }

  // Rules that follow each other have often the same condition, which is kept once.
  bool Holds(const Condition* condition) {
    if (condition == nullptr) return true;
    if (condition != asked_) {
      asked_ = condition;
      asked_holds_ = decide::Holds(*condition, context_, notes_);
    }
    return asked_holds_;
  }

  bool HasUnit(uint8_t unit) { return !UnitValue(unit).empty(); }

  Bucket Draw(const decide::Draw& draw) { return {decide::Bucket(draw, UnitValue(draw.unit))}; }

  Bucket DrawRequest(const decide::Draw& draw) const {
    const std::array<char, sizeof(context_.random)> bytes = LittleEndian(context_.random);
    return {decide::Bucket(draw.seed, {bytes.data(), bytes.size()})};
  }

  CallersChoice Override() const {
    if (context_.override_model.empty() && context_.override_cells.empty()) return {};
    return FindOverride(objective_, context_);
  }
  int32_t OverrideCell(const CompiledExperiment& experiment) const {
    return FindCell(experiment, context_.override_cells);
  }
  int32_t ForcedCell(const CompiledExperiment& experiment) {
    const std::string_view unit = UnitValue(experiment.unit);
    if (unit.empty()) return kNoCell;
    const auto cell = experiment.forced->Find(unit);
    return cell.has_value() ? static_cast<int32_t>(*cell) : kNoCell;
  }
  int32_t RemoteCell(const CompiledExperiment& experiment) const { return FindCell(experiment, context_.remote_cells); }
  bool IsShadow() const { return context_.traffic_type == TrafficType::kShadow; }

  // Nobody listens.
  void On(const CompiledOverride*, const CallersChoice&) {}
  void On(const CompiledContextRule&, Outcome) {}
  void On(const CompiledExperiment&, const ExperimentStep&) {}
  void On(const CompiledShift&, Outcome) {}
  void On(const CompiledShadow&, Outcome) {}
  void OnDefault(Outcome) {}

  // Empty when the request does not have it.
  std::string_view UnitValue(uint8_t unit) {
    if ((units_known_ >> unit & 1) == 0) {
      units_known_ |= 1U << unit;
      const std::string_view value = FindUnit(objective_.units[unit]);
      units_[unit] = {.text = value.data(), .bytes = value.size()};
    }
    return {units_[unit].text, units_[unit].bytes};
  }

  // Of Note: what the conditions met.
  uint32_t notes() const { return notes_; }
  const RequestContext& context() const { return context_; }

 private:
  static std::array<char, 8> LittleEndian(uint64_t value) {
    std::array<char, 8> bytes;
    for (char& byte : bytes) {
      byte = static_cast<char>(value);
      value >>= 8;
    }
    return bytes;
  }

  std::string_view FindUnit(const Unit& unit) const {
    for (const Field& field : unit.fields) {
      if (const std::string_view value = ValueOf(context_, field); !value.empty()) return value;
    }
    return {};
  }

  const Objective& objective_;
  const RequestContext& context_;
  uint32_t notes_ = kNoNote;
  const Condition* asked_ = nullptr;
  bool asked_holds_ = false;
  uint32_t units_known_ = 0;
  // Not initialised: those that are known.
  struct UnitText {
    const char* text;
    size_t bytes;
  };
  std::array<UnitText, kUnitsMax> units_;
};

}  // namespace signalbox::decide
