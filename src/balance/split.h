// How the requests of a model are split among the shards that it is on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "balance/group.h"

namespace signalbox::balance {

// Immutable, but for what its groups are.
class Split {
 public:
  // A part of the requests for each group, relative to each other; 0: none. As many weights as groups.
  Split(std::vector<std::shared_ptr<Group>> groups, const std::vector<uint32_t>& weights);

  // The place of the host to try, as Group::Choose. `turn` counts the choices of one caller: over any stretch of them
  // each group has its part, as even as whole choices allow. Where one has nobody, the next takes its part.
  template <typename Usable>
  std::optional<uint32_t> Choose(uint32_t& turn, Random& random, Time now, const Usable& usable) const {
    if (turns_.empty()) return std::nullopt;
    return FirstFrom(turns_[turn++ % turns_.size()],
                     [&](const Group& group) { return group.Choose(random, now, usable); });
  }
  // As Group::ChooseByKey. Keys are split among groups as requests are, and stay where they are as far as weights do.
  template <typename Usable>
  std::optional<uint32_t> ChooseByKey(uint64_t key, uint32_t bound_percent, const Usable& usable) const {
    if (turns_.empty()) return std::nullopt;
    return FirstFrom(GroupOfKey(key),
                     [&](const Group& group) { return group.ChooseByKey(key, bound_percent, usable); });
  }

  const std::vector<std::shared_ptr<Group>>& groups() const { return groups_; }

 private:
  template <typename ChooseIn>
  std::optional<uint32_t> FirstFrom(size_t first, const ChooseIn& choose_in) const {
    for (size_t passed = 0; passed < groups_.size(); ++passed) {
      const size_t at = (first + passed) % groups_.size();
      if (weights_[at] == 0) continue;
      if (const std::optional<uint32_t> place = choose_in(*groups_[at])) return place;
    }
    return std::nullopt;
  }
  size_t GroupOfKey(uint64_t key) const;

  std::vector<std::shared_ptr<Group>> groups_;
  std::vector<uint32_t> weights_;
  std::vector<uint16_t> turns_;  // places in groups_
};

}  // namespace signalbox::balance
