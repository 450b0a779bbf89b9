#include "rollout/controller.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "rollout/admission.h"
#include "rollout/batch_writer.h"
#include "rollout/commands.h"
#include "rollout/data_planes.h"
#include "rollout/host_deaths.h"
#include "rollout/host_facts.h"
#include "rollout/idle.h"
#include "rollout/limits.h"
#include "rollout/moves.h"
#include "rollout/placement_view.h"
#include "rollout/progress.h"
#include "rollout/reason.h"
#include "rollout/release.h"
#include "rollout/work.h"

namespace signalbox::rollout {

// Everything that is kept from step to step. A new one knows what the store and the hosts say, and no more.
class Controller::State {
 public:
  State(const ControllerOptions& options, int64_t term)
      : term_(term),
        options_(options),
        hosts_(options_),
        deaths_(options_),
        data_planes_(options_),
        admission_(options_),
        moves_(options_) {}

  Step Next(const Observation& observation);
  const PlacementView& placement() const { return viewer_.view(); }
  int64_t term() const { return term_; }

 private:
  void TellTroubles(Work& work);
  void OpenBooks(Work& work);
  void TellStates(Work& work, const Book& book);
  void FindNeeds(Work& work);
  void ShiftModels(Work& work, PlacementDraft& draft);
  void AdvanceRollouts(Work& work, PlacementDraft& draft);
  void TellSampleTroubles(const Work& work, Book& book);
  void Retire(Work& work);
  void AskHosts(Work& work);

  const int64_t term_;  // the leadership that this is of
  const ControllerOptions options_;
  HostFacts hosts_;
  HostDeaths deaths_;
  DataPlanes data_planes_;
  Admission admission_;
  Moves moves_;
  NamedModelsCache named_;
  RuleCheck check_;
  WrittenTimes times_;
  BatchWriter writer_;
  PlacementViewer viewer_;
  Idle idle_;
  std::map<std::string, v1::Rollout::State> told_;  // by namespace and version: what the log has said
  std::set<std::string> told_troubles_;
};

// The way of every step. What comes first sets the bounds for what follows: facts, then needs, then places, then the
// placement as it is to be, then rollouts, which may only add to that what is usable already.
Step Controller::State::Next(const Observation& observation) {
  if (idle_.IsStill(observation)) return idle_.StillIdle(observation);
  Work work(options_, observation);
  writer_.Observe(work);
  TellTroubles(work);
  data_planes_.Observe(observation, work.wake, work.step.log);
  OpenBooks(work);
  FindNeeds(work);
  hosts_.Observe(observation, work.placed, work.fleet, work.wake, work.step.log);
  for (const HostFacts::SampleTrouble& trouble : hosts_.sample_troubles()) {
    work.waits[trouble.model].push_back(trouble.text);
  }
  // Before anything that waits for hosts: one that is away for a model is not waited for.
  deaths_.Observe(work, hosts_, named_);
  work.room = FindRoom(work.fleet, work.drains, hosts_, work.placed, work.wake);
  admission_.Admit(work, hosts_, named_, check_, times_);

  PlacementDraft draft(work.placed, work.NeededIds(), hosts_, work.fleet, work.drains);
  ShiftModels(work, draft);
  AdvanceRollouts(work, draft);
  Retire(work);
  writer_.Write(work, draft);
  AskHosts(work);

  admission_.Sweep();
  moves_.Sweep();
  named_.Sweep();
  check_.Sweep();
  times_.Sweep();
  work.step.wake_after = work.wake.after();
  idle_.Remember(observation, work.step);
  viewer_.Take(work);
  return std::move(work.step);
}

void Controller::State::TellTroubles(Work& work) {
  for (const std::string& trouble : work.seen.host_troubles) {
    if (told_troubles_.insert(trouble).second) work.step.log.push_back(trouble);
  }
  std::erase_if(told_troubles_, [&](const std::string& told) {
    const std::vector<std::string>& now = work.seen.host_troubles;
    return std::find(now.begin(), now.end(), told) == now.end();
  });
}

void Controller::State::OpenBooks(Work& work) {
  for (const auto& [name, observed] : work.store.namespaces) {
    work.books.push_back(work.keeper.Open(name, observed, work.step.log));
    work.running[name] = observed.active;
    TellStates(work, work.books.back());
  }
  // In the order in which they were published, so that one that comes later takes no room from one that was there.
  std::stable_sort(work.books.begin(), work.books.end(), [](const Book& a, const Book& b) {
    const auto sequence = [](const Book& book) { return book.target == nullptr ? 0 : book.target->sequence; };
    return sequence(a) < sequence(b);
  });
}

// Of what has been read back, so that nothing is told that was not written.
void Controller::State::TellStates(Work& work, const Book& book) {
  v1::Rollouts read;
  if (book.read.empty() || !read.ParseFromString(book.read) || !read.has_current()) return;
  const v1::Rollout& current = read.current();
  const std::string key = fmt::format("{} version {}", book.name, current.rules_version());
  const auto [told, is_new] = told_.try_emplace(key, v1::Rollout::STATE_UNSPECIFIED);
  if (told->second == current.state()) return;
  told->second = current.state();
  work.step.log.push_back(fmt::format("{}: {}{}{}", key, StateName(current.state()),
                                      current.reason().empty() ? "" : ": ", current.reason()));
  for (const v1::Rollout& past : read.past()) {
    if (past.rules_version() != current.rules_version()) {
      told_.erase(fmt::format("{} version {}", book.name, past.rules_version()));
    }
  }
}

void Controller::State::FindNeeds(Work& work) {
  for (const Book& book : work.books) {
    AddRunning(book, work.store, work.placement, work.seen.now_unix_ms, options_.retention.count(), named_, times_,
               work.wake, work.needs);
  }
  ModelIds ids;
  for (const Book& book : work.books) {
    if (!book.UnderWay() || book.target == nullptr) continue;
    const ModelIds& models = named_.Of(work.store.fleet.content, book.target->content);
    ids.insert(models.begin(), models.end());
    // Reckoned from the first time that this leader sees it, whether it is waited for in this step or not.
    if (book.state() < v1::Rollout::VALIDATED) {
      RolloutDeadline(book, options_, work.seen.now_unix_ms, times_, work.wake);
    }
    if (book.state() < v1::Rollout::ASSIGNED) continue;
    AddNeed(work.needs, models, book.name,
            fmt::format("{} version {} ({})", book.name, book.target->version, StateName(book.state())), false);
  }
  ids.merge(work.NeededIds());
  work.placed = ReadPlacement(work.placement, ids);
}

// Models that are placed already and should be elsewhere.
void Controller::State::ShiftModels(Work& work, PlacementDraft& draft) {
  std::vector<std::pair<std::string, PlacedModel>> next;
  for (const auto& [model, now] : draft.models()) {
    const auto target = work.target.find(model);
    if (target == work.target.end() || (target->second == now.shards && now.weights.empty())) continue;
    PlacedModel placed = moves_.Next(model, now, target->second, draft, work.wake);
    if (placed != now) next.emplace_back(model, std::move(placed));
    work.waits[model].push_back(moves_.Describe(model, now, target->second));
  }
  // One after the other, and looked at again: together they may be too much for the hosts that are listed.
  for (auto& [model, placed] : next) {
    Additions additions{{model, placed.shards}};
    if (draft.WaitFor(additions).empty()) draft.Set(model, std::move(placed));
  }
}

void Controller::State::AdvanceRollouts(Work& work, PlacementDraft& draft) {
  RolloutStep step{.options = options_,
                   .observation = work.seen,
                   .keeper = work.keeper,
                   .hosts = hosts_,
                   .data_planes = data_planes_,
                   .log = work.step.log,
                   .named = named_,
                   .times = times_,
                   .wake = work.wake,
                   .draft = draft,
                   .only = writer_.only(),
                   .publications_left = kBatchPublicationsMax,
                   .bytes_left = kBatchBytesMax};
  for (Book& book : work.books) {
    Release release(book, step);
    if (const std::string* refusal = book.UnderWay() ? writer_.Refusal(book) : nullptr) {
      work.keeper.Go(book, v1::Rollout::FAILED, *refusal);
    } else if (book.UnderWay() && book.has_place) {
      Additions shards;
      for (const std::string& model : named_.Of(work.store.fleet.content, book.target->content)) {
        shards[model] = work.target.at(model);
      }
      release.Advance(shards, [&] { return check_.Check(book.name, *book.target, work.running, &work.placement); });
      WriteProgress(book, shards, work.placed, hosts_);
      // The next one has to go with what this one is about to bring.
      for (const v1::ActiveRules& active : book.activations) {
        Topic<v1::ActiveRules>& topic = work.running[book.name][active.scope()];
        topic.content = std::make_shared<v1::ActiveRules>(active);
        ++topic.version;
        topic.sequence = work.store.sequence + 1;
      }
    }
    if (!book.UnderWay() && book.activations.empty()) release.ClearScopes();
    if (book.state() == v1::Rollout::ACTIVE) TellSampleTroubles(work, book);
    if (book.UnderWay() && !book.current().reason().empty()) {
      for (const v1::ModelProgress& progress : book.current().models()) {
        work.waits[progress.model()].push_back(
            fmt::format("{} version {}: {}", book.name, book.current().rules_version(), book.current().reason()));
      }
    }
  }
}

// Of what runs: it does, and somebody has to know before a host starts again.
void Controller::State::TellSampleTroubles(const Work& work, Book& book) {
  std::string reason;
  if (book.target != nullptr && book.target->version == book.current().rules_version()) {
    const ModelIds& models = named_.Of(work.store.fleet.content, book.target->content);
    for (const HostFacts::SampleTrouble& trouble : hosts_.sample_troubles()) {
      if (reason.empty() && models.contains(trouble.model)) reason = Reason(trouble.text);
    }
  }
  book.current().set_reason(reason);
}

// A version that ran is over when nothing is kept of it any more.
void Controller::State::Retire(Work& work) {
  for (Book& book : work.books) {
    // With an activation, what is kept is in the batch that says so.
    if (!book.activations.empty()) continue;
    for (v1::Rollout& past : *book.rollouts.mutable_past()) {
      if (past.state() != v1::Rollout::ACTIVE || past.rules_version() == book.active_version() ||
          IsRetained(book, past.rules_version(), work.seen.now_unix_ms, options_.retention.count(), times_,
                     work.wake)) {
        continue;
      }
      work.keeper.Go(past, v1::Rollout::RETIRED);
    }
  }
}

void Controller::State::AskHosts(Work& work) {
  CommandStep commands{.options = options_,
                       .needs = work.needs,
                       .target = work.target,
                       .placed = work.placed,
                       .fleet = work.fleet,
                       .drains = work.drains,
                       .data_planes = data_planes_,
                       .hosts = hosts_,
                       .deaths = deaths_,
                       .wake = work.wake,
                       .waits = work.waits,
                       .may_unload = writer_.IsSettled(work.wake)};
  work.step.commands = NextCommands(commands);
}

Controller::Controller(ControllerOptions options) : options_(std::move(options)) {}

Controller::~Controller() = default;

Step Controller::Next(const Observation& observation) {
  // Without leadership nothing that was known stays known: whoever led meanwhile may have asked hosts for anything.
  if (!observation.leadership.has_value() || observation.store == nullptr ||
      observation.store->fleet.content == nullptr) {
    state_ = nullptr;
    Step idle;
    idle.wake_after = Wake(0).after();
    return idle;
  }
  if (state_ == nullptr || state_->term() != observation.leadership->created_revision) {
    state_ = std::make_unique<State>(options_, observation.leadership->created_revision);
  }
  return state_->Next(observation);
}

const PlacementView& Controller::placement() const {
  static const PlacementView kNothing;
  return state_ == nullptr ? kNothing : state_->placement();
}

}  // namespace signalbox::rollout
