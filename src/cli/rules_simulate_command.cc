// `signalbox rules simulate`: a decision log against other rules.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/rfc3339.h"
#include "base/status.h"
#include "cli/context_json.h"
#include "cli/line_reader.h"
#include "cli/published_rules.h"
#include "cli/rule_set_source.h"
#include "cli/rules_subcommands.h"
#include "effect/replay.h"

namespace signalbox::cli {
namespace {

// Of lines that cannot be replayed, so many are shown; all are counted.
constexpr size_t kProblemsShownMax = 5;

struct SimulateOptions {
  RuleSetSources sources;
  std::string rules;
  std::string against;
  std::string traffic;
  bool json = false;
};

struct LineCounts {
  uint64_t lines = 0;
  uint64_t broken = 0;
  uint64_t truncated = 0;
  uint64_t no_objective = 0;
  uint64_t no_model = 0;
  std::vector<std::string> problems;  // "line 7: not JSON, ..."

  uint64_t not_replayed() const { return broken + truncated + no_objective + no_model; }
};

void AddProblem(LineCounts& counts, std::string_view what) {
  if (counts.problems.size() < kProblemsShownMax)
    counts.problems.push_back(fmt::format("line {}: {}", counts.lines, what));
}

void ReplayLine(const LineReader::Line& line, ContextReader& reader, effect::Replay& replay, LineCounts& counts) {
  ++counts.lines;
  const absl::StatusOr<LoggedRequest> request =
      line.is_too_long ? absl::InvalidArgumentError(fmt::format("more than {} bytes", ContextReader::kBytesMax))
                       : reader.ReadLogged(line.text);
  if (!request.ok()) {
    ++counts.broken;
    AddProblem(counts, Message(request.status()));
  } else if (request->is_truncated) {
    ++counts.truncated;
  } else {
    switch (replay.Add(request->context, request->is_static_answer ? effect::Replay::kStaticAnswer : request->model,
                       request->is_fallback || request->is_static_answer)) {
      case effect::Replay::Result::kReplayed:
        return;
      case effect::Replay::Result::kNoObjective:
        ++counts.no_objective;
        AddProblem(counts, fmt::format("the rules have no Objective {}", request->context.objective));
        return;
      case effect::Replay::Result::kNoModel:
        ++counts.no_model;
        AddProblem(counts, "who answered is not known");
        return;
    }
  }
}

absl::Status ReplayLog(const std::string& path, effect::Replay& replay, LineCounts& counts) {
  ASSIGN_OR_RETURN(const int fd, OpenLines(path));
  LineReader lines(fd, ContextReader::kBytesMax, [] { return absl::OkStatus(); });
  ContextReader reader;
  absl::Status status;
  while (status.ok()) {
    const absl::StatusOr<std::optional<LineReader::Line>> line = lines.Next();
    status = line.status();
    if (!status.ok() || !line->has_value()) break;
    ReplayLine(**line, reader, replay, counts);
  }
  CloseLines(fd);
  return status;
}

double PercentOf(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

// An empty log is none that cannot be replayed.
bool IsGood(const effect::Replay& replay, const LineCounts& counts) {
  return replay.replayed() > 0 || counts.lines == 0;
}

nlohmann::ordered_json ToJson(const effect::Replay& replay, const LineCounts& counts) {
  nlohmann::ordered_json json = {{"ok", IsGood(replay, counts)},
                                 {"lines", counts.lines},
                                 {"replayed", replay.replayed()},
                                 {"not_replayed",
                                  {{"broken", counts.broken},
                                   {"truncated", counts.truncated},
                                   {"no_objective", counts.no_objective},
                                   {"no_model", counts.no_model}}},
                                 {"problems", counts.problems}};
  if (!IsGood(replay, counts)) json["errors"] = {"no record of the log could be replayed"};
  if (replay.first_unix_ms() != 0) json["from"] = Rfc3339(replay.first_unix_ms());
  if (replay.first_unix_ms() != 0) json["to"] = Rfc3339(replay.last_unix_ms());
  json["models"] = nlohmann::ordered_json::array();
  for (const auto& [model, load] : replay.loads())
    json["models"].push_back({{"model", model},
                              {"before", load.before},
                              {"after", load.after},
                              {"more_before", load.more_before},
                              {"more_after", load.more_after}});
  json["objectives"] = nlohmann::ordered_json::array();
  for (const auto& [name, objective] : replay.objectives()) {
    nlohmann::ordered_json moves = nlohmann::ordered_json::array();
    for (const auto& [move, count] : objective.moves)
      moves.push_back({{"from", move.first}, {"to", move.second}, {"requests", count}});
    json["objectives"].push_back({{"objective", name},
                                  {"requests", objective.requests},
                                  {"moved", objective.moved},
                                  {"fell_back", objective.fell_back},
                                  {"moves", moves}});
  }
  return json;
}

void PrintCounts(const effect::Replay& replay, const LineCounts& counts) {
  fmt::print("{} of {} records replayed", replay.replayed(), counts.lines);
  if (replay.first_unix_ms() != 0)
    fmt::print(", from {} to {}", Rfc3339(replay.first_unix_ms()), Rfc3339(replay.last_unix_ms()));
  fmt::print("\n");
  if (counts.not_replayed() == 0) return;
  fmt::print(
      "{} not replayed: {} broken, {} cut when they were logged, {} for Objectives that the rules do not have, {} "
      "without a model\n",
      counts.not_replayed(), counts.broken, counts.truncated, counts.no_objective, counts.no_model);
  for (const std::string& problem : counts.problems) fmt::print("  {}\n", problem);
}

void PrintLoads(const effect::Replay& replay) {
  size_t width = std::string_view("model").size();
  for (const auto& [model, load] : replay.loads()) width = std::max(width, model.size());
  fmt::print("\n  {:<{}}  {:>12}           {:>12}\n", "model", width, "before", "after");
  for (const auto& [model, load] : replay.loads()) {
    fmt::print("  {:<{}}  {:>12} {:>6.2f} %  {:>12} {:>6.2f} %\n", model, width, load.before,
               PercentOf(load.before, replay.replayed()), load.after, PercentOf(load.after, replay.replayed()));
  }
}

void PrintMore(const effect::Replay& replay) {
  bool is_first = true;
  for (const auto& [model, load] : replay.loads()) {
    if (load.more_before == 0 && load.more_after == 0) continue;
    if (is_first)
      fmt::print("\nbeside that, as members of ensembles and as shadows (of a log, before is not known):\n");
    is_first = false;
    fmt::print("  {:>12} before {:>12} after  {}\n", load.more_before, load.more_after, model);
  }
}

void PrintMoves(const effect::Replay& replay) {
  for (const auto& [name, objective] : replay.objectives()) {
    fmt::print("\n{}: {} of {} requests move ({:.2f} %)\n", name, objective.moved, objective.requests,
               PercentOf(objective.moved, objective.requests));
    for (const auto& [move, count] : objective.moves)
      fmt::print("  {:>12}  from {} to {}\n", count, move.first, move.second);
    if (objective.fell_back > 0)
      fmt::print("  {:>12}  were answered by a fallback that these rules have, too: not counted as moved\n",
                 objective.fell_back);
  }
}

absl::StatusOr<bool> Simulate(const SimulateOptions& options) {
  ASSIGN_OR_RETURN(v1::PublishedRuleSet rules, ReadRuleSet(options.sources, options.rules));
  ASSIGN_OR_RETURN(const auto after, Compile(std::move(rules)));
  std::shared_ptr<const decide::Snapshot> before;
  if (!options.against.empty()) {
    ASSIGN_OR_RETURN(v1::PublishedRuleSet old_rules, ReadRuleSet(options.sources, options.against));
    ASSIGN_OR_RETURN(before, Compile(std::move(old_rules)));
  }
  effect::Replay replay(before.get(), *after);
  LineCounts counts;
  RETURN_IF_ERROR(ReplayLog(options.traffic, replay, counts));
  if (options.json) {
    fmt::print("{}\n", Dump(ToJson(replay, counts)));
  } else {
    PrintCounts(replay, counts);
    if (replay.replayed() > 0) PrintLoads(replay);
    PrintMore(replay);
    PrintMoves(replay);
  }
  return IsGood(replay, counts);
}

}  // namespace

void AddRulesSimulate(CLI::App& rules, Outcome& outcome) {
  auto options = std::make_shared<SimulateOptions>();
  CLI::App* command =
      rules.add_subcommand("simulate", "Replay a decision log against rules: load of each model, who moves");
  command->footer(
      "Example:\n"
      "  signalbox rules simulate rules/home.js --traffic decisions.jsonl\n"
      "  signalbox rules simulate v4 --against v3 --store sqlite:rules.db --namespace home --traffic - < "
      "decisions.jsonl\n"
      "Before is what the log says answered, fallbacks included, or with --against what those rules decide. Each "
      "record is\n"
      "decided at its own time. Records that cannot be replayed are counted and the first are shown. Exit code 1 when "
      "none\n"
      "could be, or the rules have errors.");
  command->add_option("RULES", options->rules, "Rules as in `rules diff`: files, a folder, v3, newest")->required();
  command->add_option("--traffic", options->traffic, "Decision log (JSON Lines) as the proxy writes it, or -")
      ->required();
  command->add_option("--against", options->against, "Rules that decide what was before, instead of the log");
  AddOptions(*command, options->sources);
  command->add_flag("--json", options->json, "Print JSON, also for errors");
  command->callback([options, &outcome] {
    const absl::StatusOr<bool> is_good = Simulate(*options);
    outcome.exit_code = !is_good.ok() ? FailToCompare(is_good.status(), options->json) : *is_good ? 0 : 1;
  });
}

}  // namespace signalbox::cli
