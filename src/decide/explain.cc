#include "decide/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "decide/bucket.h"
#include "decide/objective.h"

namespace signalbox::decide {
namespace {

// Of what a client wrote, in a message.
constexpr size_t kShownBytesMax = 80;
constexpr size_t kObjectivesShownMax = 20;

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

std::string Shown(std::string_view text) {
  if (text.size() <= kShownBytesMax) return fmt::format("\"{}\"", text);
  size_t end = kShownBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
  return fmt::format("\"{}...\"", text.substr(0, end));
}

// Follows the same steps as Decide (decide.cc) and writes each of them down. A test holds the two together.
class Steps {
 public:
  Steps(const Objective& objective, std::string_view user) : objective_(objective), user_(user) {}

  std::vector<Step> Take() {
    for (const CompiledExperiment& experiment : objective_.experiments) AddExperiment(experiment);
    for (size_t i = 0; i < objective_.shifts.size(); ++i) {
      const CompiledShift& shift = objective_.shifts[i];
      const bool leaves_the_model = cell_ != nullptr && !cell_->rule->has_model();
      AddShift(shift, leaves_the_model ? cell_->with_shift[i] : shift.choice);
    }
    AddDefault();
    return std::move(steps_);
  }

  const Choice& taken() const { return *taken_; }

 private:
  void AddExperiment(const CompiledExperiment& experiment) {
    const v1::Experiment& rule = *experiment.rule;
    Step& step = Add(Reason::kExperiment, fmt::format("experiment {}", rule.id()), Place(rule.source()));
    if (!IsAsked(step)) return;
    if (cell_ != nullptr) {
      step.why = "another experiment has the user";
      return;
    }
    const uint32_t allocation = Bucket(experiment.allocation_seed, user_);
    const std::string position =
        experiment.allocation_ppm == kBuckets
            ? "everybody takes part"
            : fmt::format("the user falls at {}, {} take part", Percent(allocation), First(experiment.allocation_ppm));
    if (allocation >= experiment.allocation_ppm) return Pass(step, position);
    const uint32_t bucket = Bucket(experiment.cell_seed, user_);
    const auto cell = std::find_if(experiment.cells.begin(), experiment.cells.end(),
                                   [&](const CompiledCell& each) { return bucket < each.bucket_end; });
    const uint32_t begin = cell == experiment.cells.begin() ? 0 : std::prev(cell)->bucket_end;
    cell_ = &*cell;
    const std::string where = fmt::format("{}; among the cells at {}, cell {} has {} to {}", position, Percent(bucket),
                                          cell->rule->name(), Percent(begin), Percent(cell->bucket_end));
    if (cell->rule->has_model()) {
      return TakeChoice(step, cell->choice,
                        fmt::format("cell {} gives {}: {}", cell->rule->name(), cell->choice.answer->model->id, where));
    }
    step.outcome = StepOutcome::kTaken;
    step.why = fmt::format("cell {} leaves the model to the rules below: {}", cell->rule->name(), where);
  }

  void AddShift(const CompiledShift& shift, const Choice& choice) {
    const v1::TrafficShift& rule = *shift.rule;
    Step& step = Add(Reason::kTrafficShift, fmt::format("traffic shift {}", rule.id()), Place(rule.source()));
    if (!IsAsked(step)) return;
    if (!shift.applies) return Pass(step, "shifts from a model that is not the default model here");
    const uint32_t bucket = Bucket(shift.seed, user_);
    const std::string position =
        fmt::format("the user falls at {}, {} is shifted", Percent(bucket), First(shift.share_ppm));
    if (bucket >= shift.share_ppm) return Pass(step, position);
    TakeChoice(step, choice, fmt::format("gives {}: {}", choice.answer->model->id, position));
  }

  void AddDefault() {
    const std::string& model = objective_.default_choice.answer->model->id;
    Step& step = Add(Reason::kDefault, "default model", Place(objective_.rule->source()));
    if (taken_ == nullptr) {
      return TakeChoice(step, cell_ != nullptr ? cell_->choice : objective_.default_choice,
                        fmt::format("gives {}", model));
    }
    step.why = fmt::format("the model is chosen, {} is not needed", model);
  }

  Step& Add(Reason kind, std::string rule, std::string place) {
    steps_.push_back({.kind = kind, .rule = std::move(rule), .place = std::move(place), .why = {}});
    return steps_.back();
  }

  bool IsAsked(Step& step) {
    if (user_.empty()) {
      step.why = "the request has no user";
    } else if (taken_ != nullptr) {
      step.why = "the model is chosen";
    } else {
      return true;
    }
    return false;
  }

  static void Pass(Step& step, std::string why) {
    step.outcome = StepOutcome::kPassed;
    step.why = std::move(why);
  }

  void TakeChoice(Step& step, const Choice& choice, std::string why) {
    step.outcome = StepOutcome::kTaken;
    step.why = std::move(why);
    taken_ = &choice;
  }

  const Objective& objective_;
  const std::string_view user_;
  std::vector<Step> steps_;
  const CompiledCell* cell_ = nullptr;
  const Choice* taken_ = nullptr;
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
    Row("user", context.user.empty() ? "none, so no experiment and no traffic shift is asked" : context.user);
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

Explanation ExplainSteps(const Snapshot& snapshot, const RequestContext& context) {
  Explanation explanation;
  const Objective* objective = snapshot.FindObjective(context.objective);
  if (objective == nullptr) return explanation;
  explanation.place = Place(objective->rule->source());
  explanation.namespace_name = objective->rule_set->rule_set().namespace_();
  explanation.rule_set_version = objective->rule_set->version();
  Steps steps(*objective, context.user);
  explanation.steps = steps.Take();
  explanation.decision.answer = steps.taken().answer;
  explanation.decision.fallbacks = steps.taken().fallbacks;
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
