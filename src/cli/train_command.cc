#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "base/status.h"
#include "cli/commands.h"
#include "host/train.h"

namespace signalbox::cli {
namespace {

struct TrainOptions {
  std::string data;
  std::string out;
  uint64_t seed = 1;
};

void PrintTable(const std::vector<host::TrainedVersion>& versions) {
  if (versions.empty()) return;
  fmt::print("{:<16} {:>8} {:>7} {:>9}", "model", "features", "rows", "held out");
  for (const auto& [metric, value] : versions.front().held_out_metrics) fmt::print(" {:>9}", metric);
  fmt::print("\n");
  for (const host::TrainedVersion& version : versions) {
    fmt::print("{:<16} {:>8} {:>7} {:>9}", fmt::format("{}@{}", version.model, version.version), version.features,
               version.rows, version.held_out_rows);
    for (const auto& [metric, value] : version.held_out_metrics) fmt::print(" {:>9.4f}", value);
    fmt::print("  {}\n", version.description);
  }
}

absl::Status Train(const TrainOptions& options) {
  ASSIGN_OR_RETURN(host::Films films, host::LoadFilms(options.data));
  fmt::print("{} films from movies.json\n", films.films.size());
  for (const std::string& repair : films.repairs) fmt::print("  {}\n", repair);
  ASSIGN_OR_RETURN(auto rankers, host::TrainTitleRanker(films, options.out, options.seed));
  PrintTable(rankers);

  ASSIGN_OR_RETURN(host::Flights flights, host::LoadFlights(options.data));
  fmt::print("\n{} flights from flights-20k.json, {} dropped\n", flights.flights.size(), flights.dropped);
  ASSIGN_OR_RETURN(auto scorers, host::TrainArrivalDelay(flights, options.out, options.seed));
  PrintTable(scorers);
  fmt::print("\nwritten to {}\n", options.out);
  return absl::OkStatus();
}

}  // namespace

void AddTrain(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* command = app.add_subcommand("train", "Train the example models on real films and flights");
  command->add_option("--data", options->data, "Folder of the data: node_modules/vega-datasets/data")->required();
  command->add_option("--out", options->out, "Model repository to write")->required();
  command->add_option("--seed", options->seed, "Equal seeds give equal models")->capture_default_str();
  command->callback([options, &outcome] {
    if (absl::Status status = Train(*options); !status.ok()) {
      fmt::print(stderr, "signalbox train: {}\n", Message(status));
      outcome.exit_code = ExitCodeOf(status);
    }
  });
}

}  // namespace signalbox::cli
