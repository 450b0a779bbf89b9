#include "effect/path_result.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/hash.h"
#include "signalbox/v1/objective_config.pb.h"

namespace signalbox::effect {
namespace {

constexpr uint32_t kPpmOfPercent = 10'000;

std::string Percent(uint32_t share_ppm) { return fmt::format("{} %", share_ppm / static_cast<double>(kPpmOfPercent)); }

std::string ModelText(const decide::Answer& answer) {
  if (answer.ensemble == nullptr) return std::string(answer.model->id);
  std::string members;
  for (const decide::Answer::Member& member : answer.members) {
    members += fmt::format("{}{}", members.empty() ? "" : ", ", member.answer->model->id);
    if (answer.ensemble->mode() == v1::Ensemble::WEIGHTED) members += fmt::format(" x {}", member.weight);
  }
  std::string mode = v1::Ensemble::Mode_Name(answer.ensemble->mode());
  std::transform(mode.begin(), mode.end(), mode.begin(), [](char c) { return static_cast<char>(std::tolower(c)); });
  const uint32_t min = answer.ensemble->min_members();
  return fmt::format("{} ({} of {}{})", answer.model->id, mode, members,
                     min == 0 ? "" : fmt::format(", at least {}", min));
}

std::string LimitsText(const decide::Policy::Limits& limits) {
  std::string text;
  const auto add = [&](std::string_view what) { text += fmt::format("{}{}", text.empty() ? "" : ", ", what); };
  if (limits.requests_per_second != 0) add(fmt::format("{} requests/s", limits.requests_per_second));
  if (limits.burst != 0) add(fmt::format("burst {}", limits.burst));
  if (limits.concurrent_requests != 0) add(fmt::format("{} at once", limits.concurrent_requests));
  if (limits.concurrency_is_adaptive)
    add(fmt::format("adaptive concurrency {} to {}", limits.adaptive_min, limits.adaptive_max));
  if (limits.payload_bytes != 0) add(fmt::format("{} bytes", limits.payload_bytes));
  if (limits.priority == v1::Limits::LOW) add("low priority");
  if (limits.priority == v1::Limits::HIGH) add("high priority");
  return text;
}

std::string HandlingText(const decide::Policy& policy) {
  std::string text;
  const auto add = [&](bool is_said, std::string_view what) {
    if (is_said) text += fmt::format("{}{}", text.empty() ? "" : ", ", what);
  };
  const decide::Policy::Retries& retries = policy.retries;
  add(policy.total_ms != 0, fmt::format("{} ms in all", policy.total_ms));
  add(policy.per_try_ms != 0, fmt::format("{} ms a try", policy.per_try_ms));
  add(retries.tries != 0, fmt::format("{} tries", retries.tries));
  add(retries.idempotent, "idempotent");
  add(retries.budget_ppm != 0, fmt::format("retry budget {}", Percent(retries.budget_ppm)));
  add(retries.backoff_ms != 0, fmt::format("backoff {} ms", retries.backoff_ms));
  add(retries.backoff_max_ms != 0, fmt::format("backoff at most {} ms", retries.backoff_max_ms));
  add(policy.hedge_percentile_ppm != 0, fmt::format("hedged after {} of answers, {} ms at least",
                                                    Percent(policy.hedge_percentile_ppm), policy.hedge_min_delay_ms));
  if (!policy.affinity_unit.empty()) {
    std::string unit;
    for (const decide::Field& field : policy.affinity_unit)
      unit += fmt::format("{}{}", unit.empty() ? "" : ", else ", field.name);
    add(true, fmt::format("same host for the same {} up to {} % of the mean load", unit, policy.load_bound_percent));
  }
  add(policy.bulkhead.requests != 0, fmt::format("bulkhead of {} requests", policy.bulkhead.requests));
  add(policy.bulkhead.buffered_bytes != 0, fmt::format("bulkhead of {} bytes", policy.bulkhead.buffered_bytes));
  add(policy.bulkhead.connections_per_host != 0,
      fmt::format("bulkhead of {} connections a host", policy.bulkhead.connections_per_host));
  return text;
}

std::string ComparisonText(const v1::Comparison& comparison) {
  if (comparison.has_exact()) return ", compared exactly";
  if (comparison.has_numeric())
    return fmt::format(", compared within {} + {} relative", comparison.numeric().absolute(),
                       comparison.numeric().relative());
  if (comparison.has_rank()) return fmt::format(", compared by rank, at least {}", comparison.rank().min());
  return "";
}

std::string ShadowText(const decide::CompiledShadow& shadow) {
  return fmt::format("{}, {} of requests{}", shadow.shadow->answer->model->id, Percent(shadow.share_ppm),
                     shadow.shadow->comparison == nullptr ? "" : ComparisonText(*shadow.shadow->comparison));
}

}  // namespace

std::string_view Name(AspectKind kind) {
  static constexpr std::string_view kNames[] = {"model",         "cell",   "parameter", "fallbacks",
                                                "static_answer", "limits", "handling",  "shadow"};
  return kNames[static_cast<size_t>(kind)];
}

PathResult ResultOf(const decide::Decision& decision, const std::vector<const decide::CompiledShadow*>& shadows) {
  PathResult result;
  if (decision.answer == nullptr) return result;
  result[{AspectKind::kModel, ""}] = ModelText(*decision.answer);
  for (const decide::Enrolment& each : decision.enrolments)
    result[{AspectKind::kCell, std::string(each.experiment)}] = std::string(each.cell);
  v1::ObjectiveConfig config;
  std::string bytes(decision.answer->objective_config);
  for (const decide::Overlay* overlay : decision.overlays) bytes += overlay->objective_config;
  if (config.ParseFromString(bytes)) {
    if (!config.model_input_type().empty())
      result[{AspectKind::kParameter, "model_input_type"}] = config.model_input_type();
    if (!config.model_type().empty()) result[{AspectKind::kParameter, "model_type"}] = config.model_type();
    for (const auto& [key, value] : config.parameters()) result[{AspectKind::kParameter, key}] = value;
  }
  std::string fallbacks;
  for (const decide::Answer* fallback : decision.fallbacks)
    fallbacks += fmt::format("{}{}", fallbacks.empty() ? "" : ", ", fallback->model->id);
  if (!fallbacks.empty()) result[{AspectKind::kFallbacks, ""}] = fallbacks;
  if (decision.static_answer != nullptr) {
    const std::string_view message = decision.static_answer->message;
    result[{AspectKind::kStaticAnswer, ""}] =
        fmt::format("{} bytes, {:016x}", message.size(), StableHash64(message, 0));
  }
  if (decision.policy != nullptr) {
    if (std::string text = LimitsText(decision.policy->limits); !text.empty())
      result[{AspectKind::kLimits, ""}] = std::move(text);
    if (std::string text = HandlingText(*decision.policy); !text.empty())
      result[{AspectKind::kHandling, ""}] = std::move(text);
  }
  for (const decide::CompiledShadow* shadow : shadows)
    result[{AspectKind::kShadow, std::string(shadow->shadow->id)}] = ShadowText(*shadow);
  return result;
}

std::vector<Change> ChangesOf(const PathResult& before, const PathResult& after) {
  std::set<Aspect> aspects;
  for (const auto& [aspect, text] : before) aspects.insert(aspect);
  for (const auto& [aspect, text] : after) aspects.insert(aspect);
  std::vector<Change> changes;
  for (const Aspect& aspect : aspects) {
    const auto from = before.find(aspect);
    const auto to = after.find(aspect);
    Change change = {
        .aspect = aspect, .from = from == before.end() ? "" : from->second, .to = to == after.end() ? "" : to->second};
    if (change.from != change.to) changes.push_back(std::move(change));
  }
  return changes;
}

std::string Describe(const Change& change) {
  const auto& [aspect, from, to] = change;
  const auto three = [&](std::string_view starts, std::string_view ends, std::string_view differs) {
    return std::string(from.empty() ? starts : to.empty() ? ends : differs);
  };
  switch (aspect.kind) {
    case AspectKind::kModel:
      return fmt::format("moves from {} to {}", from, to);
    case AspectKind::kCell:
      return three(fmt::format("joins experiment {} in cell {}", aspect.key, to),
                   fmt::format("leaves experiment {}, cell {}", aspect.key, from),
                   fmt::format("moves in experiment {} from cell {} to cell {}", aspect.key, from, to));
    case AspectKind::kParameter:
      return three(fmt::format("gets parameter {}={}", aspect.key, to),
                   fmt::format("no longer gets parameter {}={}", aspect.key, from),
                   fmt::format("gets parameter {}={} instead of {}", aspect.key, to, from));
    case AspectKind::kFallbacks:
      return three(fmt::format("falls back to {}", to), fmt::format("no longer falls back to {}", from),
                   fmt::format("falls back to {} instead of {}", to, from));
    case AspectKind::kStaticAnswer:
      return three("gets a static answer at the end of its fallbacks", "no longer gets a static answer",
                   "gets another static answer");
    case AspectKind::kLimits:
      return three(fmt::format("is limited to {}", to), fmt::format("is no longer limited to {}", from),
                   fmt::format("is limited to {} instead of {}", to, from));
    case AspectKind::kHandling:
      return three(fmt::format("is handled with {}", to), fmt::format("is no longer handled with {}", from),
                   fmt::format("is handled with {} instead of {}", to, from));
    case AspectKind::kShadow:
      return three(fmt::format("is shadowed by {} ({})", aspect.key, to),
                   fmt::format("is no longer shadowed by {} ({})", aspect.key, from),
                   fmt::format("is shadowed by {} ({} instead of {})", aspect.key, to, from));
  }
  return "";
}

}  // namespace signalbox::effect
