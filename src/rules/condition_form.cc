#include "rules/condition_form.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace signalbox::rules {
namespace {

using Test = v1::Condition::TestCase;

void SortTexts(v1::Texts& texts) {
  auto& all = *texts.mutable_texts();
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
}

// `is one of these, or one of those` is one test; also of segments, where it holds for some item of the list.
void MergeSets(std::vector<v1::Condition>& conditions) {
  std::map<std::string, size_t> first;
  std::vector<v1::Condition> merged;
  for (v1::Condition& condition : conditions) {
    if (condition.has_field() && condition.field().has_in()) {
      const auto [at, is_new] = first.try_emplace(condition.field().field(), merged.size());
      if (!is_new) {
        v1::Texts& texts = *merged[at->second].mutable_field()->mutable_in();
        texts.MergeFrom(condition.field().in());
        SortTexts(texts);
        continue;
      }
    }
    merged.push_back(std::move(condition));
  }
  conditions = std::move(merged);
}

void MakeCanonicalList(v1::Condition& condition) {
  const Test kind = condition.test_case();
  v1::Conditions& list = kind == Test::kAll ? *condition.mutable_all() : *condition.mutable_any();
  std::vector<v1::Condition> flat;
  for (v1::Condition& one : *list.mutable_conditions()) {
    MakeCanonical(one);
    if (one.test_case() != kind) {
      flat.push_back(std::move(one));
      continue;
    }
    v1::Conditions& inner = kind == Test::kAll ? *one.mutable_all() : *one.mutable_any();
    for (v1::Condition& nested : *inner.mutable_conditions()) flat.push_back(std::move(nested));
  }
  if (kind == Test::kAny) MergeSets(flat);
  std::vector<std::pair<std::string, v1::Condition>> sorted;
  sorted.reserve(flat.size());
  // Conditions hold no maps, so that their bytes are always the same.
  for (v1::Condition& one : flat) sorted.emplace_back(one.SerializeAsString(), std::move(one));
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  sorted.erase(
      std::unique(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first == b.first; }),
      sorted.end());
  if (sorted.size() == 1) {
    v1::Condition only = std::move(sorted[0].second);
    condition = std::move(only);
    return;
  }
  list.clear_conditions();
  for (auto& [bytes, one] : sorted) *list.add_conditions() = std::move(one);
}

}  // namespace

void MakeCanonical(v1::Condition& condition) {
  switch (condition.test_case()) {
    case Test::kAll:
    case Test::kAny:
      return MakeCanonicalList(condition);
    case Test::kNot: {
      MakeCanonical(*condition.mutable_not_());
      if (condition.not_().test_case() != Test::kNot) return;
      v1::Condition inner = std::move(*condition.mutable_not_()->mutable_not_());
      condition = std::move(inner);
      return;
    }
    case Test::kField:
      if (condition.field().has_in()) SortTexts(*condition.mutable_field()->mutable_in());
      if (condition.field().has_prefix()) SortTexts(*condition.mutable_field()->mutable_prefix());
      return;
    default:
      return;
  }
}

void AndWith(v1::Condition& condition, const v1::Condition& other) {
  if (other.test_case() == Test::TEST_NOT_SET) return;
  if (condition.test_case() == Test::TEST_NOT_SET) {
    condition = other;
    return;
  }
  v1::Condition both;
  *both.mutable_all()->add_conditions() = std::move(condition);
  *both.mutable_all()->add_conditions() = other;
  condition = std::move(both);
  MakeCanonical(condition);
}

size_t CountTests(const v1::Condition& condition) {
  size_t tests = 0;
  switch (condition.test_case()) {
    case Test::kAll:
      for (const v1::Condition& one : condition.all().conditions()) tests += CountTests(one);
      return tests;
    case Test::kAny:
      for (const v1::Condition& one : condition.any().conditions()) tests += CountTests(one);
      return tests;
    case Test::kNot:
      return CountTests(condition.not_());
    default:
      return 1;
  }
}

}  // namespace signalbox::rules
