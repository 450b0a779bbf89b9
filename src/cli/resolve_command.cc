// `signalbox resolve`: what would happen to this request, and why; or to these ten million.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/canonical_json.h"
#include "base/rfc3339.h"
#include "base/status.h"
#include "base/unix_time.h"
#include "cli/commands.h"
#include "cli/decision_json.h"
#include "cli/line_reader.h"
#include "cli/published_rules.h"
#include "cli/resolve_batch.h"
#include "cli/snapshot_from_files.h"
#include "decide/explain.h"
#include "signalbox/v1/objective_config.pb.h"

namespace signalbox::cli {
namespace {

struct ResolveOptions {
  std::vector<std::string> rules;
  std::string placement;
  std::string namespace_name = "default";
  bool is_batch = false;
  std::string batch_file;
  bool explain = false;
  bool json = false;
  // The request context.
  std::string objective, user, country, device, locale, surface, tenant, app_version;
  std::string traffic = "live";
  std::vector<std::string> segments;
  std::vector<std::string> attributes;
  std::string at;
  std::string random;
  std::string override_model;
  std::vector<std::string> override_cells;
  std::vector<std::string> remote_cells;
};

// A context and the texts that it does not find in the options.
struct GivenContext {
  decide::RequestContext context;
  std::string segments;
  std::vector<decide::Attribute> attributes;
  std::vector<decide::CellName> override_cells;
  std::vector<decide::CellName> remote_cells;
};

int RefuseWith(const absl::Status& error, bool json) {
  if (json) {
    fmt::print("{}\n", Dump(ErrorJson(error)));
  } else {
    fmt::print(stderr, "{}\n", Message(error));
  }
  return ExitCodeOf(error);
}

struct KeyAndValue {
  std::string_view key;
  std::string_view value;
};

absl::StatusOr<KeyAndValue> Split(std::string_view option, std::string_view text, std::string_view expected) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos)
    return absl::InvalidArgumentError(fmt::format("{} {}: expected {}", option, text, expected));
  return KeyAndValue{text.substr(0, equals), text.substr(equals + 1)};
}

absl::Status ReadCells(std::string_view option, const std::vector<std::string>& texts,
                       std::vector<decide::CellName>& cells) {
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(const KeyAndValue cell, Split(option, text, "EXPERIMENT=CELL"));
    cells.push_back({cell.key, cell.value});
  }
  return absl::OkStatus();
}

absl::Status ReadRandom(const std::string& text, uint64_t& random) {
  if (text.empty()) return absl::OkStatus();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), random, 16);
  if (text.size() == 16 && error == std::errc() && end == text.data() + text.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("--random {}: expected a decision id: 16 hexadecimal digits, as in `sb-decision`", text));
}

// Views into `options` and `given`, which outlive the context.
absl::Status ReadContext(const ResolveOptions& options, GivenContext& given) {
  for (const std::string& text : options.attributes) {
    ASSIGN_OR_RETURN(const KeyAndValue attribute, Split("--attribute", text, "KEY=VALUE"));
    given.attributes.push_back({attribute.key, attribute.value});
  }
  RETURN_IF_ERROR(ReadCells("--override-cell", options.override_cells, given.override_cells));
  RETURN_IF_ERROR(ReadCells("--remote-cell", options.remote_cells, given.remote_cells));
  given.segments = fmt::format("{}", fmt::join(options.segments, " "));
  given.context = {.objective = options.objective,
                   .user = options.user,
                   .country = options.country,
                   .locale = options.locale,
                   .device = options.device,
                   .surface = options.surface,
                   .tenant = options.tenant,
                   .traffic_type = *decide::ParseTrafficType(options.traffic),
                   .app_version = options.app_version,
                   .segments = given.segments,
                   .attributes = given.attributes,
                   .now_unix_ms = NowUnixMs(),
                   .override_model = options.override_model,
                   .override_cells = given.override_cells,
                   .remote_cells = given.remote_cells};
  RETURN_IF_ERROR(ReadRandom(options.random, given.context.random));
  if (options.at.empty()) return absl::OkStatus();
  const std::optional<int64_t> at = ParseRfc3339(options.at);
  if (!at.has_value())
    return absl::InvalidArgumentError(fmt::format("--at {}: expected a time such as 2026-11-01T00:00:00Z", options.at));
  given.context.now_unix_ms = *at;
  return absl::OkStatus();
}

// null where there is no placement to ask.
nlohmann::ordered_json PlacementJson(const decide::Snapshot& snapshot, const decide::Model& model) {
  if (snapshot.shards().empty()) return nullptr;
  auto shards = nlohmann::ordered_json::array();
  for (const decide::Shard* shard : model.shards) shards.push_back({{"shard", shard->name}, {"hosts", shard->hosts}});
  return shards;
}

std::string ExplanationJson(const decide::Snapshot& snapshot, const decide::Explanation& explanation) {
  const decide::Answer& answer = *explanation.decision.answer;
  nlohmann::ordered_json json = {{"decision", nlohmann::ordered_json::parse(DecisionJson(explanation.decision))},
                                 {"placement", PlacementJson(snapshot, *answer.model)}};
  if (const auto text = CanonicalJson(ObjectiveConfigOf(explanation.decision)); text.ok())
    json["objective_config"] = nlohmann::ordered_json::parse(*text);
  json["steps"] = nlohmann::ordered_json::array();
  for (const decide::Step& step : explanation.steps) {
    json["steps"].push_back({{"kind", Name(step.kind)},
                             {"outcome", Name(step.outcome)},
                             {"rule", step.rule},
                             {"place", step.place},
                             {"why", step.why}});
  }
  json["namespace"] = explanation.namespace_name;
  json["rule_set_version"] = explanation.rule_set_version;
  json["snapshot"] = {{"hash", snapshot.hash()}, {"version", snapshot.version()}};
  return json.dump(2, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

int ExplainOne(const decide::Snapshot& snapshot, const ResolveOptions& options) {
  GivenContext given;
  if (const absl::Status status = ReadContext(options, given); !status.ok()) return RefuseWith(status, options.json);
  const decide::RequestContext& context = given.context;
  const decide::Explanation explanation = decide::ExplainSteps(snapshot, context);
  const bool has_answer = explanation.decision.answer != nullptr;
  if (!options.json) {
    fmt::print("{}", decide::Explain(snapshot, context));
  } else if (has_answer) {
    fmt::print("{}\n", ExplanationJson(snapshot, explanation));
  } else {
    return RefuseWith(absl::InvalidArgumentError(decide::WhyNoAnswer(snapshot, context.objective)), options.json);
  }
  return has_answer ? 0 : 1;
}

int RunBatch(const decide::Snapshot& snapshot, const ResolveOptions& options) {
  const absl::StatusOr<int> input = OpenLines(options.batch_file.empty() ? "-" : options.batch_file);
  if (!input.ok()) return RefuseWith(input.status(), options.json);
  const absl::StatusOr<BatchCounts> counts = ResolveBatch(snapshot, *input, STDOUT_FILENO);
  CloseLines(*input);
  if (!counts.ok()) return RefuseWith(counts.status(), options.json);
  if (counts->failed == 0) return 0;
  fmt::print(stderr, "{} of {} lines have errors; their answers say which\n", counts->failed, counts->lines);
  return 1;
}

int Resolve(const ResolveOptions& options) {
  const auto snapshot = SnapshotFromFiles(options.rules, options.placement, options.namespace_name);
  if (!snapshot.ok()) return RefuseWith(snapshot.status(), options.json);
  return options.is_batch ? RunBatch(**snapshot, options) : ExplainOne(**snapshot, options);
}

void AddContextOptions(CLI::App& resolve, ResolveOptions& options) {
  constexpr char kGroup[] = "Request context";
  resolve.add_option("--objective", options.objective, "What the request is for, as in the rules")->group(kGroup);
  resolve.add_option("--user", options.user, "Whom experiments and traffic shifts are sticky by")->group(kGroup);
  resolve.add_option("--country", options.country)->group(kGroup);
  resolve.add_option("--device", options.device)->group(kGroup);
  resolve.add_option("--locale", options.locale)->group(kGroup);
  resolve.add_option("--surface", options.surface)->group(kGroup);
  resolve.add_option("--tenant", options.tenant)->group(kGroup);
  resolve.add_option("--traffic", options.traffic)
      ->group(kGroup)
      ->check(CLI::IsMember({"live", "synthetic", "replay", "shadow"}))
      ->capture_default_str();
  resolve.add_option("--app-version", options.app_version, "A semantic version, such as 4.2.1")->group(kGroup);
  resolve.add_option("--segment", options.segments, "A user segment; may be given several times")
      ->group(kGroup)
      ->take_all();
  resolve.add_option("--attribute", options.attributes, "KEY=VALUE; may be given several times")
      ->group(kGroup)
      ->take_all();
  resolve.add_option("--at", options.at, "When: a time such as 2026-11-01T00:00:00Z; now when not given")
      ->group(kGroup);
  resolve.add_option("--random", options.random, "Decision id of the request, which shadows are drawn by")
      ->group(kGroup);
  resolve.add_option("--override-model", options.override_model, "Model id that the caller asks for in sb-override")
      ->group(kGroup);
  resolve
      .add_option("--override-cell", options.override_cells,
                  "EXPERIMENT=CELL that the caller asks for in sb-override; may be given several times")
      ->group(kGroup)
      ->take_all();
  resolve
      .add_option("--remote-cell", options.remote_cells,
                  "EXPERIMENT=CELL that an experimentation platform gave; may be given several times")
      ->group(kGroup)
      ->take_all();
}

}  // namespace

void AddResolve(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<ResolveOptions>();
  CLI::App* resolve = app.add_subcommand("resolve", "Decide from rule files, offline: one request explained, or many");
  resolve->footer(
      "Example:\n"
      "  signalbox resolve --rules rules.js --objective TitleRanking --user u1\n"
      "  signalbox resolve --rules rules.js --batch contexts.jsonl > decisions.jsonl\n"
      "A line of a batch is\n"
      "  {\"objective\":\"TitleRanking\",\"user\":\"u1\",\"country\":\"US\",\"device\":\"tv\",\"locale\":\"en-US\",\n"
      "   \"surface\":\"home\",\"tenant\":\"web\",\"traffic_type\":\"live\",\"app_version\":\"4.2.1\",\n"
      "   \"segments\":[\"kids\"],\"attributes\":{\"plan\":\"basic\"},\"now\":\"2026-11-01T00:00:00Z\",\n"
      "   \"random\":\"00f1e2d3c4b5a697\",\"override\":{\"model\":\"ranker@3\",\"cells\":{\"12345\":\"2\"}},\n"
      "   \"remote_cells\":{\"777\":\"1\"}}\n"
      "of which only the Objective must be there; without a time nothing that depends on time is in effect. Exit code "
      "1 when a request, a line or the rules have errors.");
  resolve->add_option("--rules", options->rules, "Rule files (.js), or folders of them; together they are one rule set")
      ->required();
  resolve->add_option("--placement", options->placement, "Placement file (.json): where models are");
  resolve->add_option("--namespace", options->namespace_name, "Namespace of the rules")->capture_default_str();
  CLI::Option* explain = resolve->add_flag("--explain", options->explain,
                                           "Print every step of one decision (without --batch, the default)");
  CLI::Option* batch =
      resolve
          ->add_option("--batch", options->batch_file,
                       "Decide for every line of a file, or of the standard input (no FILE, or -), in order")
          ->type_name("[FILE]")
          ->expected(0, 1)
          ->excludes(explain);
  resolve->add_flag("--json", options->json, "Print the explanation as JSON, also for errors")->excludes(batch);
  AddContextOptions(*resolve, *options);
  resolve->callback([options, batch, &outcome] {
    options->is_batch = batch->count() > 0;
    outcome.exit_code = Resolve(*options);
  });
}

}  // namespace signalbox::cli
