#include "rollout/moves.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <numeric>

namespace signalbox::rollout {
namespace {

std::vector<std::string> Difference(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<std::string> out;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

std::vector<std::string> Union(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<std::string> out;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

bool HasHosts(const std::vector<std::string>& shards, const PlacementDraft& draft) {
  return std::any_of(shards.begin(), shards.end(),
                     [&](const std::string& shard) { return !draft.Hosts(shard).empty(); });
}

}  // namespace

PlacedModel Moves::Next(const std::string& model, const PlacedModel& now, const std::vector<std::string>& target,
                        const PlacementDraft& draft, Wake& wake) {
  const std::vector<std::string> added = Difference(target, now.shards);
  const std::vector<std::string> leaving = Difference(now.shards, target);
  if (leaving.empty() && added.empty()) return {target, {}};

  Move& move = moves_[model];
  move.asked = true;
  if (move.target != target) move = {.target = target, .added = {}, .step = 0, .since_ms = -1, .asked = true};
  if (added.empty()) {
    // Underway, or fewer shards than before. Where the new ones have lost their hosts, those that were to leave stay.
    if (!HasHosts(target, draft) && HasHosts(leaving, draft)) return now;
    if (now.weights.empty()) return {target, {}};
    return Continue(move, now, draft, wake);
  }

  std::vector<std::string> usable;
  for (const std::string& shard : added) {
    if (draft.WaitFor({{model, {shard}}}).empty()) usable.push_back(shard);
  }
  if (usable.empty()) return now;
  // Nothing to go over in steps from: more shards than before, or none that answers.
  if (leaving.empty()) return {Union(now.shards, usable), {}};
  if (!HasHosts(now.shards, draft)) return {Union(Difference(now.shards, leaving), usable), {}};
  if (usable.size() < added.size()) return now;

  move.added = {added.begin(), added.end()};
  const std::vector<std::string> all = Union(now.shards, target);
  if (options_.move_percentages.empty()) return {target, {}};
  return {all, Weights(move, all, draft)};
}

// The model is on its new shards as well.
PlacedModel Moves::Continue(Move& move, const PlacedModel& now, const PlacementDraft& draft, Wake& wake) {
  // Counted from when the placement has these weights. (Not those: they were not written yet, or a host has come or
  // gone.)
  if (!move.added.empty() && now.weights != Weights(move, now.shards, draft)) {
    move.since_ms = -1;
    return {now.shards, Weights(move, now.shards, draft)};
  }
  if (move.since_ms < 0) move.since_ms = wake.now_ms();
  if (wake.Passed(move.since_ms + options_.move_hold.count())) {
    ++move.step;
    move.since_ms = -1;
    // A leader that has not begun this move does not know how far it is, and ends it.
    if (move.added.empty() || move.step >= options_.move_percentages.size()) return {move.target, {}};
    return {now.shards, Weights(move, now.shards, draft)};
  }
  return now;
}

// Such that of what the leaving shards had, the added ones get the step's part, each by its number of hosts.
std::vector<uint32_t> Moves::Weights(const Move& move, const std::vector<std::string>& shards,
                                     const PlacementDraft& draft) const {
  const uint64_t percent = std::min<uint32_t>(100, options_.move_percentages[move.step]);
  const auto is_added = [&](const std::string& shard) { return move.added.contains(shard); };
  const auto stays = [&](const std::string& shard) {
    return std::binary_search(move.target.begin(), move.target.end(), shard);
  };
  std::vector<uint64_t> hosts;
  uint64_t added_hosts = 0;
  uint64_t leaving_hosts = 0;
  for (const std::string& shard : shards) {
    hosts.push_back(std::max<uint64_t>(1, draft.Hosts(shard).size()));
    if (is_added(shard)) {
      added_hosts += hosts.back();
    } else if (!stays(shard)) {
      leaving_hosts += hosts.back();
    }
  }
  std::vector<uint64_t> parts;
  uint64_t divisor = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    if (is_added(shards[i])) {
      parts.push_back(percent * hosts[i] * leaving_hosts);
    } else {
      parts.push_back((stays(shards[i]) ? 100 : 100 - percent) * hosts[i] * added_hosts);
    }
    divisor = std::gcd(divisor, parts.back());
  }
  std::vector<uint32_t> weights;
  for (const uint64_t part : parts) weights.push_back(static_cast<uint32_t>(part / std::max<uint64_t>(1, divisor)));
  return weights;
}

std::string Moves::Describe(const std::string& model, const PlacedModel& now,
                            const std::vector<std::string>& target) const {
  const std::vector<std::string> leaving = Difference(now.shards, target);
  const std::vector<std::string> added = Difference(target, now.shards);
  const std::string to = fmt::format("{}", fmt::join(added.empty() ? target : added, ", "));
  const std::string way = leaving.empty() ? fmt::format("comes to {} as well", to)
                                          : fmt::format("goes from {} to {}", fmt::join(leaving, ", "), to);
  if (!added.empty()) return fmt::format("{}: not usable there yet", way);
  const auto move = moves_.find(model);
  if (now.weights.empty() || move == moves_.end() || move->second.step >= options_.move_percentages.size()) return way;
  return fmt::format("{}: {} % of its traffic are there", way, options_.move_percentages[move->second.step]);
}

void Moves::Sweep() {
  std::erase_if(moves_, [](const auto& entry) { return !entry.second.asked; });
  for (auto& [model, move] : moves_) move.asked = false;
}

}  // namespace signalbox::rollout
