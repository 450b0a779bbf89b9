// Trains the two example models on real data and writes them as a model repository:
//
//   REPOSITORY/title-ranker/{1,2,3}/{workflow.json, model.ubj, films.json}
//   REPOSITORY/arrival-delay/{1,2}/{workflow.json, model.ubj}
//
// The versions of a model are of visibly different quality, so that an experiment between them has something to find.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "host/films.h"
#include "host/flights.h"

namespace signalbox::host {

struct TrainedVersion {
  std::string model;
  int version = 0;
  std::string description;
  int features = 0;
  int64_t rows = 0;
  int64_t held_out_rows = 0;
  std::map<std::string, double> held_out_metrics;
};

// Equal data, seed and XGBoost give equal files, byte for byte. A version that is there already is replaced as a whole.
// A few seconds each, on the calling thread.
//
// Label: the film's IMDB rating. Held out: one film in five, by hash of its title. Metrics: "ndcg@10" (slates of 25),
// "spearman".
absl::StatusOr<std::vector<TrainedVersion>> TrainTitleRanker(const Films& films, const std::string& repository,
                                                             uint64_t seed);
// Label: 15 minutes late or more at arrival. Held out: the last fifth of the days, since a model is used on days that
// are still to come. Metrics: "auc", "log_loss".
absl::StatusOr<std::vector<TrainedVersion>> TrainArrivalDelay(const Flights& flights, const std::string& repository,
                                                              uint64_t seed);

}  // namespace signalbox::host
