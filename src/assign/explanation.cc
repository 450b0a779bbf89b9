#include "assign/explanation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

namespace signalbox::assign {
namespace {

constexpr double kUnitsPerCore = 1e9;
constexpr size_t kNamesMax = 5;  // told of a list

double Cores(Sum load) { return static_cast<double>(load) / kUnitsPerCore; }
double Percent(double part) { return part * 100; }

std::string TextOfCores(double cores) {
  if (cores != 0 && cores < 0.1) return fmt::format("{:.4g}", cores);
  return fmt::format("{:.{}f}", cores, cores < 100 ? 2 : 0);
}

std::string TextOfNames(const std::vector<std::string>& names) {
  if (names.empty()) return "none";
  if (names.size() > kNamesMax) {
    return fmt::format("{} and {} more", fmt::join(names.begin(), names.begin() + kNamesMax, ", "),
                       names.size() - kNamesMax);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string TextOfAccelerator(const std::string& accelerator) { return accelerator.empty() ? "none" : accelerator; }

class Explainer {
 public:
  explicit Explainer(const Layout& layout) : layout_(layout), problem_(layout.problem()) {
    for (int s = 0; s < problem_.shard_count(); ++s) by_name_.push_back(s);
  }

  Explanation Explain(int m, const Assignment& current, bool with_refusals) const;

 private:
  const std::string& NameOf(int s) const { return problem_.shard(s).shard->name; }
  const std::string& IdOf(int m) const { return problem_.model(m).model->id; }
  std::vector<int> Sorted(const std::vector<int>& numbers) const {
    std::vector<int> sorted = numbers;
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  }
  std::string NamesOf(const std::vector<int>& shards) const {
    std::vector<std::string> names;
    for (const int s : Sorted(shards)) names.push_back(NameOf(s));
    return TextOfNames(names);
  }
  // Why it cannot be on the shard, as things are. Empty: it could.
  std::string Obstacle(int m, int s) const;
  std::string KindObstacle(int m, int s) const;
  std::string RoomObstacle(int m, int s) const;
  std::string CompanyObstacle(int m, int s) const;
  std::string WhyNot(int m, int s) const;
  std::string Whole(int m) const;
  std::string Trouble(int m) const;
  std::string Summary(int m, const Explanation& explanation, const Assignment& current) const;

  const Layout& layout_;
  const Problem& problem_;
  std::vector<int> by_name_;
};

std::string Explainer::KindObstacle(int m, int s) const {
  const Model& model = *problem_.model(m).model;
  const Shard& shard = *problem_.shard(s).shard;
  switch (problem_.KindOn(m, s)) {
    case Kind::kRight:
      return "";
    case Kind::kPinnedElsewhere:
      return fmt::format("is pinned to {}", TextOfNames(model.pinned_shards));
    case Kind::kAccelerator:
      return fmt::format("needs accelerator {}, the shard has {}", model.accelerator,
                         TextOfAccelerator(shard.accelerator));
    case Kind::kNamespaces:
      return fmt::format("the shard is for {} alone; rules that name the model, or what requires it: {}",
                         TextOfNames(shard.namespaces), TextOfNames(model.namespaces));
  }
  return "";
}

std::string Explainer::CompanyObstacle(int m, int s) const {
  std::vector<int> others;
  for (const int other : layout_.ModelsOn(s)) {
    if (other != m && !problem_.MayShare(m, other)) others.push_back(other);
  }
  if (others.empty()) return "";
  const int first = *std::min_element(others.begin(), others.end());
  if (!problem_.model(m).model->exclusive) return fmt::format("{} is there, which has its shards alone", IdOf(first));
  if (others.size() == 1) return fmt::format("needs its shards alone, {} is there", IdOf(first));
  return fmt::format("needs its shards alone, {} and {} more are there", IdOf(first), others.size() - 1);
}

std::string Explainer::RoomObstacle(int m, int s) const {
  const ModelFacts& model = problem_.model(m);
  const ShardFacts& shard = problem_.shard(s);
  if (shard.memory != 0 && layout_.MemoryOn(s) + model.memory > shard.memory) {
    const Sum free = std::max<Sum>(0, static_cast<Sum>(shard.memory) - layout_.MemoryOn(s));
    std::string needs = TextOfBytes(model.memory);
    std::string has = TextOfBytes(free);
    if (needs == has) {  // by rounding alone
      needs = fmt::format("{} bytes", model.memory);
      has = fmt::format("{} bytes", static_cast<uint64_t>(free));
    }
    return fmt::format("needs {}, {} of {} are free", needs, has, TextOfBytes(shard.memory));
  }
  if (layout_.LoadOn(s) + model.share > shard.load_limit) {
    const double needed = Cores(model.share);
    const double free = std::max(0.0, Cores(shard.load_limit - layout_.LoadOn(s)));
    std::string needs = TextOfCores(needed);
    std::string has = TextOfCores(free);
    if (needs == has) {
      needs = fmt::format("{:.9f}", needed);
      has = fmt::format("{:.9f}", free);
    }
    return fmt::format("needs {} cores, {} of the {} that may be planned with are free", needs, has,
                       TextOfCores(Cores(shard.load_limit)));
  }
  return "";
}

std::string Explainer::Obstacle(int m, int s) const {
  if (std::string kind = KindObstacle(m, s); !kind.empty()) return kind;
  const Shard& shard = *problem_.shard(s).shard;
  if (shard.draining) return "is draining";
  if (problem_.shard(s).capacity == 0) return "has no live host";
  for (const int required : problem_.model(m).required) {
    if (!layout_.On(required, s)) return fmt::format("requires {}, which is not there", IdOf(required));
  }
  if (!layout_.ZoneIsFree(m, s)) {
    for (const int other : Sorted(layout_.ShardsOf(m))) {
      if (problem_.shard(other).zone != problem_.shard(s).zone) continue;
      return fmt::format("is in zone {}, where it is on {}", shard.zone.empty() ? "\"\"" : shard.zone, NameOf(other));
    }
  }
  if (std::string company = CompanyObstacle(m, s); !company.empty()) return company;
  return RoomObstacle(m, s);
}

std::string Explainer::WhyNot(int m, int s) const {
  if (std::string obstacle = Obstacle(m, s); !obstacle.empty()) return obstacle;
  const ModelFacts& model = problem_.model(m);
  const std::vector<int>& shards = layout_.ShardsOf(m);
  if (shards.empty()) {
    return fmt::format("has room, but {} {} needed", model.replicas, model.replicas == 1 ? "shard is" : "shards are");
  }
  if (std::all_of(shards.begin(), shards.end(), [&](int on) { return problem_.IsHome(m, on); })) {
    return "has room, but it stays where it was";
  }
  return fmt::format("has room, but would be {:.0f} % utilised", Percent(layout_.Utilisation(s, model.share)));
}

std::string Explainer::Whole(int m) const {
  const ModelFacts& model = problem_.model(m);
  if (!model.impossible.empty()) return model.impossible;
  if (layout_.Missing(m) <= 0) return "";
  int with_room = 0;
  std::set<int> zones;
  for (int s = 0; s < problem_.shard_count(); ++s) {
    if (layout_.On(m, s) || !layout_.Fits({m}, s)) continue;
    ++with_room;
    zones.insert(problem_.shard(s).zone);
  }
  const int placed = static_cast<int>(layout_.ShardsOf(m).size());
  const std::string also = model.flaw.empty() ? "" : "; " + model.flaw;
  if (model.model->spread_zones && static_cast<int>(zones.size()) < with_room) {
    return fmt::format("spread over {} zones, it is in {}, and those with room are in {} more{}", model.replicas,
                       placed, zones.size(), also);
  }
  return fmt::format("needs {} {}, is on {}, and {} more {} room for it{}", model.replicas,
                     model.replicas == 1 ? "shard" : "shards", placed, with_room, with_room == 1 ? "has" : "have",
                     also);
}

std::string Explainer::Trouble(int m) const {
  std::vector<std::string> parts;
  const std::vector<int> shards = Sorted(layout_.ShardsOf(m));
  if (shards.empty()) return "";
  const ModelFacts& model = problem_.model(m);
  if (layout_.Missing(m) > 0) parts.push_back(fmt::format("{} of {} replicas", shards.size(), model.replicas));
  for (const int s : shards) {
    if (parts.size() == kNamesMax) break;
    const ShardFacts& shard = problem_.shard(s);
    if (shard.shard->draining) parts.push_back(fmt::format("{} is draining", NameOf(s)));
    if (shard.memory != 0 && layout_.MemoryOn(s) > shard.memory) {
      parts.push_back(fmt::format("the models on {} need {} of its {}", NameOf(s), TextOfBytes(layout_.MemoryOn(s)),
                                  TextOfBytes(shard.memory)));
    }
    if (layout_.LoadOn(s) > shard.load_limit) {
      parts.push_back(fmt::format("the models on {} need {} cores, {} may be planned with", NameOf(s),
                                  TextOfCores(Cores(layout_.LoadOn(s))), TextOfCores(Cores(shard.load_limit))));
    }
    for (const int required : model.required) {
      if (!layout_.On(required, s))
        parts.push_back(fmt::format("{}, which it requires, is not on {}", IdOf(required), NameOf(s)));
    }
  }
  if (!model.flaw.empty()) parts.push_back(model.flaw);
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string Explainer::Summary(int m, const Explanation& explanation, const Assignment& current) const {
  const ModelFacts& model = problem_.model(m);
  const std::vector<int> shards = Sorted(layout_.ShardsOf(m));
  std::string text;
  if (shards.empty()) {
    text = fmt::format("On no shard: {}", Whole(m));
  } else {
    std::vector<int> kept;
    std::vector<int> arrived;
    for (const int s : shards) (problem_.IsHome(m, s) ? kept : arrived).push_back(s);
    if (arrived.empty()) {
      text = fmt::format("Stays on {}", NamesOf(kept));
    } else if (!model.model->pinned_shards.empty()) {
      text = fmt::format("On {}, which it is pinned to", NamesOf(shards));
    } else {
      double highest = 0;
      for (const int s : arrived) highest = std::max(highest, layout_.Utilisation(s));
      if (!kept.empty()) text = fmt::format("Stays on {}; ", NamesOf(kept));
      text += fmt::format("{} {}, {:.0f} % utilised with it", model.placed_before ? "moves to" : "new on",
                          NamesOf(arrived), Percent(highest));
      text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
    }
  }
  if (const auto before = current.find(model.model->id); before != current.end()) {
    std::vector<std::string> left;
    const std::set<std::string> names(before->second.begin(), before->second.end());
    for (const std::string& name : names) {
      if (std::binary_search(explanation.shards.begin(), explanation.shards.end(), name)) continue;
      const int s = problem_.FindShard(name);
      std::string why = s < 0 ? "is not there any more" : Obstacle(m, s);
      left.push_back(fmt::format("{} ({})", name, why.empty() ? "not needed any more" : why));
    }
    if (!left.empty()) text += fmt::format("; left {}", TextOfNames(left));
  }
  if (!explanation.trouble.empty()) text += fmt::format("; not as it should be: {}", explanation.trouble);
  const bool no_load = !(model.model->load >= 0);
  if (no_load) text += fmt::format("; its load is {}, expected 0 cores or more, and counts as 0", model.model->load);
  return text + ".";
}

Explanation Explainer::Explain(int m, const Assignment& current, bool with_refusals) const {
  Explanation explanation;
  for (const int s : Sorted(layout_.ShardsOf(m))) {
    explanation.shards.push_back(NameOf(s));
    if (problem_.IsHome(m, s)) explanation.kept.push_back(NameOf(s));
  }
  explanation.trouble = Trouble(m);
  explanation.summary = Summary(m, explanation, current);
  if (with_refusals) {
    for (const int s : by_name_) {
      if (!layout_.On(m, s)) explanation.refusals.push_back({NameOf(s), WhyNot(m, s)});
    }
  }
  if (std::string whole = Whole(m); !whole.empty()) explanation.refusals.push_back({"", std::move(whole)});
  return explanation;
}

}  // namespace

std::string TextOfBytes(Sum bytes) {
  constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double amount = static_cast<double>(bytes);
  size_t unit = 0;
  for (; amount >= 1024 && unit + 1 < kUnits.size(); ++unit) amount /= 1024;
  return fmt::format("{:.{}f} {}", amount, unit == 0 ? 0 : 1, kUnits[unit]);
}

std::map<std::string, Explanation> Explain(const Layout& layout, const Assignment& current) {
  const Problem& problem = layout.problem();
  const Explainer explainer(layout);
  const int64_t shards = problem.shard_count();
  const bool all = shards * problem.model_count() <= kRefusalsMax;
  int64_t left = kRefusalsMax;
  std::map<std::string, Explanation> explanations;
  for (int m = 0; m < problem.model_count(); ++m) {
    const bool with_refusals = left >= shards && (all || layout.Missing(m) > 0);
    if (with_refusals) left -= shards;
    explanations.emplace_hint(explanations.end(), problem.model(m).model->id,
                              explainer.Explain(m, current, with_refusals));
  }
  return explanations;
}

}  // namespace signalbox::assign
