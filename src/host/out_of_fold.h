// Category encodings that do not leak a row's own label into its features.
#pragma once

#include <span>
#include <vector>

#include "base/status.h"
#include "host/booster.h"
#include "host/features.h"

namespace signalbox::host {

template <typename Row>
struct LabelledRows {
  std::vector<const Row*> rows;
  std::vector<float> labels;

  void Add(const Row& row, float label) {
    rows.push_back(&row);
    labels.push_back(label);
  }
};

// Replaces the workflow's encodings by those fitted to `set`, for every feature of it that is a category.
template <typename Row>
void FitEncodings(std::span<const FeatureDefinition<Row>> definitions, const LabelledRows<Row>& set, double smoothing,
                  v1::Workflow& workflow) {
  workflow.clear_encodings();
  for (const auto& definition : definitions) {
    const auto& names = workflow.features();
    if (definition.category == nullptr || std::find(names.begin(), names.end(), definition.name) == names.end())
      continue;
    *workflow.add_encodings() = EncodeMeans<Row>(definition, set.rows, set.labels, smoothing);
  }
}

// The features of every row under the workflow as it is.
template <typename Row>
absl::StatusOr<Matrix> ComputeFeatures(std::span<const FeatureDefinition<Row>> definitions,
                                       const v1::Workflow& workflow, std::span<const Row* const> rows) {
  ASSIGN_OR_RETURN(auto features, Features<Row>::Compile(definitions, workflow));
  Matrix matrix{.columns = features.count(), .values = {}};
  for (const Row* row : rows) features.Compute(*row, matrix.AddRow());
  return matrix;
}

// The features of training rows: each row's categories are encoded by the labels of other rows only. Encoded by its
// own, the one film of a director would be told its rating, and the trees would learn to trust what they will never be
// told again.
template <typename Row>
absl::StatusOr<Matrix> OutOfFoldFeatures(std::span<const FeatureDefinition<Row>> definitions,
                                         const v1::Workflow& workflow, const LabelledRows<Row>& set, double smoothing) {
  constexpr size_t kFolds = 5;
  Matrix matrix{.columns = static_cast<size_t>(workflow.features_size()),
                .values = std::vector<float>(set.rows.size() * static_cast<size_t>(workflow.features_size()))};
  for (size_t fold = 0; fold < kFolds; ++fold) {
    LabelledRows<Row> others;
    for (size_t i = 0; i < set.rows.size(); ++i) {
      if (i % kFolds != fold) others.Add(*set.rows[i], set.labels[i]);
    }
    v1::Workflow fitted = workflow;
    FitEncodings(definitions, others, smoothing, fitted);
    ASSIGN_OR_RETURN(auto features, Features<Row>::Compile(definitions, fitted));
    for (size_t i = fold; i < set.rows.size(); i += kFolds) {
      features.Compute(*set.rows[i], std::span(matrix.values).subspan(i * matrix.columns, matrix.columns));
    }
  }
  return matrix;
}

}  // namespace signalbox::host
