// The walk of a decision (decide/walk.h) along every path that requests can take, instead of along one request's.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "decide/objective.h"
#include "decide/walk.h"
#include "effect/context_space.h"
#include "effect/exploration.h"
#include "effect/possible_condition.h"
#include "signalbox/v1/rules.pb.h"

namespace signalbox::effect {

// All that the rules of `objective` ask of a request's context.
void AddQuestions(const decide::Objective& objective, ContextSpace& space);

// What tells a draw from others, in whichever rules it stands.
std::string DrawId(const decide::Draw& draw);

// Draws by GrowthBook's hash 1, where there are two or more: they are taken modulo 1000 of a hash that keeps the
// difference of two seeds, so that they are not independent of one another. By DrawId; empty: there are none, or one.
std::set<std::string> DependentDraws(const std::vector<const decide::Objective*>& objectives);

// What `objective` decides on the path that `exploration` is on. Callers that override are not looked at: what they get
// is what they ask for; nor are requests that are shadows themselves.
class PossibleWalk {
 public:
  PossibleWalk(const decide::Objective& objective, int64_t now_unix_ms, Exploration& exploration);

  decide::Decision Walk();
  // From the next walk on.
  void SetTime(int64_t now_unix_ms) { condition_.SetTime(now_unix_ms); }

  // Of the last walk. Shadows whatever is drawn for them; and the rules that gave something, as the addresses of their
  // messages in the snapshot.
  const std::vector<const decide::CompiledShadow*>& shadows() const { return shadows_; }
  const std::vector<const void*>& hits() const { return hits_; }
  // Experiments that were passed by because another one with models applies: it, and that one.
  using Competing = std::vector<std::pair<const v1::Experiment*, const v1::Experiment*>>;
  const Competing& competing() const { return competing_; }

  // For the walk.
  struct Bucket {
    PossibleWalk* walk = nullptr;
    const decide::Draw* draw = nullptr;  // nullptr: the request's, which is taken to fall anywhere
    bool In(uint32_t begin, uint32_t end) const;
  };
  int64_t now_unix_ms() const { return condition_.now_unix_ms(); }
  bool Holds(const decide::Condition* condition);
  bool HasUnit(uint8_t unit) { return UnitField(unit).has_value(); }
  Bucket Draw(const decide::Draw& draw) { return {this, &draw}; }
  Bucket DrawRequest(const decide::Draw&) { return {this, nullptr}; }
  decide::CallersChoice Override() { return {}; }
  int32_t OverrideCell(const decide::CompiledExperiment&) { return decide::kNoCell; }
  int32_t ForcedCell(const decide::CompiledExperiment& experiment);
  int32_t RemoteCell(const decide::CompiledExperiment& experiment);
  bool IsShadow() { return false; }
  void On(const decide::CompiledOverride*, const decide::CallersChoice&) {}
  void On(const decide::CompiledContextRule& rule, decide::Outcome outcome);
  void On(const decide::CompiledExperiment& experiment, const decide::ExperimentStep& step);
  void On(const decide::CompiledShift& shift, decide::Outcome outcome);
  void OnDefault(decide::Outcome outcome);
  void On(const decide::CompiledShadow& shadow, decide::Outcome outcome);

 private:
  struct ForcedTest {
    int32_t cell = 0;
    std::vector<v1::FieldTest> by_unit_field;  // in the order of the unit's fields
  };

  std::optional<size_t> UnitField(uint8_t unit);

  const decide::Objective& objective_;
  Exploration& exploration_;
  PossibleCondition condition_;
  // By unit of the Objective: names of its fields.
  std::vector<std::vector<std::string>> units_;
  // By experiment, as in the Objective.
  std::vector<std::vector<ForcedTest>> forced_;
  std::vector<const decide::CompiledShadow*> shadows_;
  std::vector<const void*> hits_;
  Competing competing_;
};

}  // namespace signalbox::effect
