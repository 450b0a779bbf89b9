#include "decide/remote_questions.h"

#include "decide/context_asker.h"
#include "decide/walk.h"

namespace signalbox::decide {
namespace {

// Answers as the request does, and says of every platform that its experiment takes nobody: then the walk comes to
// every experiment that it can come to, because an experiment that applies only keeps others from being asked.
class QuestionAsker : public ContextAsker {
 public:
  QuestionAsker(const Objective& objective, const RequestContext& context, RemoteQuestions& questions)
      : ContextAsker(objective, context), questions_(questions) {}

  int32_t RemoteCell(const CompiledExperiment& experiment) {
    const int32_t known = ContextAsker::RemoteCell(experiment);
    if (known != kNoCell) return known;
    questions_.Add({.platform = experiment.remote->platform,
                    .flag = experiment.remote->flag,
                    .experiment = experiment.id,
                    .unit = UnitValue(experiment.unit),
                    .ttl_ms = experiment.remote->ttl_ms,
                    .deadline_ms = experiment.remote->deadline_ms,
                    .compiled = &experiment});
    return kNoPart;
  }

 private:
  RemoteQuestions& questions_;
};

}  // namespace

bool RemoteQuestion::HasCell(std::string_view cell) const {
  const CellName name{.experiment = experiment, .cell = cell};
  return FindCell(*compiled, {&name, 1}) != kNoCell;
}

RemoteQuestions FindRemoteQuestions(const Snapshot& snapshot, const RequestContext& context) {
  RemoteQuestions questions;
  const Objective* objective = snapshot.FindObjective(context.objective);
  if (objective == nullptr || !objective->has_remote) return questions;
  QuestionAsker asker(*objective, context, questions);
  Walk(*objective, asker);
  return questions;
}

}  // namespace signalbox::decide
