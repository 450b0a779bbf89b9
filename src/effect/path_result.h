// What a decision comes to, in words that two rule sets can be compared by.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "decide/decide.h"
#include "decide/objective.h"

namespace signalbox::effect {

enum class AspectKind : uint8_t { kModel, kCell, kParameter, kFallbacks, kStaticAnswer, kLimits, kHandling, kShadow };
// "model", "cell", "parameter", "fallbacks", "static_answer", "limits", "shadow".
std::string_view Name(AspectKind kind);

// One thing that a decision says. `key`: the experiment, the parameter's name, the shadow; else empty.
struct Aspect {
  AspectKind kind = AspectKind::kModel;
  std::string key;

  friend auto operator<=>(const Aspect&, const Aspect&) = default;
};

// Only what it says: an aspect that is not there is "".
using PathResult = std::map<Aspect, std::string>;

// `shadows` apart: of a decision they are those that the request was drawn for.
PathResult ResultOf(const decide::Decision& decision, const std::vector<const decide::CompiledShadow*>& shadows);

struct Change {
  Aspect aspect;
  std::string from;
  std::string to;

  friend auto operator<=>(const Change&, const Change&) = default;
};
std::vector<Change> ChangesOf(const PathResult& before, const PathResult& after);

// "moves from ranker@1 to ranker@2", behind "3.00 % of ContinueWatchingRanking".
std::string Describe(const Change& change);

}  // namespace signalbox::effect
