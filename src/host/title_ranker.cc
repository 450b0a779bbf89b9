#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "base/canonical_json.h"
#include "base/status.h"
#include "base/string_map.h"
#include "host/booster.h"
#include "host/film_features.h"
#include "host/model.h"
#include "host/title_order.h"

namespace signalbox::host {
namespace {

constexpr TensorSpec kInputs[] = {{.name = "title", .datatype = "BYTES"}};
enum Output : size_t { kTitle, kScore };
constexpr TensorSpec kOutputs[] = {{.name = "title", .datatype = "BYTES"}, {.name = "score", .datatype = "FP32"}};

class TitleRanker : public Model {
 public:
  TitleRanker(v1::Workflow workflow, v1::FilmTable table, Features<v1::Film> features, Booster booster)
      : Model(std::move(workflow)),
        table_(std::move(table)),
        features_(std::move(features)),
        booster_(std::move(booster)) {
    for (const v1::Film& film : table_.films()) films_.emplace(film.title(), &film);
  }

  std::span<const TensorSpec> inputs() const override { return kInputs; }
  std::span<const TensorSpec> outputs() const override { return kOutputs; }

  absl::Status Infer(const inference::ModelInferRequest& request, const RequestMetadata& metadata,
                     inference::ModelInferResponse& response) const override {
    RETURN_IF_ERROR(Outputs::CheckRequested(request, kOutputs));
    ASSIGN_OR_RETURN(Inputs inputs, Inputs::Read(request, kInputs));
    ASSIGN_OR_RETURN(OrderPolicy policy, ReadOrderPolicy(request, metadata));

    const std::span<const std::string_view> titles = inputs.Bytes(0);
    std::vector<Candidate> candidates = LookUp(titles);
    RETURN_IF_ERROR(Score(candidates));
    const std::vector<size_t> order = Order(candidates, policy);
    Write(titles, candidates, order, request, response);
    return absl::OkStatus();
  }

 private:
  std::vector<Candidate> LookUp(std::span<const std::string_view> titles) const {
    std::vector<Candidate> candidates(titles.size());
    for (size_t i = 0; i < titles.size(); ++i) {
      if (auto found = films_.find(titles[i]); found != films_.end()) candidates[i].film = found->second;
    }
    return candidates;
  }

  absl::Status Score(std::vector<Candidate>& candidates) const {
    // A film that the table does not have gets the features of one of which nothing is known.
    static const v1::Film kNothingKnown;
    Matrix matrix{.columns = features_.count(), .values = {}};
    matrix.values.reserve(candidates.size() * matrix.columns);
    for (const Candidate& candidate : candidates) {
      features_.Compute(candidate.film != nullptr ? *candidate.film : kNothingKnown, matrix.AddRow());
    }
    std::vector<float> scores;
    RETURN_IF_ERROR(booster_.Predict(matrix, scores));
    for (size_t i = 0; i < candidates.size(); ++i) candidates[i].score = scores[i];
    return absl::OkStatus();
  }

  static void Write(std::span<const std::string_view> titles, std::span<const Candidate> candidates,
                    std::span<const size_t> order, const inference::ModelInferRequest& request,
                    inference::ModelInferResponse& response) {
    std::vector<std::string_view> ranked_titles;
    std::vector<float> scores;
    int64_t unknown = 0;
    for (size_t index : order) {
      ranked_titles.push_back(titles[index]);
      scores.push_back(candidates[index].score);
      unknown += candidates[index].film == nullptr ? 1 : 0;
    }
    Outputs outputs(request, response);
    outputs.Add(kOutputs[kTitle], ranked_titles);
    outputs.Add(kOutputs[kScore], scores);
    if (unknown > 0) (*response.mutable_parameters())["unknown_titles"].set_int64_param(unknown);
  }

  v1::FilmTable table_;
  StringMap<const v1::Film*> films_;  // into table_
  Features<v1::Film> features_;
  Booster booster_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Model>> MakeTitleRanker(VersionFolder folder) {
  v1::FilmTable table;
  if (absl::Status status = ParseJson(folder.files[kFilmsFile], table); !status.ok()) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", kFilmsFile, Message(status)));
  }
  ASSIGN_OR_RETURN(auto features, Features<v1::Film>::Compile(FilmFeatureDefinitions(), folder.workflow));
  ASSIGN_OR_RETURN(Booster booster, Booster::Parse(folder.files[kModelFile], features.count()));
  return std::make_unique<TitleRanker>(std::move(folder.workflow), std::move(table), std::move(features),
                                       std::move(booster));
}

}  // namespace signalbox::host
