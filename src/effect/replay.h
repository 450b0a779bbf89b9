// A decision log against other rules: which model would have got how much.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/string_map.h"
#include "decide/decide.h"
#include "decide/snapshot.h"

namespace signalbox::effect {

struct Load {
  uint64_t before = 0;
  uint64_t after = 0;
  // Requests that reach it beside those: as a member of an ensemble that was chosen, or as a shadow. What the log does
  // not say is 0.
  uint64_t more_before = 0;
  uint64_t more_after = 0;
};

// Counts; its memory does not grow with the log. Not thread-safe.
class Replay {
 public:
  // Models and moves that are told apart; what comes up beyond them is counted as kOthers. More names than any rule set
  // has are a log of something else.
  static constexpr size_t kNamesMax = 10'000;
  static constexpr std::string_view kOthers = "(others)";
  // Who answered where no model could be reached. As `logged_model`.
  static constexpr std::string_view kStaticAnswer = "(static answer)";

  // `before`: the rules that requests were decided by; nullptr: what the log says answered them. Both outlive it.
  Replay(const decide::Snapshot* before, const decide::Snapshot& after) : before_(before), after_(after) {}

  enum class Result : uint8_t {
    kReplayed,
    kNoObjective,  // the new rules do not have it
    kNoModel,      // the log does not say who answered, or the old rules do not have the Objective
  };
  // `fell_back`: the log says that another model was chosen, and could not be reached. Which one it does not say, so
  // that the request moves only where by the new rules it could not be answered by the same fallback.
  Result Add(const decide::RequestContext& context, std::string_view logged_model, bool fell_back = false);

  struct ObjectiveMoves {
    uint64_t requests = 0;
    uint64_t moved = 0;
    // Answered by a fallback which the new rules have too: not moved.
    uint64_t fell_back = 0;
    std::map<std::pair<std::string, std::string>, uint64_t> moves;  // from, to
  };

  uint64_t replayed() const { return replayed_; }
  // By model id.
  const std::map<std::string, Load, std::less<>>& loads() const { return loads_; }
  const std::map<std::string, ObjectiveMoves, std::less<>>& objectives() const { return objectives_; }
  // 0 where no record has a time.
  int64_t first_unix_ms() const { return first_unix_ms_; }
  int64_t last_unix_ms() const { return last_unix_ms_; }

 private:
  ObjectiveMoves& MovesOf(std::string_view objective);
  void CountMove(std::string_view from, std::string_view to, ObjectiveMoves& moves);
  Load& LoadOf(std::string_view model);
  void AddMore(const decide::Decision& decision, uint64_t Load::*count);

  const decide::Snapshot* before_;
  const decide::Snapshot& after_;
  uint64_t replayed_ = 0;
  size_t move_kinds_ = 0;
  std::map<std::string, Load, std::less<>> loads_;
  std::map<std::string, ObjectiveMoves, std::less<>> objectives_;
  int64_t first_unix_ms_ = 0;
  int64_t last_unix_ms_ = 0;
};

}  // namespace signalbox::effect
