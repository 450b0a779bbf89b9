#include "cli/demo/demo_models.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/status.h"
#include "host/train.h"

namespace signalbox::cli {
namespace {

constexpr size_t kMarkBytesMax = 4096;

// What the models in a repository come from; written when all of them are there.
std::string Mark(const host::Films& films, const host::Flights& flights, uint64_t seed) {
  return fmt::format("signalbox {}\nmovies.json {}\nflights-20k.json {}\nseed {}\n", SIGNALBOX_VERSION,
                     films.data_sha256, flights.data_sha256, seed);
}

}  // namespace

absl::StatusOr<std::string> TrainOnce(const std::string& data_folder, const std::string& repository, uint64_t seed) {
  ASSIGN_OR_RETURN(host::Films films, host::LoadFilms(data_folder));
  ASSIGN_OR_RETURN(host::Flights flights, host::LoadFlights(data_folder));
  const std::string mark_file = repository + "/trained-from.txt";
  const std::string mark = Mark(films, flights, seed);
  if (absl::StatusOr<std::string> found = ReadFile(mark_file, kMarkBytesMax); found.ok() && *found == mark)
    return fmt::format("trained before, in {}", repository);

  ASSIGN_OR_RETURN(auto rankers, host::TrainTitleRanker(films, repository, seed));
  ASSIGN_OR_RETURN(auto scorers, host::TrainArrivalDelay(flights, repository, seed));
  RETURN_IF_ERROR(WriteFileAtomically(mark_file, mark));
  return fmt::format("{} versions trained on {} films and {} flights", rankers.size() + scorers.size(),
                     films.films.size(), flights.flights.size());
}

}  // namespace signalbox::cli
