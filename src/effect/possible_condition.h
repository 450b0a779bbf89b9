// A condition of rules, along every path that requests can take.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "effect/context_space.h"
#include "effect/exploration.h"
#include "signalbox/v1/condition.pb.h"

namespace signalbox::effect {

class PossibleCondition {
 public:
  PossibleCondition(Exploration& exploration, int64_t now_unix_ms)
      : exploration_(exploration), now_unix_ms_(now_unix_ms) {}

  void SetTime(int64_t now_unix_ms) {
    now_unix_ms_ = now_unix_ms;
    holds_now_.clear();
  }
  int64_t now_unix_ms() const { return now_unix_ms_; }

  // On the path that the exploration is on. In order, and no further than the answer needs: what is not asked divides
  // no class. `condition` is known by its address, so it stays where it is.
  bool Holds(const v1::Condition& condition);

 private:
  Exploration& exploration_;
  int64_t now_unix_ms_;
  // Those that ask for nothing but the time.
  std::map<const v1::Condition*, bool> holds_now_;
};

// Requests that fulfil `before` and do not fulfil `after`, in words: "does not apply any more where country is CA", or
// that it may be so where they are too many to follow. Empty: there are none.
std::string WhoIsLeftOut(const v1::Condition& before, const v1::Condition& after, int64_t now_unix_ms);

}  // namespace signalbox::effect
