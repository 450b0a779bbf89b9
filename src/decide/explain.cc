#include "decide/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "decide/bucket.h"
#include "decide/condition_text.h"
#include "decide/context_asker.h"
#include "decide/objective.h"
#include "decide/walk.h"

namespace signalbox::decide {
namespace {

// Of what a client wrote, in a message.
constexpr size_t kShownBytesMax = 80;
constexpr size_t kObjectivesShownMax = 20;
constexpr size_t kFieldsShownMax = 5;

std::string Place(const v1::SourceLocation& source) {
  if (source.file().empty()) return "";
  return fmt::format("{}:{}:{}", source.file(), source.line(), source.column());
}

// "12.5 %". Exact: a bucket is a ten-thousandth of a percent.
std::string Percent(uint32_t ppm) {
  std::string digits = fmt::format("{}.{:04}", ppm / 10'000, ppm % 10'000);
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.back() == '.') digits.pop_back();
  return digits + " %";
}

// "the first 40 %", "everybody".
std::string First(uint32_t share_ppm) {
  if (share_ppm == 0) return "nobody";
  return share_ppm == kBuckets ? "everybody" : fmt::format("the first {}", Percent(share_ppm));
}

// "the first 40 % are", "everybody is".
std::string FirstAre(uint32_t share_ppm) {
  return First(share_ppm) + (share_ppm == 0 || share_ppm == kBuckets ? " is" : " are");
}

std::string Shown(std::string_view text) {
  if (text.size() <= kShownBytesMax) return fmt::format("\"{}\"", text);
  size_t end = kShownBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
  return fmt::format("\"{}...\"", text.substr(0, end));
}

// Answers as the request does, and writes down what comes of it.
class Steps : public ContextAsker {
 public:
  Steps(const Objective& objective, const RequestContext& context)
      : ContextAsker(objective, context), objective_(objective) {}

  std::vector<Step> Take() { return std::move(steps_); }

  void On(const CompiledOverride* rule, const CallersChoice& choice) {
    if (rule == nullptr && !choice.is_refused) {
      for (const CompiledOverride& each : objective_.overrides) AddOverride(each).why = "the request asks for none";
      return;
    }
    for (const CompiledOverride& each : objective_.overrides) {
      Step& step = AddOverride(each);
      if (&each != rule) {
        Pass(step, rule == nullptr ? "does not allow this caller what it asks for" : "another one counts");
      } else if (choice.model != nullptr) {
        TakeModel(step, choice.model->model, "the caller may choose it and did");
      } else {
        step.outcome = StepOutcome::kTaken;
        step.why = "the caller may choose its cells and did";
      }
      if (&each == rule && choice.is_refused) step.why += ", but asks for a cell that does not exist";
    }
  }

  void On(const CompiledContextRule& rule, Outcome outcome) {
    Step& step = Add(StepKind::kContextRule, "context rule", rule.rule->id(), rule.rule->source());
    if (outcome == Outcome::kConditionFails) return Pass(step, WhyNot(rule.condition));
    std::vector<std::string> gives;
    if (outcome == Outcome::kTaken && rule.choice.answer != nullptr) gives.push_back(rule.choice.model->id);
    if (rule.policy != nullptr) gives.push_back("policy " + rule.rule->policy());
    if (rule.overlay != nullptr) gives.emplace_back("parameters");
    const std::string holds = rule.condition == nullptr ? "holds always" : Holding(*rule.condition);
    if (outcome == Outcome::kModelIsNotNeeded)
      return Finish(step, gives,
                    fmt::format("{}; the model is chosen, {} is not needed", holds, rule.choice.model->id));
    Finish(step, gives, holds);
  }

  void On(const CompiledExperiment& experiment, const ExperimentStep& taken) {
    Step& step = Add(StepKind::kExperiment, "experiment", experiment.id, experiment.rule->source());
    switch (taken.outcome) {
      case Outcome::kTaken:
        return TakeExperiment(step, experiment, taken);
      case Outcome::kModelIsChosen:
        step.why = "the model is chosen";
        return;
      case Outcome::kLayerIsTaken:
        step.why = fmt::format("another experiment has the {}: {}", UnitName(experiment.unit), taken.other->id);
        if (!experiment.rule->layer().empty()) step.why += fmt::format(", in layer {}", experiment.rule->layer());
        return;
      case Outcome::kOtherModelExperiment:
        step.why =
            fmt::format("another experiment with models has the {}: {}", UnitName(experiment.unit), taken.other->id);
        return;
      case Outcome::kNoUnit:
        step.why = fmt::format("the request has no {}", UnitName(experiment.unit));
        return;
      case Outcome::kNotRunning:
        return Pass(step, WhyNotRunning(*experiment.rule));
      case Outcome::kHeldOut:
        return Pass(step, fmt::format("holdout {} has the {}, which falls at {}, {} held out",
                                      taken.holdout->rule->id(), UnitName(taken.holdout->draw.unit),
                                      Position(taken.holdout->draw), FirstAre(taken.holdout->share_ppm)));
      case Outcome::kOutsideLayerRange:
        return Pass(
            step, fmt::format("in layer {} the {} falls at {}, it has {} to {}", experiment.rule->layer(),
                              UnitName(experiment.unit), Position(objective_.layers[experiment.layer].draw),
                              Percent(experiment.rule->layer_begin_ppm()), Percent(experiment.rule->layer_end_ppm())));
      case Outcome::kNotAllocated:
        return Pass(step, Allocated(experiment));
      case Outcome::kFallbackIsNoPart:
        return Pass(step,
                    fmt::format("platform {} gave no cell, and then nobody takes part", experiment.remote->platform));
      default:
        return Pass(step, WhyNot(experiment.condition));
    }
  }

  void On(const CompiledShift& shift, Outcome outcome) {
    Step& step = Add(StepKind::kTrafficShift, "traffic shift", shift.rule->id(), shift.rule->source());
    if (outcome == Outcome::kModelIsChosen) {
      step.why = "the model is chosen";
    } else if (outcome == Outcome::kNoUnit) {
      step.why = fmt::format("the request has no {}", UnitName(shift.draw.unit));
    } else if (outcome == Outcome::kOtherModel) {
      Pass(step, "shifts from a model that is not the default model here");
    } else if (outcome == Outcome::kConditionFails) {
      Pass(step, WhyNot(shift.condition));
    } else {
      const std::string position = fmt::format("the {} falls at {}, {} is shifted", UnitName(shift.draw.unit),
                                               Position(shift.draw), First(shift.ramp.ShareAt(now_unix_ms())));
      if (outcome == Outcome::kTaken) return TakeModel(step, shift.choice.model, position);
      Pass(step, position);
    }
  }

  void OnDefault(Outcome outcome) {
    const Model* model = objective_.default_choice.model;
    Step& step = steps_.emplace_back();
    step.rule = "default model";
    step.place = Place(objective_.rule->source());
    if (outcome == Outcome::kTaken) return TakeModel(step, model, "");
    step.why = fmt::format("the model is chosen, {} is not needed", model->id);
  }

  void On(const CompiledShadow& shadow, Outcome outcome) {
    Step& step = Add(StepKind::kShadow, "shadow", shadow.rule->id(), shadow.rule->source());
    if (outcome == Outcome::kConditionFails) return Pass(step, WhyNot(shadow.condition));
    const std::string position = fmt::format("the request falls at {}, {} copied",
                                             Percent(DrawRequest(shadow.draw).value), FirstAre(shadow.share_ppm));
    if (outcome == Outcome::kNotAllocated) return Pass(step, position);
    step.outcome = StepOutcome::kTaken;
    step.why = fmt::format("copies to {}: {}", shadow.shadow->answer->model->id, position);
  }

 private:
  Step& AddOverride(const CompiledOverride& rule) {
    return Add(StepKind::kOverride, "override", rule.rule->id(), rule.rule->source());
  }

  Step& Add(StepKind kind, std::string_view what, std::string_view id, const v1::SourceLocation& source) {
    steps_.push_back({.kind = kind, .rule = fmt::format("{} {}", what, id), .place = Place(source), .why = {}});
    return steps_.back();
  }

  static void Pass(Step& step, std::string why) {
    step.outcome = StepOutcome::kPassed;
    step.why = std::move(why);
  }

  static void TakeModel(Step& step, const Model* model, const std::string& why) {
    step.outcome = StepOutcome::kTaken;
    step.why = fmt::format("gives {}{}{}", model->id, why.empty() ? "" : ": ", why);
  }

  static void Finish(Step& step, const std::vector<std::string>& gives, const std::string& why) {
    step.outcome = gives.empty() ? StepOutcome::kPassed : StepOutcome::kTaken;
    step.why = gives.empty() ? why : fmt::format("gives {}: {}", fmt::join(gives, ", "), why);
  }

  void TakeExperiment(Step& step, const CompiledExperiment& experiment, const ExperimentStep& taken) {
    const std::string how = How(experiment, taken);
    step.outcome = StepOutcome::kTaken;
    step.why = taken.cell->choice.answer != nullptr
                   ? fmt::format("cell {} gives {}: {}", taken.cell->name, taken.cell->choice.model->id, how)
                   : fmt::format("cell {} leaves the model to the rules below: {}", taken.cell->name, how);
  }

  std::string How(const CompiledExperiment& experiment, const ExperimentStep& taken) {
    switch (taken.allocation) {
      case Allocation::kForced:
        return fmt::format("the rules force this {} into it", UnitName(experiment.unit));
      case Allocation::kOverride:
        return "the caller chose it";
      case Allocation::kRemote:
        return fmt::format("platform {} gave it", experiment.remote->platform);
      case Allocation::kFallback:
        return fmt::format("platform {} gave no cell of it; {}", experiment.remote->platform,
                           experiment.remote->fallback == v1::RemoteAllocation::CELL ? "its fallback is this one"
                                                                                     : AmongCells(experiment, taken));
      case Allocation::kHash:
        break;
    }
    return AmongCells(experiment, taken);
  }

  std::string AmongCells(const CompiledExperiment& experiment, const ExperimentStep& taken) {
    const auto index = static_cast<size_t>(taken.cell - experiment.cells.data());
    const uint32_t scale = kBuckets / BucketCount(experiment.cell.hash);
    return fmt::format("{}; among the cells at {}, cell {} has {} to {}", Allocated(experiment),
                       Position(experiment.cell), taken.cell->name, Percent(experiment.ranges[index].begin * scale),
                       Percent(experiment.ranges[index].end * scale));
  }

  std::string Allocated(const CompiledExperiment& experiment) {
    if (experiment.cell.hash != HashVersion::kSignalbox) {
      return fmt::format("by GrowthBook's hash the {} falls at {}, {} of each cell take part",
                         UnitName(experiment.unit), Position(experiment.cell), First(experiment.allocation_end));
    }
    if (experiment.takes_everybody) return "everybody takes part";
    return fmt::format("the {} falls at {}, {} take part", UnitName(experiment.unit), Position(experiment.allocation),
                       First(experiment.allocation_end));
  }

  std::string Position(const decide::Draw& draw) {
    return Percent(Draw(draw).value * (kBuckets / BucketCount(draw.hash)));
  }

  // "user", "account or device_id".
  std::string UnitName(uint8_t unit) const {
    std::vector<std::string_view> names;
    for (const Field& field : objective_.units[unit].fields) names.push_back(field.name);
    return fmt::format("{}", fmt::join(names, " or "));
  }

  std::string WhyNotRunning(const v1::Experiment& rule) const {
    const int64_t now = now_unix_ms();
    if (now == 0) return "it runs at certain times, and the request has no time";
    return now < rule.start_unix_ms() ? "it has not started" : "it has ended";
  }

  static std::string Holding(const Condition& condition) { return ConditionText(*condition.proto) + " holds"; }

  std::string WhyNot(const Condition* condition) const {
    std::vector<std::string> values;
    for (const std::string_view field : FieldsOf(*condition->proto)) {
      if (values.size() == kFieldsShownMax) break;
      const std::string_view value = ValueOf(context(), ParseField(field), field);
      values.push_back(value.empty() ? fmt::format("no {}", field) : fmt::format("{} {}", field, Shown(value)));
    }
    return fmt::format("{} does not hold{}{}", ConditionText(*condition->proto),
                       values.empty() ? "" : ": the request has ", fmt::join(values, ", "));
  }

  const Objective& objective_;
  std::vector<Step> steps_;
};

// The text form.
class Page {
 public:
  std::string Write(const Snapshot& snapshot, const RequestContext& context) {
    const Explanation explanation = ExplainSteps(snapshot, context);
    if (explanation.decision.answer == nullptr) {
      Line("{}", WhyNoAnswer(snapshot, context.objective));
      WriteObjectives(snapshot);
    } else {
      WriteHead(explanation, context);
      WriteSteps(explanation);
      has_placement_ = !snapshot.shards().empty();
      WriteDecision(explanation.decision);
    }
    Row("snapshot", snapshot.version() == 0 ? fmt::format("{} (from files)", snapshot.hash())
                                            : fmt::format("{}, version {}", snapshot.hash(), snapshot.version()));
    return std::move(text_);
  }

 private:
  template <typename... Arguments>
  void Line(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Arguments>(arguments)...);
    text_.push_back('\n');
  }
  void Row(std::string_view name, std::string_view value) { Line("{:<13}{}", name, value); }

  void WriteObjectives(const Snapshot& snapshot) {
    const std::vector<std::string_view> names = snapshot.ObjectiveNames();
    const size_t shown = std::min(names.size(), kObjectivesShownMax);
    std::string list = fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<ptrdiff_t>(shown), ", "));
    if (shown < names.size()) list += fmt::format(" and {} more", names.size() - shown);
    Row("Objectives", names.empty() ? "none" : list);
  }

  void WriteHead(const Explanation& explanation, const RequestContext& context) {
    Row("Objective", explanation.decision.answer->objective);
    std::string rules = fmt::format("namespace {}", explanation.namespace_name);
    if (explanation.rule_set_version != 0) rules += fmt::format(", version {}", explanation.rule_set_version);
    if (!explanation.place.empty()) rules += fmt::format(", {}", explanation.place);
    Row("rules", rules);
    Row("user", context.user.empty() ? "none" : context.user);
    text_.push_back('\n');
  }

  void WriteSteps(const Explanation& explanation) {
    size_t rule_width = 0;
    size_t place_width = 0;
    for (const Step& step : explanation.steps) {
      rule_width = std::max(rule_width, step.rule.size());
      place_width = std::max(place_width, step.place.size());
    }
    for (const Step& step : explanation.steps) {
      static constexpr std::array<std::string_view, 3> kMarks = {"TAKEN", "no", "-"};
      std::string line =
          fmt::format("  {:<7}{:<{}}  ", kMarks[static_cast<size_t>(step.outcome)], step.rule, rule_width);
      if (place_width > 0) line += fmt::format("{:<{}}  ", step.place, place_width);
      Line("{}{}", line, step.why);
    }
    text_.push_back('\n');
  }

  void WriteDecision(const Decision& decision) {
    const Answer& answer = *decision.answer;
    Row("model", answer.model->id);
    Row("reason", answer.reason == Reason::kExperiment
                      ? fmt::format("{}: {}, cell {}", Name(answer.reason), answer.experiment, answer.cell)
                      : std::string(Name(answer.reason)));
    Row("routing key", answer.model->routing_key);
    Row("placement", Placement(*answer.model));
    size_t number = 0;
    for (const Answer* fallback : decision.fallbacks) {
      const std::string where = has_placement_ ? ", " + Placement(*fallback->model) : "";
      Row(fmt::format("fallback {}", ++number),
          fmt::format("{}, {}{}", fallback->model->id, fallback->model->routing_key, where));
    }
    if (decision.fallbacks.empty()) Row("fallbacks", "none");
    if (decision.static_answer != nullptr)
      Row("at the end", fmt::format("a static answer of {} bytes", decision.static_answer->message.size()));
    WriteMore(decision);
  }

  // What most requests do not have.
  void WriteMore(const Decision& decision) {
    for (const Answer::Member& member : decision.answer->members)
      Row("member", fmt::format("{}, {}", member.answer->model->id, Placement(*member.answer->model)));
    std::vector<std::string> cells;
    for (const Enrolment& each : decision.enrolments) cells.push_back(fmt::format("{}={}", each.experiment, each.cell));
    if (cells.size() > 1 || (!cells.empty() && decision.answer->experiment.empty()))
      Row("cells", fmt::format("{}", fmt::join(cells, " ")));
    if (decision.policy != nullptr) Row("policy", decision.policy->name);
    for (const Shadow* shadow : decision.shadows)
      Row("shadow", fmt::format("{}, to {}", shadow->id, shadow->answer->model->id));
    if (!decision.override_rule.empty()) Row("override", decision.override_rule);
    for (size_t i = 0; i < kNoteNames.size(); ++i) {
      if ((decision.notes >> i & 1) != 0) Row("note", kNoteNames[i]);
    }
  }

  std::string Placement(const Model& model) const {
    if (!has_placement_) return "not known: the snapshot has none";
    if (model.shards.empty()) return "not placed on any shard";
    std::vector<std::string> shards;
    for (const Shard* shard : model.shards)
      shards.push_back(fmt::format("shard {} at {}", shard->name, fmt::join(shard->hosts, ", ")));
    return fmt::format("{}", fmt::join(shards, "; "));
  }

  std::string text_;
  bool has_placement_ = false;
};

}  // namespace

std::string_view Name(StepOutcome outcome) {
  static constexpr std::array<std::string_view, 3> kNames = {"taken", "passed", "not_asked"};
  return kNames[static_cast<size_t>(outcome)];
}

std::string_view Name(StepKind kind) {
  static constexpr std::array<std::string_view, 6> kNames = {"override",      "context_rule", "experiment",
                                                             "traffic_shift", "default",      "shadow"};
  return kNames[static_cast<size_t>(kind)];
}

Explanation ExplainSteps(const Snapshot& snapshot, const RequestContext& context) {
  Explanation explanation;
  const Objective* objective = snapshot.FindObjective(context.objective);
  if (objective == nullptr) return explanation;
  explanation.place = Place(objective->rule->source());
  explanation.namespace_name = objective->rule_set->rule_set().namespace_();
  explanation.rule_set_version = objective->rule_set->version();
  Steps steps(*objective, context);
  explanation.decision = Walk(*objective, steps);
  explanation.decision.notes |= steps.notes();
  explanation.steps = steps.Take();
  return explanation;
}

std::string WhyNoAnswer(const Snapshot& snapshot, std::string_view objective) {
  if (objective.empty()) return "the request names no Objective";
  if (snapshot.NamesModel(objective)) {
    return fmt::format("{} is a model, not an Objective: clients name Objectives, and rules choose the model",
                       Shown(objective));
  }
  return fmt::format("unknown Objective {}", Shown(objective));
}

std::string Explain(const Snapshot& snapshot, const RequestContext& context) { return Page().Write(snapshot, context); }

}  // namespace signalbox::decide
