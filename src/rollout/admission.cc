#include "rollout/admission.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "rollout/limits.h"
#include "rollout/progress.h"
#include "rollout/reason.h"

namespace signalbox::rollout {

void Admission::Admit(Work& work, HostFacts& hosts, NamedModelsCache& named, RuleCheck& check, WrittenTimes& times) {
  work.plan = plan_.Assign(work.room.shards, work.needs, work.fleet, hosts, Current(work, work.needs));
  std::vector<Book*> waiting;
  for (Book& book : work.books) {
    if (!book.UnderWay() || book.target == nullptr) continue;
    const ModelIds& models = named.Of(work.store.fleet.content, book.target->content);
    if (!Check(work, book, models, check)) continue;
    if (book.state() >= v1::Rollout::ASSIGNED) {
      Place(work, book, models, hosts, times);
    } else {
      waiting.push_back(&book);
    }
  }
  if (!PlaceTogether(work, waiting, hosts, named)) {
    const size_t runs_max = plan_.runs() + kPlansPerStepMax;
    for (Book* book : waiting) {
      if (plan_.runs() >= runs_max) {
        work.wake.Passed(work.wake.now_ms() + 1);
        break;
      }
      Place(work, *book, named.Of(work.store.fleet.content, book->target->content), hosts, times);
    }
  }
  work.target = work.plan->assignment;
  // What finds no place any more stays where it is.
  for (const auto& [model, need] : work.needs) {
    if (work.target.contains(model)) continue;
    if (const PlacedModel* placed = work.placed.Find(model)) work.target[model] = placed->shards;
  }
  target_ = work.target;
}

// Where models are, or are on their way to: a plan is kept as long as it can be.
assign::Assignment Admission::Current(const Work& work, const Needs& needs) const {
  assign::Assignment current;
  for (const auto& [model, need] : needs) {
    if (const auto target = target_.find(model); target != target_.end()) {
      current[model] = target->second;
    } else if (const PlacedModel* placed = work.placed.Find(model)) {
      current[model] = placed->shards;
    }
  }
  // What an earlier leader has begun to load.
  for (const Book& book : work.books) {
    if (!book.UnderWay()) continue;
    for (const v1::ModelProgress& progress : book.current().models()) {
      if (!needs.contains(progress.model()) || current.contains(progress.model())) continue;
      current[progress.model()].assign(progress.shards().begin(), progress.shards().end());
    }
  }
  return current;
}

bool Admission::Check(Work& work, Book& book, const ModelIds& models, RuleCheck& check) {
  if (book.state() != v1::Rollout::RECEIVED) return true;
  if (const std::string circle = DependencyCircle(work.fleet, models); !circle.empty()) {
    work.keeper.Go(book, v1::Rollout::FAILED, fmt::format("models depend on each other: {}", circle));
    return false;
  }
  if (const absl::Status status = check.Check(book.name, *book.target, work.running, &work.placement); !status.ok()) {
    work.keeper.Go(book, v1::Rollout::FAILED, std::string(Message(status)));
    return false;
  }
  work.keeper.Go(book, v1::Rollout::CHECKED);
  return true;
}

// Most often there is room for all, and one plan says so. Where there is not, they are asked for one after the other.
bool Admission::PlaceTogether(Work& work, const std::vector<Book*>& books, HostFacts& hosts, NamedModelsCache& named) {
  if (books.size() < 2) return false;
  Needs needs = work.needs;
  for (const Book* book : books) {
    AddNeed(needs, named.Of(work.store.fleet.content, book->target->content), book->name,
            fmt::format("{} version {} (assigned)", book->name, book->target->version), false);
  }
  auto plan = plan_.Assign(work.room.shards, needs, work.fleet, hosts, Current(work, needs));
  for (const auto& [model, need] : needs) {
    if (!plan->assignment.contains(model) && work.placed.Find(model) == nullptr) return false;
  }
  work.plan = std::move(plan);
  work.needs = std::move(needs);
  for (Book* book : books) Accept(work, *book, named.Of(work.store.fleet.content, book->target->content), hosts);
  return true;
}

void Admission::Accept(Work& work, Book& book, const ModelIds& models, HostFacts& hosts) {
  book.has_place = true;
  work.keeper.Go(book, v1::Rollout::ASSIGNED);
  // Once, and not in each step until that has been written.
  const std::pair begun(book.current().rules_version(), book.current().attempt());
  if (std::exchange(begun_[book.name], begun) != begun) hosts.ForgetFailures(models);
}

void Admission::Place(Work& work, Book& book, const ModelIds& models, HostFacts& hosts, WrittenTimes& times) {
  const bool was_admitted = book.state() >= v1::Rollout::ASSIGNED;
  Needs with;
  if (!was_admitted) {
    with = work.needs;
    AddNeed(with, models, book.name, fmt::format("{} version {} (assigned)", book.name, book.target->version), false);
  }
  const Needs& needs = was_admitted ? work.needs : with;
  assign::Assignment current = Current(work, needs);
  // Also what others were given in this step.
  for (const auto& [model, shards] : work.plan->assignment) current[model] = shards;
  const auto plan = was_admitted ? work.plan : plan_.Assign(work.room.shards, needs, work.fleet, hosts, current);
  // Its own models have places, and nobody else's has lost one for it. Empty: so it is; else why not.
  const auto why_not = [&](const assign::Result& result) -> std::string {
    for (const std::string& model : models) {
      if (!result.assignment.contains(model) && work.placed.Find(model) == nullptr) return WhyUnplaced(model, result);
    }
    for (const auto& [model, shards] : work.plan->assignment) {
      if (!result.assignment.contains(model)) return fmt::format("there is room for it only without model {}", model);
    }
    return "";
  };
  const std::string first = why_not(*plan);
  if (first.empty()) {
    book.has_place = true;
    if (was_admitted) return;
    work.plan = plan;
    work.needs = std::move(with);
    Accept(work, book, models, hosts);
    return;
  }
  // Hosts may still come. Only what could not even be with all of them fails at once.
  const auto with_absent = plan_.Assign(work.room.shards_with_absent, needs, work.fleet, hosts, current);
  if (std::string never = why_not(*with_absent); !never.empty()) {
    work.keeper.Go(book, v1::Rollout::FAILED, std::move(never));
    return;
  }
  const std::string wait = fmt::format("{}; waits for a host of {}", first, fmt::join(work.room.without_hosts, ", "));
  if (work.wake.Passed(RolloutDeadline(book, work.options, work.seen.now_unix_ms, times, work.wake))) {
    work.keeper.Go(book, v1::Rollout::FAILED,
                   fmt::format("not placed within {} s: {}", work.options.rollout_timeout.count() / 1000, wait));
  } else {
    book.current().set_reason(Reason(wait));
  }
}

}  // namespace signalbox::rollout
