#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/canonical_json.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/operator_options.h"
#include "control/placement_explanation.h"
#include "control/placement_text.h"

namespace signalbox::cli {
namespace {

struct ExplainOptions {
  PublishedRulesOptions common;
  std::string model;
};

struct DrainOptions {
  PublishedRulesOptions common;
  SignatureOptions signature;
  std::string name;
  bool undo = false;
};

absl::Status Show(const PublishedRulesOptions& options) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options));
  ASSIGN_OR_RETURN(const control::PlacementFacts facts, control::ReadPlacementFacts(*store));
  if (facts.info.version == 0) return store->Get(store::kPlacementTopic, std::nullopt).status();
  if (!options.json) {
    fmt::print("{}", control::PlacementText(facts));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string placement, CanonicalJson(facts.placement));
  nlohmann::ordered_json json = {{"ok", true}};
  json.update(ToJson(facts.info));
  json["placement"] = nlohmann::ordered_json::parse(placement);
  json["hosts"] = nlohmann::ordered_json::array();
  for (const control::HostName& host : facts.hosts) {
    json["hosts"].push_back({{"id", host.id}, {"address", host.address}, {"shard", host.shard}});
  }
  fmt::print("{}\n", Dump(json));
  return absl::OkStatus();
}

std::string Describe(const v1::ModelExplanation& model) {
  std::string text = fmt::format("{}: {}\n", model.model(), model.summary());
  for (const std::string& line : model.wanted_by()) text += fmt::format("  wanted by {}\n", line);
  for (const std::string& line : model.shards()) text += fmt::format("  on shard {}\n", line);
  for (const std::string& line : model.refusals()) text += fmt::format("  not on {}\n", line);
  for (const std::string& line : model.waits()) text += fmt::format("  {}\n", line);
  return text;
}

nlohmann::ordered_json ExplanationJson(const v1::ModelExplanation& model) {
  auto list = [](const auto& field) { return std::vector<std::string>(field.begin(), field.end()); };
  return {
      {"model", model.model()},         {"summary", model.summary()},         {"wanted_by", list(model.wanted_by())},
      {"shards", list(model.shards())}, {"refusals", list(model.refusals())}, {"waits", list(model.waits())}};
}

absl::Status Explain(const ExplainOptions& options) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  ASSIGN_OR_RETURN(const v1::PlacementExplanation explanation, control::ReadExplanation(*store));
  ASSIGN_OR_RETURN(const std::string witness, control::WitnessText(*store, explanation));
  nlohmann::ordered_json json = {{"ok", true}, {"leader", explanation.leader()}, {"witness", witness}};
  json["models"] = nlohmann::ordered_json::array();
  bool found = false;
  for (const v1::ModelExplanation& model : explanation.models()) {
    const bool is_asked =
        options.model.empty() || model.model() == options.model || model.model().starts_with(options.model + "@");
    if (!is_asked) continue;
    found = true;
    if (options.common.json) {
      json["models"].push_back(ExplanationJson(model));
    } else {
      fmt::print("{}", Describe(model));
    }
  }
  if (!found && !options.model.empty()) {
    ASSIGN_OR_RETURN(const std::string why, control::WhyNotExplained(*store, options.model));
    return absl::NotFoundError(fmt::format("model '{}': {} ({})", options.model, why, witness));
  }
  if (options.common.json) {
    fmt::print("{}\n", Dump(json));
  } else {
    fmt::print("{}({})\n", found ? "" : "no rules that run, are kept or are being rolled out name a model\n", witness);
  }
  return absl::OkStatus();
}

absl::Status Drain(const DrainOptions& options, control::Drain what) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  ASSIGN_OR_RETURN(const control::ChangedDrains changed,
                   control::SetDrained(*store, what, options.name, !options.undo, options.signature.signature()));
  if (options.common.json) {
    nlohmann::ordered_json json = {{"ok", true}};
    json.update(ToJson(changed.published.info));
    json["unchanged"] = changed.published.unchanged;
    json["shards"] = std::vector<std::string>(changed.drains.shards().begin(), changed.drains.shards().end());
    json["hosts"] = std::vector<std::string>(changed.drains.hosts().begin(), changed.drains.hosts().end());
    fmt::print("{}\n", Dump(json));
  } else {
    fmt::print("{} {} {}{}\n", what == control::Drain::kShard ? "shard" : "host", options.name,
               options.undo                    ? "takes models again"
               : what == control::Drain::kHost ? "is to become empty; `signalbox placement show` says when it can be "
                                                 "stopped, `placement explain` what waits"
                                               : "is to become empty; `signalbox placement explain` says what waits",
               changed.published.unchanged ? "; it was so already" : "");
  }
  return absl::OkStatus();
}

void AddDrain(CLI::App& placement, Outcome& outcome, const std::string& name, const std::string& description,
              control::Drain what) {
  auto options = std::make_shared<DrainOptions>();
  CLI::App* command = placement.add_subcommand(name, description);
  command->add_option("NAME", options->name, what == control::Drain::kShard ? "Name of the shard" : "Id of the host")
      ->required();
  command->add_flag("--undo", options->undo, "Let it take models again");
  AddStoreOptions(*command, options->common);
  AddOptions(*command, options->signature);
  command->callback([options, name, what, &outcome] {
    if (absl::Status status = Drain(*options, what); !status.ok()) {
      outcome.exit_code = Fail("placement " + name, status, options->common.json);
    }
  });
}

}  // namespace

void AddPlacement(CLI::App& app, Outcome& outcome) {
  CLI::App* placement = app.add_subcommand("placement", "Where models are, why, and how to empty a shard or a host");
  placement->require_subcommand(1);
  auto show_options = std::make_shared<PublishedRulesOptions>();
  CLI::App* show = placement->add_subcommand(
      "show", "Which hosts and models each shard has, by what data planes route; what is drained or not used");
  AddStoreOptions(*show, *show_options);
  show->callback([show_options, &outcome] {
    if (absl::Status status = Show(*show_options); !status.ok()) {
      outcome.exit_code = Fail("placement show", status, show_options->json);
    }
  });
  auto explain_options = std::make_shared<ExplainOptions>();
  CLI::App* explain =
      placement->add_subcommand("explain", "Why each model is where it is, and why not elsewhere; what waits for whom");
  explain->add_option("MODEL", explain_options->model, "Model id, or name; all when left out");
  AddStoreOptions(*explain, explain_options->common);
  explain->callback([explain_options, &outcome] {
    if (absl::Status status = Explain(*explain_options); !status.ok()) {
      outcome.exit_code = Fail("placement explain", status, explain_options->common.json);
    }
  });
  AddDrain(*placement, outcome, "drain-shard", "Move the models of a shard to others", control::Drain::kShard);
  AddDrain(*placement, outcome, "drain-host", "Take a host out of its shard, to stop it then", control::Drain::kHost);
}

}  // namespace signalbox::cli
