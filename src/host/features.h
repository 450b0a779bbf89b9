// From domain input to the columns of the trained part. One code for training and for serving, so that the two cannot
// drift apart.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "absl/status/statusor.h"
#include "base/string_map.h"
#include "signalbox/v1/workflow.pb.h"

namespace signalbox::host {

inline constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();

// One feature of a Row (a film, a flight): either a number, kUnknown where it is not known, or a category, empty where
// it is not known, which becomes a number by the workflow's MeanEncoding of the same name.
template <typename Row>
struct FeatureDefinition {
  std::string_view name;
  float (*number)(const Row&) = nullptr;
  std::string (*category)(const Row&) = nullptr;
};

// The features that one workflow names, ready to compute. Immutable and thread-safe.
template <typename Row>
class Features {
 public:
  // INVALID_ARGUMENT for a feature that `definitions` does not have, and for a category without an encoding.
  static absl::StatusOr<Features> Compile(std::span<const FeatureDefinition<Row>> definitions,
                                          const v1::Workflow& workflow);

  size_t count() const { return columns_.size(); }

  // Writes count() numbers to `out`. The same row gives the same bytes in every process.
  void Compute(const Row& row, std::span<float> out) const {
    for (size_t i = 0; i < columns_.size(); ++i) out[i] = columns_[i].Compute(row);
  }

 private:
  struct Column {
    FeatureDefinition<Row> definition;
    StringMap<float> means;
    float otherwise = kUnknown;

    float Compute(const Row& row) const {
      if (definition.number != nullptr) return definition.number(row);
      auto found = means.find(std::string_view(definition.category(row)));
      return found == means.end() ? otherwise : found->second;
    }
  };
  std::vector<Column> columns_;
};

// The means of one category over labelled rows. `smoothing` is how many rows of the overall mean each category is mixed
// with: a director of one film says little.
template <typename Row>
v1::MeanEncoding EncodeMeans(const FeatureDefinition<Row>& definition, std::span<const Row* const> rows,
                             std::span<const float> labels, double smoothing);

// ---------------------------------------------------------------------------------------------------------------------

template <typename Row>
absl::StatusOr<Features<Row>> Features<Row>::Compile(std::span<const FeatureDefinition<Row>> definitions,
                                                     const v1::Workflow& workflow) {
  Features features;
  for (const std::string& name : workflow.features()) {
    auto definition =
        std::find_if(definitions.begin(), definitions.end(), [&](const auto& d) { return d.name == name; });
    if (definition == definitions.end()) {
      std::vector<std::string_view> names;
      for (const auto& d : definitions) names.push_back(d.name);
      return absl::InvalidArgumentError(
          fmt::format("unknown feature \"{}\"; this kind of workflow has {}", name, fmt::join(names, ", ")));
    }
    Column column{.definition = *definition, .means = {}, .otherwise = kUnknown};
    if (definition->category != nullptr) {
      const auto& encodings = workflow.encodings();
      auto encoding =
          std::find_if(encodings.begin(), encodings.end(), [&](const auto& e) { return e.feature() == name; });
      if (encoding == encodings.end()) {
        return absl::InvalidArgumentError(
            fmt::format("feature \"{}\" is a category and has no entry in encodings", name));
      }
      for (const auto& [category, mean] : encoding->means()) column.means.emplace(category, static_cast<float>(mean));
      column.otherwise = static_cast<float>(encoding->otherwise());
    }
    features.columns_.push_back(std::move(column));
  }
  if (features.columns_.empty()) return absl::InvalidArgumentError("the workflow names no features");
  return features;
}

template <typename Row>
v1::MeanEncoding EncodeMeans(const FeatureDefinition<Row>& definition, std::span<const Row* const> rows,
                             std::span<const float> labels, double smoothing) {
  struct Sum {
    double labels = 0;
    double rows = 0;
  };
  Sum all;
  StringMap<Sum> categories;
  for (size_t i = 0; i < rows.size(); ++i) {
    all.labels += labels[i];
    all.rows += 1;
    std::string category = definition.category(*rows[i]);
    if (category.empty()) continue;
    Sum& sum = categories[category];
    sum.labels += labels[i];
    sum.rows += 1;
  }
  v1::MeanEncoding encoding;
  encoding.set_feature(std::string(definition.name));
  const double mean = all.rows > 0 ? all.labels / all.rows : 0;
  encoding.set_otherwise(mean);
  for (const auto& [category, sum] : categories) {
    // Float precision is what the model sees; rounding here keeps the file short and the two equal.
    (*encoding.mutable_means())[category] =
        static_cast<float>((sum.labels + smoothing * mean) / (sum.rows + smoothing));
  }
  return encoding;
}

}  // namespace signalbox::host
