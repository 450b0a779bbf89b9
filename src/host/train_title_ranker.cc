#include <array>
#include <random>

#include <fmt/format.h>

#include "base/canonical_json.h"
#include "base/hash.h"
#include "base/status.h"
#include "host/film_features.h"
#include "host/out_of_fold.h"
#include "host/quality.h"
#include "host/train.h"
#include "host/version_folder.h"

namespace signalbox::host {
namespace {

constexpr char kName[] = "title-ranker";
constexpr double kSmoothing = 10;
constexpr size_t kSlateSize = 25;
constexpr int kHeldOutSlates = 2000;
// Fewer and the held-out fifth says nothing.
constexpr size_t kLabelledFilmsMin = 100;

struct Recipe {
  int version;
  std::string description;
  std::vector<std::string> features;
  std::map<std::string, std::string> parameters;
  int rounds;
};

std::vector<Recipe> Recipes() {
  return {
      {.version = 1,
       .description = "Ranks by year and budget alone: what is known of a film before anybody has seen it",
       .features = {"year", "log_budget"},
       .parameters = {{"objective", "reg:squarederror"}, {"max_depth", "2"}, {"eta", "0.3"}},
       .rounds = 10},
      {.version = 2,
       .description = "Adds genre, audience rating, source, creative type, running time and box office",
       .features = {"year", "log_budget", "log_us_gross", "log_worldwide_gross", "running_time", "audience_rating",
                    "genre", "source", "creative_type"},
       .parameters = {{"objective", "reg:squarederror"},
                      {"max_depth", "4"},
                      {"eta", "0.08"},
                      {"min_child_weight", "8"},
                      {"subsample", "0.8"}},
       .rounds = 120},
      {.version = 3,
       .description = "Learns to order pairs of films; adds critics, votes, director and distributor",
       .features = {"year", "log_budget", "log_us_gross", "log_worldwide_gross", "running_time", "audience_rating",
                    "genre", "source", "creative_type", "critics", "log_votes", "distributor", "director"},
       .parameters = {{"objective", "rank:pairwise"},
                      {"max_depth", "4"},
                      {"eta", "0.1"},
                      {"min_child_weight", "4"},
                      {"subsample", "0.8"}},
       .rounds = 200},
  };
}

struct Split {
  LabelledRows<v1::Film> training;
  LabelledRows<v1::Film> held_out;
};

// By hash of the title: a film stays on its side when others come or go.
Split SplitFilms(const Films& films, uint64_t seed) {
  Split split;
  for (const LabelledFilm& film : films.films) {
    if (!film.imdb_rating) continue;
    bool held_out = StableHash64(film.film.title(), seed) % 5 == 0;
    (held_out ? split.held_out : split.training).Add(film.film, *film.imdb_rating);
  }
  // The file is sorted by nothing in particular but not random either; slates are consecutive rows.
  std::mt19937_64 random(seed);
  auto& training = split.training;
  for (size_t i = training.rows.size(); i > 1; --i) {
    size_t j = random() % i;
    std::swap(training.rows[i - 1], training.rows[j]);
    std::swap(training.labels[i - 1], training.labels[j]);
  }
  return split;
}

// Pairs are made within a slate, as they are when the model is asked.
std::vector<unsigned> Slates(size_t rows) {
  std::vector<unsigned> groups(rows / kSlateSize, kSlateSize);
  if (rows % kSlateSize != 0) groups.push_back(static_cast<unsigned>(rows % kSlateSize));
  return groups;
}

absl::StatusOr<std::string> FilmTableJson(const Films& films) {
  v1::FilmTable table;
  for (const LabelledFilm& film : films.films) *table.add_films() = film.film;
  return CanonicalJson(table);
}

inference::ModelInferRequest SampleRequest(const Split& split) {
  inference::ModelInferRequest request;
  auto* input = request.add_inputs();
  input->set_name("title");
  input->set_datatype("BYTES");
  const size_t count = std::min<size_t>(5, split.held_out.rows.size());
  input->add_shape(static_cast<int64_t>(count));
  for (size_t i = 0; i < count; ++i) input->mutable_contents()->add_bytes_contents(split.held_out.rows[i]->title());
  return request;
}

absl::StatusOr<TrainedVersion> TrainVersion(const Recipe& recipe, const Split& split, const std::string& films_json,
                                            const std::string& data_sha256, const std::string& repository,
                                            uint64_t seed) {
  const auto definitions = FilmFeatureDefinitions();
  VersionFolder folder;
  v1::Workflow& workflow = folder.workflow;
  workflow.set_kind(v1::Workflow::TITLE_RANKING);
  workflow.set_description(recipe.description);
  for (const std::string& feature : recipe.features) workflow.add_features(feature);

  TrainingSet set;
  ASSIGN_OR_RETURN(set.features, OutOfFoldFeatures<v1::Film>(definitions, workflow, split.training, kSmoothing));
  set.labels = split.training.labels;
  if (recipe.parameters.at("objective").starts_with("rank:")) set.groups = Slates(set.labels.size());
  std::map<std::string, std::string> parameters = recipe.parameters;
  parameters["seed"] = std::to_string(seed);
  ASSIGN_OR_RETURN(Booster booster, Booster::Train(set, parameters, recipe.rounds));

  FitEncodings<v1::Film>(definitions, split.training, kSmoothing, workflow);
  ASSIGN_OR_RETURN(Matrix held_out, ComputeFeatures<v1::Film>(definitions, workflow, split.held_out.rows));
  std::vector<float> scores;
  RETURN_IF_ERROR(booster.Predict(held_out, scores));
  auto& metrics = *workflow.mutable_held_out_metrics();
  metrics["ndcg@10"] = MeanNdcgAt10(scores, split.held_out.labels, kHeldOutSlates, kSlateSize, seed);
  metrics["spearman"] = Spearman(scores, split.held_out.labels);

  *workflow.mutable_sample_request() = SampleRequest(split);
  v1::Training& training = *workflow.mutable_training();
  training.mutable_parameters()->insert(parameters.begin(), parameters.end());
  training.set_rounds(recipe.rounds);
  training.set_rows(static_cast<int64_t>(split.training.rows.size()));
  training.set_held_out_rows(static_cast<int64_t>(split.held_out.rows.size()));
  training.set_data_sha256(data_sha256);
  training.set_seed(seed);
  ASSIGN_OR_RETURN(folder.files[kModelFile], booster.Serialize());
  folder.files[kFilmsFile] = films_json;

  TrainedVersion trained{.model = kName,
                         .version = recipe.version,
                         .description = recipe.description,
                         .features = workflow.features_size(),
                         .rows = training.rows(),
                         .held_out_rows = training.held_out_rows(),
                         .held_out_metrics = {metrics.begin(), metrics.end()}};
  RETURN_IF_ERROR(WriteVersionFolder(fmt::format("{}/{}/{}", repository, kName, recipe.version), std::move(folder)));
  return trained;
}

}  // namespace

absl::StatusOr<std::vector<TrainedVersion>> TrainTitleRanker(const Films& films, const std::string& repository,
                                                             uint64_t seed) {
  const Split split = SplitFilms(films, seed);
  if (size_t labelled = split.training.rows.size() + split.held_out.rows.size(); labelled < kLabelledFilmsMin) {
    return absl::InvalidArgumentError(
        fmt::format("{} films with an IMDB rating, training needs at least {}", labelled, kLabelledFilmsMin));
  }
  ASSIGN_OR_RETURN(std::string films_json, FilmTableJson(films));
  std::vector<TrainedVersion> versions;
  for (const Recipe& recipe : Recipes()) {
    ASSIGN_OR_RETURN(TrainedVersion version,
                     TrainVersion(recipe, split, films_json, films.data_sha256, repository, seed));
    versions.push_back(std::move(version));
  }
  return versions;
}

}  // namespace signalbox::host
