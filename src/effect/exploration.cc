#include "effect/exploration.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/hash.h"

namespace signalbox::effect {
namespace {

constexpr uint32_t kWholePpm = 1'000'000;
static_assert(kWholePpm % kCountedUnits == 0, "a share of the units is whole parts per million");

// The same every time; as long as ids are in practice.
std::string GeneratedUnit(size_t index) { return fmt::format("unit-{:016x}", StableHash64("unit", index)); }

}  // namespace

bool Exploration::Follow(const Program& program) {
  classes_ = 0;
  paths_ = 0;
  std::vector<ContextClass> open = {space_.Everything()};
  while (!open.empty()) {
    contexts_ = std::move(open.back());
    open.pop_back();
    if (++classes_ > classes_max_) return false;
    if (!FollowClass(program)) return false;
    if (split_.has_value()) {
      program.on_restart();
      open.push_back(PartOf(contexts_, *split_, false));
      open.push_back(PartOf(contexts_, *split_, true));
    } else {
      program.on_class(contexts_);
    }
  }
  return true;
}

bool Exploration::FollowClass(const Program& program) {
  choices_.clear();
  split_.reset();
  holds_.clear();
  units_.clear();
  named_units_.clear();
  do {
    if (++paths_ > paths_max_) return false;
    asked_ = 0;
    path_.contexts = &contexts_;
    path_.draws.clear();
    program.run();
    if (split_.has_value()) return true;
    path_.share = ShareOfPath();
    program.on_path(path_);
  } while (NextPath());
  return true;
}

Share Exploration::ShareOfPath() {
  Share share = Share::Whole();
  std::map<size_t, std::bitset<kCountedUnits>> counted;  // by field of the unit
  for (const auto& [draw, interval] : path_.draws) {
    if (!counted_ids_.contains(draw.id)) {
      share = share.Times((interval.end - interval.begin) * (kWholePpm / interval.count));
      continue;
    }
    const std::bitset<kCountedUnits>& units = UnitsIn(draw, interval);
    const auto [of_unit, is_new] = counted.try_emplace(draw.unit_field, units);
    if (!is_new) of_unit->second &= units;
  }
  for (const auto& [field, units] : counted)
    share = share.Times(static_cast<uint32_t>(units.count() * (kWholePpm / kCountedUnits)));
  return share;
}

const std::bitset<kCountedUnits>& Exploration::UnitsIn(const Draw& draw, const PathState::Interval& interval) {
  const auto [known, is_new] = counted_units_.try_emplace({draw, interval.begin, interval.end});
  if (is_new) {
    const std::vector<uint32_t>& buckets = counted_buckets_.at(draw);
    for (size_t unit = 0; unit < kCountedUnits; ++unit)
      known->second[unit] = buckets[unit] >= interval.begin && buckets[unit] < interval.end;
  }
  return known->second;
}

bool Exploration::NextPath() {
  while (!choices_.empty() && choices_.back().at + 1 == choices_.back().pieces.size()) choices_.pop_back();
  if (choices_.empty()) return false;
  ++choices_.back().at;
  return true;
}

bool Exploration::Holds(const v1::FieldTest& test) {
  if (split_.has_value()) return false;
  if (const auto known = holds_.find(&test); known != holds_.end()) return known->second;
  Split split;
  auto place = places_.find(&test);
  if (place == places_.end()) place = places_.emplace(&test, space_.PlaceOf(test)).first;
  const std::optional<bool> holds = space_.Ask(contexts_, place->second, split);
  if (!holds.has_value()) split_ = std::move(split);
  return holds_[&test] = holds.value_or(false);
}

std::optional<size_t> Exploration::UnitOf(std::span<const std::string> fields) {
  if (const auto known = units_.find(fields.data()); known != units_.end()) return known->second;
  return units_[fields.data()] = FindUnit(fields);
}

std::optional<size_t> Exploration::FindUnit(std::span<const std::string> fields) {
  for (const std::string& field : fields) {
    if (split_.has_value()) return std::nullopt;
    Split split;
    const std::optional<bool> is_there = space_.AskPresent(contexts_, field, split);
    if (!is_there.has_value()) split_ = std::move(split);
    if (is_there.value_or(false)) return space_.FindField(field);
  }
  return std::nullopt;
}

std::string_view Exploration::RemoteCell(std::string_view experiment) {
  const std::optional<size_t> field = space_.FindRemote(experiment);
  if (split_.has_value() || !field.has_value()) return "";
  Split split;
  const ValueKind* kind = space_.AskKind(contexts_, *field, split);
  if (kind == nullptr) split_ = std::move(split);
  return kind == nullptr ? "" : std::string_view(kind->example);
}

std::optional<std::string_view> Exploration::NamedUnit(size_t field) {
  if (const auto known = named_units_.find(field); known != named_units_.end()) return known->second;
  return named_units_[field] = FindNamedUnit(field);
}

// The unit of all requests of the class, where it is one that the rules name. Divides the class when only some have it.
std::optional<std::string_view> Exploration::FindNamedUnit(size_t field) {
  const std::vector<ValueKind>& kinds = space_.fields()[field].values.kinds;
  const KindSet& set = contexts_.fields[field];
  KindSet named(set.size());
  size_t set_count = 0;
  size_t last_named = set.size();
  for (size_t kind = 0; kind < set.size(); ++kind) {
    if (!set[kind]) continue;
    ++set_count;
    if (kinds[kind].is_open || kinds[kind].named.size() != 1) continue;
    named[kind] = true;
    last_named = kind;
  }
  if (last_named == set.size()) return std::nullopt;
  if (set_count == 1) return kinds[last_named].named[0];
  KindSet one(set.size());
  one[last_named] = true;
  split_ = Split{field, std::move(one)};
  return std::nullopt;
}

bool Exploration::IsIn(const Draw& draw, uint32_t begin, uint32_t end, uint32_t count,
                       const std::function<uint32_t(std::string_view)>& bucket_of) {
  if (split_.has_value()) return false;
  const std::optional<std::string_view> unit = NamedUnit(draw.unit_field);
  if (split_.has_value()) return false;
  if (unit.has_value()) {
    const uint32_t bucket = bucket_of(*unit);
    return bucket >= begin && bucket < end;
  }
  if (counted_ids_.contains(draw.id)) {
    std::vector<uint32_t>& buckets = counted_buckets_[draw];
    for (size_t i = buckets.size(); i < kCountedUnits; ++i) buckets.push_back(bucket_of(GeneratedUnit(i)));
  }
  PathState::Interval& known = path_.draws.try_emplace(draw, PathState::Interval{0, count, count}).first->second;
  std::vector<PathState::Interval> pieces;
  const uint32_t cuts[] = {known.begin, std::clamp(begin, known.begin, known.end),
                           std::clamp(end, known.begin, known.end), known.end};
  for (size_t i = 0; i + 1 < std::size(cuts); ++i) {
    if (cuts[i] < cuts[i + 1]) pieces.push_back({cuts[i], cuts[i + 1], count});
  }
  if (pieces.size() > 1) {
    if (asked_ == choices_.size()) choices_.push_back({std::move(pieces), 0});
    const Choice& choice = choices_[asked_++];
    known = choice.pieces[choice.at];
  }
  return known.begin >= begin && known.begin < end;
}

}  // namespace signalbox::effect
