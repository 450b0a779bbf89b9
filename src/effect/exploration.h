// Every way that decisions can go, followed to its end.
#pragma once

#include <bitset>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "effect/context_space.h"
#include "effect/share.h"

namespace signalbox::effect {

// Beyond these nobody reads what would come out, and it would take minutes.
inline constexpr size_t kClassesMax = 1U << 12;
inline constexpr size_t kPathsMax = 1U << 18;
// Of whom draws that depend on one another are counted.
inline constexpr size_t kCountedUnits = 50'000;

// A draw by a hash: a number in [0, count) that is uniform over the units, and independent of every other draw. The
// same draw asked twice gives the same number, in the old rules and in the new ones.
struct Draw {
  // What makes it the same: hash, purpose and seed.
  std::string id;
  size_t unit_field = 0;

  friend auto operator<=>(const Draw&, const Draw&) = default;
};

// What is true of the requests on a path.
struct PathState {
  const ContextClass* contexts = nullptr;
  struct Interval {
    uint32_t begin = 0;
    uint32_t end = 0;
    uint32_t count = 0;
  };
  std::map<Draw, Interval> draws;
  // Of the requests of `contexts`.
  Share share;
};

// Runs a program, which asks questions about a request, once for every way that they can be answered. It does so by
// running it again and again: a question that is not decided by what was answered before it in the same run is answered
// in one way now, and in the others in later runs. Questions about the context divide classes of contexts; within one
// class only draws differ.
class Exploration {
 public:
  // `space` outlives it.
  explicit Exploration(const ContextSpace& space, size_t classes_max = kClassesMax, size_t paths_max = kPathsMax)
      : space_(space), classes_max_(classes_max), paths_max_(paths_max) {}

  // Calls `run` for every path, and `on_path` when it has come to its end; when all paths of a class are through,
  // `on_class`. Paths of a class that turns out to be two are given again for each of the two: what was told of a class
  // counts when `on_class` is called, and is to be forgotten when `on_restart` is. False: there are more classes or
  // paths than there may be.
  struct Program {
    std::function<void()> run;
    std::function<void(const PathState&)> on_path;
    std::function<void(const ContextClass&)> on_class;
    std::function<void()> on_restart;
  };
  [[nodiscard]] bool Follow(const Program& program);
  // These draws, by id, depend on one another where they are of the same unit: how many units a path has is counted
  // over generated ones.
  void CountDraws(std::set<std::string> ids) { counted_ids_ = std::move(ids); }

  // The questions, for the program while it runs. When a class must be divided first, the answers mean nothing until
  // the program has come back. Tests and fields are known by their addresses, so they stay where they are.
  bool Holds(const v1::FieldTest& test);
  // The first of `fields` that requests have; nullopt: none.
  std::optional<size_t> UnitOf(std::span<const std::string> fields);
  // The cell that the platform gives; empty: none.
  std::string_view RemoteCell(std::string_view experiment);
  // Whether the draw gives a number in [begin, end), of [0, count); `count` divides a million. `bucket_of` is asked
  // where the rules name the unit, whose draw is known.
  bool IsIn(const Draw& draw, uint32_t begin, uint32_t end, uint32_t count,
            const std::function<uint32_t(std::string_view unit)>& bucket_of);
  // Something has to be divided: what the program still asks is not heard.
  bool must_divide() const { return split_.has_value(); }
  const std::string& FieldName(size_t field) const { return space_.fields()[field].name; }

 private:
  struct Choice {
    std::vector<PathState::Interval> pieces;
    size_t at = 0;
  };

  bool FollowClass(const Program& program);
  bool NextPath();
  Share ShareOfPath();
  const std::bitset<kCountedUnits>& UnitsIn(const Draw& draw, const PathState::Interval& interval);
  std::optional<size_t> FindUnit(std::span<const std::string> fields);
  std::optional<std::string_view> NamedUnit(size_t field);
  std::optional<std::string_view> FindNamedUnit(size_t field);

  const ContextSpace& space_;
  const size_t classes_max_;
  const size_t paths_max_;
  size_t classes_ = 0;
  size_t paths_ = 0;
  ContextClass contexts_;
  PathState path_;
  std::optional<Split> split_;
  // To find a test means to read all of it, and some name thousands of units.
  std::unordered_map<const void*, ContextSpace::TestPlace> places_;
  // What has been answered for all requests of the class.
  std::unordered_map<const void*, bool> holds_;
  std::unordered_map<const void*, std::optional<size_t>> units_;
  std::unordered_map<size_t, std::optional<std::string_view>> named_units_;
  std::set<std::string> counted_ids_;
  // Where each of the generated units falls.
  std::map<Draw, std::vector<uint32_t>> counted_buckets_;
  std::map<std::tuple<Draw, uint32_t, uint32_t>, std::bitset<kCountedUnits>> counted_units_;
  std::vector<Choice> choices_;
  // Of choices_, how many were asked for in this run.
  size_t asked_ = 0;
};

}  // namespace signalbox::effect
