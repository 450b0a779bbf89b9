#include <fmt/format.h>

#include <iterator>

#include "decide/bucket.h"
#include "decide/decide.h"
#include "decide/objective.h"

namespace signalbox::decide {
namespace {

std::string At(const v1::SourceLocation& source) {
  if (source.file().empty()) return "";
  return fmt::format(" ({}:{}:{})", source.file(), source.line(), source.column());
}

// Follows the same steps as Decide (decide.cc) and writes each of them down. A test holds the two together.
class Explanation {
 public:
  Explanation(const Snapshot& snapshot, const RequestContext& context) : snapshot_(snapshot), context_(context) {}

  std::string Write() {
    Line("snapshot {} version {}", snapshot_.hash(), snapshot_.version());
    const Objective* objective = snapshot_.FindObjective(context_.objective);
    if (objective == nullptr) {
      WriteUnknownObjective();
      return text_;
    }
    Line("Objective {}{}: namespace {} version {}", objective->rule->name(), At(objective->rule->source()),
         objective->rule_set->rule_set().namespace_(), objective->rule_set->version());
    if (context_.user.empty()) Line("user: none, so no experiment and no traffic shift takes part");
    for (const CompiledExperiment& experiment : objective->experiments) WriteExperiment(experiment);
    for (const CompiledShift& shift : objective->shifts) WriteShift(shift);
    WriteDefault(*objective);
    WriteOutcome();
    return text_;
  }

 private:
  template <typename... Arguments>
  void Line(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Arguments>(arguments)...);
    text_.push_back('\n');
  }

  void WriteUnknownObjective() {
    if (snapshot_.NamesModel(context_.objective)) {
      Line("\"{}\": a model, not an Objective; clients name Objectives, and rules choose the model",
           context_.objective);
    } else {
      Line("\"{}\": no such Objective", context_.objective);
    }
    Line("Objectives: {}", fmt::join(snapshot_.ObjectiveNames(), ", "));
  }

  void WriteExperiment(const CompiledExperiment& experiment) {
    const v1::Experiment& rule = *experiment.rule;
    const std::string name = fmt::format("experiment {}{}, priority {}", rule.id(), At(rule.source()), rule.priority());
    if (!IsAsked(name)) return;
    const uint32_t allocation = Bucket(experiment.allocation_seed, context_.user);
    const bool takes_part = allocation < experiment.allocation_ppm;
    if (!takes_part) {
      Line("{}: allocation bucket {} is not below {}: does not take part", name, allocation, experiment.allocation_ppm);
      return;
    }
    const uint32_t bucket = Bucket(experiment.cell_seed, context_.user);
    uint32_t begin = 0;
    for (const CompiledCell& cell : experiment.cells) {
      if (bucket < cell.bucket_end) {
        Line(
            "{}: allocation bucket {} is below {}: takes part; cell bucket {} is in [{}, {}): cell {} of {}: TAKEN, "
            "model {}",
            name, allocation, experiment.allocation_ppm, bucket, begin, cell.bucket_end, cell.rule->name(),
            Weights(rule), cell.choice.answer->model->id);
        taken_ = &cell.choice;
        return;
      }
      begin = cell.bucket_end;
    }
  }

  static std::string Weights(const v1::Experiment& rule) {
    std::vector<std::string> weights;
    for (const v1::Cell& cell : rule.cells()) weights.push_back(fmt::format("{}={}", cell.name(), cell.weight_ppm()));
    return fmt::format("{}", fmt::join(weights, " "));
  }

  void WriteShift(const CompiledShift& shift) {
    const v1::TrafficShift& rule = *shift.rule;
    const std::string name = fmt::format("traffic shift {}{}", rule.id(), At(rule.source()));
    if (!IsAsked(name)) return;
    const uint32_t bucket = Bucket(shift.seed, context_.user);
    if (!shift.applies) {
      Line("{}: shifts from a model that is not the default model here: does not apply", name);
    } else if (bucket >= shift.share_ppm) {
      Line("{}: bucket {} is not below {}: not shifted", name, bucket, shift.share_ppm);
    } else {
      Line("{}: bucket {} is below {}: TAKEN, model {}", name, bucket, shift.share_ppm, shift.choice.answer->model->id);
      taken_ = &shift.choice;
    }
  }

  bool IsAsked(const std::string& name) {
    if (context_.user.empty()) {
      Line("{}: not asked, the request has no user", name);
    } else if (taken_ != nullptr) {
      Line("{}: not asked, the model is chosen", name);
    } else {
      return true;
    }
    return false;
  }

  void WriteDefault(const Objective& objective) {
    const std::string& model = objective.default_choice.answer->model->id;
    if (taken_ != nullptr) {
      Line("default model {}: not needed", model);
      return;
    }
    Line("default model {}: TAKEN", model);
    taken_ = &objective.default_choice;
  }

  void WriteOutcome() {
    const Answer& answer = *taken_->answer;
    Line("decision: model {}, reason {}, routing key {}, {}", answer.model->id, Name(answer.reason),
         answer.model->routing_key, Whereabouts(*answer.model));
    size_t number = 0;
    for (const Answer* fallback : taken_->fallbacks) {
      Line("fallback {}: model {}, routing key {}, {}", ++number, fallback->model->id, fallback->model->routing_key,
           Whereabouts(*fallback->model));
    }
    if (taken_->fallbacks.empty()) Line("fallbacks: none");
  }

  static std::string Whereabouts(const Model& model) {
    if (model.shards.empty()) return "not placed on any shard";
    std::vector<std::string> shards;
    for (const Shard* shard : model.shards)
      shards.push_back(fmt::format("{} [{}]", shard->name, fmt::join(shard->hosts, ", ")));
    return fmt::format("on {} {}", shards.size() == 1 ? "shard" : "shards", fmt::join(shards, ", "));
  }

  const Snapshot& snapshot_;
  const RequestContext& context_;
  std::string text_;
  const Choice* taken_ = nullptr;
};

}  // namespace

std::string Explain(const Snapshot& snapshot, const RequestContext& context) {
  return Explanation(snapshot, context).Write();
}

}  // namespace signalbox::decide
