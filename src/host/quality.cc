#include "host/quality.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace signalbox::host {
namespace {

std::vector<size_t> OrderAscending(std::span<const float> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  return order;
}

// From 1; equal values share the mean of their ranks.
std::vector<double> Ranks(std::span<const float> values) {
  std::vector<size_t> order = OrderAscending(values);
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i) ranks[order[i]] = static_cast<double>(begin + end + 1) / 2;
    begin = end;
  }
  return ranks;
}

double Gain(float rating) {
  int grade = rating >= 8 ? 4 : rating >= 7 ? 3 : rating >= 6 ? 2 : rating >= 5 ? 1 : 0;
  return std::exp2(grade) - 1;
}

// Of the first ten of `slate` in descending order of `key`.
double DiscountedGain(std::vector<size_t>& slate, std::span<const float> key, std::span<const float> ratings) {
  std::stable_sort(slate.begin(), slate.end(), [&](size_t a, size_t b) { return key[a] > key[b]; });
  double sum = 0;
  for (size_t i = 0; i < std::min<size_t>(10, slate.size()); ++i) {
    sum += Gain(ratings[slate[i]]) / std::log2(static_cast<double>(i + 2));
  }
  return sum;
}

}  // namespace

double Spearman(std::span<const float> scores, std::span<const float> labels) {
  std::vector<double> a = Ranks(scores), b = Ranks(labels);
  const double mean = (static_cast<double>(a.size()) + 1) / 2;
  double covariance = 0, variance_a = 0, variance_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    covariance += (a[i] - mean) * (b[i] - mean);
    variance_a += (a[i] - mean) * (a[i] - mean);
    variance_b += (b[i] - mean) * (b[i] - mean);
  }
  return variance_a > 0 && variance_b > 0 ? covariance / std::sqrt(variance_a * variance_b) : 0;
}

double MeanNdcgAt10(std::span<const float> scores, std::span<const float> ratings, int slates, size_t slate_size,
                    uint64_t seed) {
  if (scores.empty() || slates <= 0) return 0;
  std::mt19937_64 random(seed);
  std::vector<size_t> rows(scores.size());
  std::iota(rows.begin(), rows.end(), size_t{0});
  double sum = 0;
  for (int s = 0; s < slates; ++s) {
    // The first steps of a Fisher-Yates shuffle; the standard's distributions may differ between libraries, a remainder
    // does not.
    const size_t size = std::min(slate_size, rows.size());
    for (size_t i = 0; i < size; ++i) std::swap(rows[i], rows[i + random() % (rows.size() - i)]);
    std::vector<size_t> slate(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(size));
    const double gain = DiscountedGain(slate, scores, ratings);
    const double ideal = DiscountedGain(slate, ratings, ratings);
    sum += ideal > 0 ? gain / ideal : 1;
  }
  return sum / slates;
}

double AreaUnderCurve(std::span<const float> scores, std::span<const float> labels) {
  std::vector<double> ranks = Ranks(scores);
  double positives = 0, rank_sum = 0;
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (labels[i] < 0.5f) continue;
    positives += 1;
    rank_sum += ranks[i];
  }
  const double negatives = static_cast<double>(ranks.size()) - positives;
  if (positives == 0 || negatives == 0) return 0.5;
  return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives);
}

double LogLoss(std::span<const float> probabilities, std::span<const float> labels) {
  if (probabilities.empty()) return 0;
  double sum = 0;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const double p = std::clamp(static_cast<double>(probabilities[i]), 1e-6, 1 - 1e-6);
    sum -= labels[i] >= 0.5f ? std::log(p) : std::log(1 - p);
  }
  return sum / static_cast<double>(probabilities.size());
}

}  // namespace signalbox::host
