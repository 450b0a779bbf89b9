#include "effect/effect_text.h"

#include <fmt/format.h>

namespace signalbox::effect {
namespace {

std::string ObjectiveText(const ObjectiveEffect& effect) {
  if (effect.kind == ObjectiveEffect::Kind::kAdded) return fmt::format("{} is new\n", effect.objective);
  if (effect.kind == ObjectiveEffect::Kind::kRemoved)
    return fmt::format("{} is gone: requests for it are refused\n", effect.objective);
  std::string text;
  const bool is_sampled = !effect.why_sampled.empty();
  for (const Movement& movement : effect.movements) text += Sentence(effect.objective, movement, is_sampled) + "\n";
  if (effect.movements.empty())
    text += fmt::format("{}: its rules differ, and {}\n", effect.objective,
                        effect.may_be_incomplete ? "no request was found that gets something else; others may"
                                                 : "every request gets what it got before");
  for (const std::string& note : effect.notes) text += fmt::format("  note: {}\n", note);
  if (is_sampled)
    text += fmt::format("  note: counted over {} generated requests, not exact: {}\n", kSampledRequests,
                        effect.why_sampled);
  return text;
}

}  // namespace

std::string Sentence(const std::string& objective, const Movement& movement, bool is_sampled) {
  const bool is_whole = movement.share == Share::Whole();
  return fmt::format("{}{} of {}{}{}{} {}", is_sampled || movement.is_counted ? "about " : "",
                     is_whole ? "all" : movement.share.Percent(), is_sampled ? "the requests generated for " : "",
                     objective, movement.where.empty() ? "" : " where " + movement.where,
                     movement.may_be_empty ? " (if there is any such request)" : "", Describe(movement.change));
}

std::string DescribeEffect(const Effect& effect) {
  std::string text;
  for (const ObjectiveEffect& each : effect.objectives) text += ObjectiveText(each);
  return text + (effect.objectives.empty() ? "nothing changes\n" : "nothing else changes\n");
}

}  // namespace signalbox::effect
