#include "decide/decide.h"

#include <fmt/format.h>

#include <iterator>

#include "decide/allocate.h"
#include "decide/objective.h"

namespace signalbox::decide {
namespace {

const Answer* CellOf(const CompiledExperiment& experiment, std::string_view unit) {
  uint32_t bucket = Bucket(experiment.cell_seed, unit);
  for (const CompiledCell& cell : experiment.cells) {
    if (bucket < cell.end_bucket) return cell.answer;
  }
  return nullptr;  // cannot be: the last end is kBuckets, checked when the snapshot was compiled
}

bool TakesPart(const CompiledExperiment& experiment, std::string_view unit) {
  return experiment.allocation_ppm >= kBuckets || Bucket(experiment.allocation_seed, unit) < experiment.allocation_ppm;
}

std::string Place(const v1::SourceLocation& source) {
  return source.file().empty() ? "" : fmt::format(" ({}:{}:{})", source.file(), source.line(), source.column());
}

double Percent(uint32_t ppm) { return ppm / 1e4; }

}  // namespace

Decision Decide(const Snapshot& snapshot, const RequestContext& context) {
  const Objective* objective = snapshot.FindObjective(context.objective);
  if (objective == nullptr) return {};
  Decision decision{.answer = objective->default_answer, .fallbacks = objective->fallbacks};
  if (context.user.empty()) return decision;
  for (const CompiledExperiment& experiment : objective->experiments) {
    if (!TakesPart(experiment, context.user)) continue;
    decision.answer = CellOf(experiment, context.user);
    return decision;
  }
  for (const CompiledShift& shift : objective->shifts) {
    if (Bucket(shift.seed, context.user) >= shift.share_ppm) continue;
    decision.answer = shift.answer;
    return decision;
  }
  return decision;
}

std::string Explain(const Snapshot& snapshot, const RequestContext& context) {
  std::string out = fmt::format("snapshot {} version {}\n", snapshot.hash().substr(0, 16), snapshot.version());
  auto line = [&](std::string_view text) { out.append(text).push_back('\n'); };
  const Objective* objective = snapshot.FindObjective(context.objective);
  if (objective == nullptr) {
    line(fmt::format("Objective {}: not in this snapshot{}", context.objective,
                     snapshot.NamesModel(context.objective) ? "; it is the name of a model" : ""));
    return out;
  }
  line(fmt::format("Objective {}{}", objective->name, Place(objective->rule->source())));
  bool decided = false;
  if (context.user.empty()) line("no user: experiments and traffic shifts are sticky by user, so none applies");
  for (const CompiledExperiment& experiment : objective->experiments) {
    std::string head = fmt::format("experiment {}{}", experiment.id, Place(experiment.rule->source()));
    if (decided || context.user.empty()) {
      line(fmt::format("{}: not asked", head));
    } else if (!TakesPart(experiment, context.user)) {
      line(fmt::format("{}: user '{}' takes no part, bucket {} is not below {} ({} %)", head, context.user,
                       Bucket(experiment.allocation_seed, context.user), experiment.allocation_ppm,
                       Percent(experiment.allocation_ppm)));
    } else {
      decided = true;
      const Answer* answer = CellOf(experiment, context.user);
      line(fmt::format("{}: user '{}' has bucket {} of {}, which is cell {}: model {}", head, context.user,
                       Bucket(experiment.cell_seed, context.user), kBuckets, answer->cell, answer->model->id));
    }
  }
  for (const CompiledShift& shift : objective->shifts) {
    std::string head = fmt::format("traffic shift {}{}", shift.rule->id(), Place(shift.rule->source()));
    if (decided || context.user.empty()) {
      line(fmt::format("{}: not asked", head));
      continue;
    }
    uint32_t bucket = Bucket(shift.seed, context.user);
    bool taken = bucket < shift.share_ppm;
    decided = decided || taken;
    line(fmt::format("{}: user '{}' has bucket {}, which is {}below {} ({} %){}", head, context.user, bucket,
                     taken ? "" : "not ", shift.share_ppm, Percent(shift.share_ppm),
                     taken ? fmt::format(": model {}", shift.answer->model->id) : ""));
  }
  line(fmt::format("default model {}: {}", objective->default_answer->model->id, decided ? "not asked" : "taken"));

  Decision decision = Decide(snapshot, context);
  const Model& model = *decision.answer->model;
  line(fmt::format("=> model {}, reason {}, routing key {}", model.id, Name(decision.answer->reason),
                   model.routing_key));
  if (model.shards.empty()) line("   placed on no shard: the fallbacks are tried");
  for (const Shard* shard : model.shards)
    line(fmt::format("   shard {}: {}", shard->name, fmt::join(shard->hosts, ", ")));
  for (const Answer* fallback : decision.fallbacks) {
    line(fmt::format("   fallback {}{}", fallback->model->id,
                     fallback->model->shards.empty() ? ", placed on no shard" : ""));
  }
  return out;
}

}  // namespace signalbox::decide
