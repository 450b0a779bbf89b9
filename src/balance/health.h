// What a host's answers to "are you healthy?" add up to.
#pragma once

#include <algorithm>
#include <cstdint>

#include "balance/settings.h"

namespace signalbox::balance {

// With hysteresis: it takes several answers in succession to change, and more each time to come back to one who has
// come and gone before.
class Health {
 public:
  // True when it has changed.
  bool Take(bool is_good, const Settings& settings) {
    if (is_good == healthy_) {
      in_succession_ = 0;
      if (healthy_ && ++calm_ >= kCalmAfter * settings.healthy_after) {
        flaps_ = 0;
        came_back_ = false;
      }
      return false;
    }
    const uint32_t needed =
        healthy_ ? settings.unhealthy_after : settings.healthy_after << std::min(flaps_, kDoublingsMax);
    if (++in_succession_ < std::max(1U, needed)) return false;
    healthy_ = is_good;
    in_succession_ = calm_ = 0;
    if (!healthy_ && came_back_) ++flaps_;
    came_back_ |= healthy_;
    return true;
  }
  // Until it is known otherwise.
  bool healthy() const { return healthy_; }

 private:
  static constexpr uint32_t kCalmAfter = 30;
  static constexpr uint32_t kDoublingsMax = 3;

  bool healthy_ = true;
  bool came_back_ = false;
  uint32_t in_succession_ = 0;  // answers that contradict
  uint32_t calm_ = 0;
  uint32_t flaps_ = 0;
};

}  // namespace signalbox::balance
