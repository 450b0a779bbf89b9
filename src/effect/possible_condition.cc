#include "effect/possible_condition.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory_resource>
#include <vector>

#include "decide/condition.h"
#include "effect/class_words.h"

namespace signalbox::effect {
namespace {

// A check is run at every save.
constexpr size_t kComparedClassesMax = 1U << 8;

// Whether a condition that asks for nothing but the time holds.
bool HoldsAt(const v1::Condition& condition, int64_t now_unix_ms) {
  std::pmr::monotonic_buffer_resource memory;
  decide::ConditionCompiler compiler(memory);
  const auto compiled = compiler.Compile(condition, memory);
  uint32_t notes = 0;
  return compiled.ok() && (*compiled == nullptr || decide::Holds(**compiled, {.now_unix_ms = now_unix_ms}, notes));
}

}  // namespace

bool PossibleCondition::Holds(const v1::Condition& condition) {
  switch (condition.test_case()) {
    case v1::Condition::kAll:
      return std::all_of(condition.all().conditions().begin(), condition.all().conditions().end(),
                         [&](const v1::Condition& each) { return Holds(each); });
    case v1::Condition::kAny:
      return std::any_of(condition.any().conditions().begin(), condition.any().conditions().end(),
                         [&](const v1::Condition& each) { return Holds(each); });
    case v1::Condition::kNot:
      return !Holds(condition.not_());
    case v1::Condition::kField:
      return exploration_.Holds(condition.field());
    case v1::Condition::kTime:
    case v1::Condition::kWeekly:
      if (const auto known = holds_now_.find(&condition); known != holds_now_.end()) return known->second;
      return holds_now_[&condition] = HoldsAt(condition, now_unix_ms_);
    case v1::Condition::TEST_NOT_SET:
      return true;
  }
  return true;
}

std::string WhoIsLeftOut(const v1::Condition& before, const v1::Condition& after, int64_t now_unix_ms) {
  ContextSpace space;
  space.AddCondition(before);
  space.AddCondition(after);
  space.Finish();
  const std::string some = "may not apply any more to some requests (its conditions are too much to compare)";
  if (!space.WhyTooLarge().empty()) return some;
  Exploration exploration(space, kComparedClassesMax, kComparedClassesMax);
  PossibleCondition condition(exploration, now_unix_ms);
  std::vector<ContextClass> left_out;
  bool is_left_out = false;
  const bool is_done =
      exploration.Follow({.run = [&] { is_left_out = condition.Holds(before) && !condition.Holds(after); },
                          .on_path = [](const PathState&) {},
                          .on_class =
                              [&](const ContextClass& contexts) {
                                if (is_left_out) left_out.push_back(contexts);
                              },
                          .on_restart = [] {}});
  if (!is_done) return some;
  if (left_out.empty()) return "";
  Unite(left_out, std::vector<size_t>(left_out.size(), 0));
  std::string text;
  for (const ContextClass& contexts : left_out) {
    // Nothing to be said of the request: it is the time.
    const std::string words = DescribeClass(space, contexts);
    if (words.empty()) return "does not apply any more at this time";
    text += fmt::format("{}{}", text.empty() ? "does not apply any more where " : ", or ", words);
  }
  return text;
}

}  // namespace signalbox::effect
