#include "effect/replay.h"

#include <algorithm>

namespace signalbox::effect {
namespace {

bool CanFallBackTo(const decide::Decision& decision, std::string_view model) {
  if (model == Replay::kStaticAnswer) return decision.static_answer != nullptr;
  return std::any_of(decision.fallbacks.begin(), decision.fallbacks.end(),
                     [&](const decide::Answer* fallback) { return fallback->model->id == model; });
}

}  // namespace

Load& Replay::LoadOf(std::string_view model) {
  const auto known = loads_.find(model);
  if (known != loads_.end()) return known->second;
  return loads_[std::string(loads_.size() < kNamesMax ? model : kOthers)];
}

void Replay::AddMore(const decide::Decision& decision, uint64_t Load::*count) {
  for (const decide::Answer::Member& member : decision.answer->members) ++(LoadOf(member.answer->model->id).*count);
  for (const decide::Shadow* shadow : decision.shadows) ++(LoadOf(shadow->answer->model->id).*count);
}

Replay::ObjectiveMoves& Replay::MovesOf(std::string_view objective) {
  const auto known = objectives_.find(objective);
  return known != objectives_.end() ? known->second : objectives_.try_emplace(std::string(objective)).first->second;
}

void Replay::CountMove(std::string_view from, std::string_view to, ObjectiveMoves& moves) {
  ++moves.moved;
  std::pair<std::string, std::string> move(from, to);
  auto known = moves.moves.find(move);
  if (known == moves.moves.end()) {
    if (move_kinds_ >= kNamesMax)
      move.first = std::string(kOthers);
    else
      ++move_kinds_;
    known = moves.moves.try_emplace(std::move(move), 0).first;
  }
  ++known->second;
}

Replay::Result Replay::Add(const decide::RequestContext& context, std::string_view logged_model, bool fell_back) {
  const decide::Decision after = decide::Decide(after_, context);
  if (after.answer == nullptr) return Result::kNoObjective;
  std::string_view from = logged_model;
  if (before_ != nullptr) {
    const decide::Decision before = decide::Decide(*before_, context);
    from = before.answer == nullptr ? std::string_view() : std::string_view(before.answer->model->id);
    if (before.answer != nullptr) AddMore(before, &Load::more_before);
  }
  if (from.empty()) return Result::kNoModel;
  const std::string_view to = after.answer->model->id;
  ++replayed_;
  ++LoadOf(from).before;
  ++LoadOf(to).after;
  AddMore(after, &Load::more_after);
  if (context.now_unix_ms != 0) {
    first_unix_ms_ = first_unix_ms_ == 0 ? context.now_unix_ms : std::min(first_unix_ms_, context.now_unix_ms);
    last_unix_ms_ = std::max(last_unix_ms_, context.now_unix_ms);
  }
  ObjectiveMoves& moves = MovesOf(context.objective);
  ++moves.requests;
  if (from == to) return Result::kReplayed;
  if (before_ == nullptr && fell_back && CanFallBackTo(after, from)) {
    ++moves.fell_back;
  } else {
    CountMove(from, to, moves);
  }
  return Result::kReplayed;
}

}  // namespace signalbox::effect
