// `signalbox rules diff`: what a change of rules will do, before it is published.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/rfc3339.h"
#include "base/status.h"
#include "cli/published_rules.h"
#include "cli/rule_set_source.h"
#include "cli/rule_set_text.h"
#include "cli/rules_subcommands.h"
#include "control/traffic_settings.h"
#include "effect/effect.h"
#include "effect/effect_text.h"

namespace signalbox::cli {
namespace {

struct DiffOptions {
  RuleSetSources sources;
  std::string before;
  std::string after;
  std::string at;
  bool json = false;
};

std::string_view KindName(effect::ObjectiveEffect::Kind kind) {
  if (kind == effect::ObjectiveEffect::Kind::kAdded) return "added";
  return kind == effect::ObjectiveEffect::Kind::kRemoved ? "removed" : "changed";
}

nlohmann::ordered_json ToJson(const std::string& objective, const effect::Movement& movement, bool is_sampled) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
  };
  nlohmann::ordered_json json = {{"aspect", Name(movement.change.aspect.kind)},
                                 {"key", text_or_null(movement.change.aspect.key)},
                                 {"from", text_or_null(movement.change.from)},
                                 {"to", text_or_null(movement.change.to)},
                                 {"share", movement.share.Decimal()},
                                 {"percent", movement.share.Fraction() * 100},
                                 {"where", movement.where},
                                 {"text", effect::Sentence(objective, movement, is_sampled)}};
  json["example"] = movement.example;
  return json;
}

nlohmann::ordered_json ToJson(const effect::ObjectiveEffect& effect) {
  const bool is_sampled = !effect.why_sampled.empty();
  const bool is_counted = std::any_of(effect.movements.begin(), effect.movements.end(),
                                      [](const effect::Movement& movement) { return movement.is_counted; });
  nlohmann::ordered_json json = {{"objective", effect.objective},
                                 {"namespace", effect.namespace_name},
                                 {"kind", KindName(effect.kind)},
                                 {"exact", !is_sampled && !effect.may_be_incomplete && !is_counted}};
  if (is_sampled) json["why_sampled"] = effect.why_sampled;
  json["changes"] = nlohmann::ordered_json::array();
  for (const effect::Movement& movement : effect.movements)
    json["changes"].push_back(ToJson(effect.objective, movement, is_sampled));
  json["notes"] = effect.notes;
  json["classes"] = effect.classes;
  json["paths"] = effect.paths;
  return json;
}

// Where who reads the rules would expect something else: what operators have set goes before them.
std::vector<std::string> TrafficNotes(const v1::PublishedRuleSet& after) {
  std::vector<std::string> notes;
  for (const v1::ShiftSetting& setting : after.traffic().shifts()) {
    const v1::TrafficShift* shift = control::FindShift(after.rule_set(), setting.shift());
    if (shift == nullptr || (setting.has_delay_ms() && !shift->has_schedule())) continue;
    notes.push_back(fmt::format("traffic shift {} {} {}: {}", shift->id(), setting.has_delay_ms() ? "is" : "stays",
                                control::SettingText(setting),
                                setting.has_delay_ms() ? "its steps come as much later than these rules say"
                                                       : "what these rules say of its share is not in effect"));
  }
  return notes;
}

absl::Status Diff(const DiffOptions& options) {
  ASSIGN_OR_RETURN(const int64_t at, ReadTime(options.at));
  ASSIGN_OR_RETURN(const v1::PublishedRuleSet before, ReadRuleSet(options.sources, options.before));
  ASSIGN_OR_RETURN(const v1::PublishedRuleSet after, ReadRuleSet(options.sources, options.after));
  ASSIGN_OR_RETURN(const auto old_snapshot, Compile(before));
  ASSIGN_OR_RETURN(const auto new_snapshot, Compile(after));
  const effect::Effect effect = effect::EffectOf(*old_snapshot, *new_snapshot, at);
  const std::vector<std::string> rules = DescribeChanges(before.rule_set(), after.rule_set());
  const std::vector<std::string> notes = TrafficNotes(after);
  if (options.json) {
    nlohmann::ordered_json json = {{"ok", true}, {"at", Rfc3339(at)}, {"rules", rules}};
    json["objectives"] = nlohmann::ordered_json::array();
    for (const effect::ObjectiveEffect& each : effect.objectives) json["objectives"].push_back(ToJson(each));
    json["unchanged_objectives"] = effect.unchanged;
    json["notes"] = notes;
    fmt::print("{}\n", Dump(json));
    return absl::OkStatus();
  }
  for (const std::string& rule : rules) fmt::print("{}\n", rule);
  fmt::print("{}{}", rules.empty() ? "" : "\n", effect::DescribeEffect(effect));
  for (const std::string& note : notes) fmt::print("note: {}\n", note);
  return absl::OkStatus();
}

}  // namespace

void AddRulesDiff(CLI::App& rules, Outcome& outcome) {
  auto options = std::make_shared<DiffOptions>();
  CLI::App* command = rules.add_subcommand("diff", "Say what a change of rules will do: who moves where, exactly");
  command->footer(
      "OLD and NEW are each rule files (rules.js, or a.js,b.js), a folder of them, or with --store a published "
      "version:\n"
      "v3, newest.\n"
      "Examples:\n"
      "  signalbox rules diff old/home.js new/home.js\n"
      "  signalbox rules diff newest rules/ --store sqlite:rules.db --namespace home\n"
      "  signalbox rules diff v3 v4 --store sqlite:rules.db --namespace home --at 2026-11-01T00:00:00Z --json\n"
      "Shares are of the units (users, accounts, ...) in the requests that a line is about; they are worked out from "
      "the\n"
      "rules, not sampled, and where that cannot be it is said. Exit code 0 whether or not anything changes, 1 when a "
      "rule\n"
      "set has errors.");
  command->add_option("OLD", options->before, "Rules before")->required();
  command->add_option("NEW", options->after, "Rules after")->required();
  AddOptions(*command, options->sources);
  command->add_option("--at", options->at, "The time that windows and schedules are looked at; now when not given");
  command->add_flag("--json", options->json, "Print JSON, also for errors");
  command->callback([options, &outcome] {
    if (const absl::Status status = Diff(*options); !status.ok())
      outcome.exit_code = FailToCompare(status, options->json);
  });
}

}  // namespace signalbox::cli
