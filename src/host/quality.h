// How good a model is on rows that its training has not seen.
#pragma once

#include <cstdint>
#include <span>

namespace signalbox::host {

// Spearman's rank correlation, ties at their mean rank. -1 to 1; 0 where either side does not vary.
double Spearman(std::span<const float> scores, std::span<const float> labels);

// Mean NDCG@10 over `slates` random slates of `slate_size` rows each, drawn with `seed`. The gain of a row is 2^g - 1
// with g from 0 to 4 by its rating (5, 6, 7 and 8 on the scale of 1 to 10 are the steps). A slate in which nothing has
// a gain counts as 1.
double MeanNdcgAt10(std::span<const float> scores, std::span<const float> ratings, int slates, size_t slate_size,
                    uint64_t seed);

// Area under the ROC curve: how often a random positive scores above a random negative, ties half. Labels are 0 or 1.
// 0.5 where one kind is missing.
double AreaUnderCurve(std::span<const float> scores, std::span<const float> labels);

// Mean of -ln(probability of what happened), probabilities kept within [1e-6, 1 - 1e-6].
double LogLoss(std::span<const float> probabilities, std::span<const float> labels);

}  // namespace signalbox::host
