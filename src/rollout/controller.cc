#include "rollout/controller.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/canonical_json.h"
#include "base/status.h"
#include "rollout/book.h"
#include "rollout/commands.h"
#include "rollout/data_planes.h"
#include "rollout/host_facts.h"
#include "rollout/limits.h"
#include "rollout/moves.h"
#include "rollout/named_models.h"
#include "rollout/needs.h"
#include "rollout/plan.h"
#include "rollout/progress.h"
#include "rollout/release.h"
#include "rollout/rule_check.h"

namespace signalbox::rollout {
namespace {

// `rollout/NS` and `active/NS[/SCOPE]`.
std::string RolloutKey(const std::string& name) { return fmt::format("rollout/{}", name); }
std::string ActiveTopicName(const std::string& name, const std::string& scope) {
  return scope.empty() ? fmt::format("active/{}", name) : fmt::format("active/{}/{}", name, scope);
}

}  // namespace

// Everything that is kept from step to step. A new one knows what the store and the hosts say, and no more.
class Controller::State {
 public:
  explicit State(const ControllerOptions& options)
      : options_(options), hosts_(options_), data_planes_(options_), plan_(options_), moves_(options_) {}

  Step Next(const Observation& observation);
  const PlacementView& placement() const { return view_; }
  int64_t term = 0;  // of the leadership that this is of

 private:
  // What a step has worked out.
  struct Work {
    const Observation& seen;
    const ObservedStore& store;
    const v1::Fleet& fleet;
    const v1::Drains& drains;
    const v1::Placement& placement;
    BookKeeper keeper;
    Wake wake;
    Step step;
    std::vector<Book> books;
    Placed placed;
    Needs needs;
    Room room;
    std::shared_ptr<const assign::Result> plan;
  };

  void TakeBatchStatus(Work& work);
  void OpenBooks(Work& work);
  void FindNeeds(Work& work);
  assign::Assignment Current(const Work& work, const Needs& needs) const;
  void Admit(Work& work);
  void AdmitOne(Work& work, Book& book);
  ModelIds ModelsOf(const Work& work, const Book& book);
  void ShiftModels(Work& work, PlacementDraft& draft);
  void AdvanceRollouts(Work& work, PlacementDraft& draft);
  void Retire(Work& work);
  void WriteBatch(Work& work, const PlacementDraft& draft);
  void View(const Work& work);

  const ControllerOptions options_;
  HostFacts hosts_;
  DataPlanes data_planes_;
  Plan plan_;
  Moves moves_;
  NamedModelsCache named_;
  RuleCheck check_;
  WrittenTimes times_;
  PlacementView view_;
  std::map<std::string, v1::Rollout::State> told_;  // by namespace and version: what the log has said
  std::set<std::string> told_troubles_;
  assign::Assignment target_;  // of the last step
  bool batch_under_way_ = false;
  int batch_failures_ = 0;
  int64_t no_batch_before_ms_ = 0;  // steady
};

Step Controller::State::Next(const Observation& observation) {
  const ObservedStore& store = *observation.store;
  static const v1::Drains kNoDrains;
  static const v1::Placement kNoPlacement;
  Work work{.seen = observation,
            .store = store,
            .fleet = *store.fleet.content,
            .drains = store.drains.content == nullptr ? kNoDrains : *store.drains.content,
            .placement = store.placement.content == nullptr ? kNoPlacement : *store.placement.content,
            .keeper = BookKeeper(observation.now_unix_ms, observation.node_id),
            .wake = Wake(observation.steady_ms),
            .step = {},
            .books = {},
            .placed = {},
            .needs = {},
            .room = {},
            .plan = nullptr};
  TakeBatchStatus(work);
  data_planes_.Observe(observation, work.wake, work.step.log);
  OpenBooks(work);
  FindNeeds(work);
  hosts_.Observe(observation, work.placed, work.fleet, work.wake, work.step.log);
  work.room = FindRoom(work.fleet, work.drains, hosts_, work.placed, work.wake);
  Admit(work);

  ModelIds needed;
  for (const auto& [model, need] : work.needs) needed.insert(model);
  PlacementDraft draft(work.placed, needed, hosts_, work.fleet, work.drains);
  ShiftModels(work, draft);
  AdvanceRollouts(work, draft);
  Retire(work);
  WriteBatch(work, draft);

  CommandStep commands{.options = options_,
                       .needs = work.needs,
                       .target = target_,
                       .placed = work.placed,
                       .fleet = work.fleet,
                       .drains = work.drains,
                       .data_planes = data_planes_,
                       .hosts = hosts_,
                       .wake = work.wake,
                       .may_unload = !batch_under_way_};
  work.step.commands = NextCommands(commands);
  View(work);

  plan_.Sweep();
  moves_.Sweep();
  named_.Sweep();
  check_.Sweep();
  times_.Sweep();
  work.step.wake_after = work.wake.after();
  return std::move(work.step);
}

void Controller::State::TakeBatchStatus(Work& work) {
  for (const std::string& trouble : work.seen.host_troubles) {
    if (told_troubles_.insert(trouble).second) work.step.log.push_back(trouble);
  }
  std::erase_if(told_troubles_, [&](const std::string& told) {
    return std::find(work.seen.host_troubles.begin(), work.seen.host_troubles.end(), told) ==
           work.seen.host_troubles.end();
  });
  if (!batch_under_way_ || !work.seen.batch_status.has_value()) return;
  batch_under_way_ = false;
  const absl::Status& status = *work.seen.batch_status;
  if (status.ok()) {
    batch_failures_ = 0;
    return;
  }
  ++batch_failures_;
  // ABORTED: what was read was not the newest. What has been read since is looked at as if nothing had happened.
  if (absl::IsAborted(status) && batch_failures_ < 3) return;
  const int64_t pause = std::min<int64_t>(30'000, 250LL << std::min(batch_failures_, 10));
  no_batch_before_ms_ = work.wake.now_ms() + pause;
  work.step.log.push_back(
      fmt::format("what has become of rollouts could not be written, again in {} ms: {}", pause, Message(status)));
}

void Controller::State::OpenBooks(Work& work) {
  for (const auto& [name, observed] : work.store.namespaces) {
    work.books.push_back(work.keeper.Open(name, observed, work.step.log));
    // Of what has been read back, so that nothing is told that was not written.
    v1::Rollouts read;
    if (!observed.rollout.has_value() || !read.ParseFromString(observed.rollout->value) || !read.has_current())
      continue;
    const v1::Rollout& current = read.current();
    const std::string key = fmt::format("{} version {}", name, current.rules_version());
    const auto [told, is_new] = told_.try_emplace(key, v1::Rollout::STATE_UNSPECIFIED);
    if (told->second == current.state()) continue;
    told->second = current.state();
    work.step.log.push_back(fmt::format("{}: {}{}{}", key, StateName(current.state()),
                                        current.reason().empty() ? "" : ": ", current.reason()));
    for (const v1::Rollout& past : read.past()) told_.erase(fmt::format("{} version {}", name, past.rules_version()));
  }
  // In the order in which they were published, so that one that comes later takes no room from one that was there.
  std::stable_sort(work.books.begin(), work.books.end(), [](const Book& a, const Book& b) {
    const auto sequence = [](const Book& book) { return book.target == nullptr ? 0 : book.target->sequence; };
    return sequence(a) < sequence(b);
  });
}

ModelIds Controller::State::ModelsOf(const Work& work, const Book& book) {
  return named_.Of(work.store.fleet.content, book.target->content);
}

void Controller::State::FindNeeds(Work& work) {
  for (const Book& book : work.books) {
    AddRunning(book, work.store, work.placement, work.seen.now_unix_ms, options_.retention.count(), named_, times_,
               work.wake, work.needs);
  }
  for (const Book& book : work.books) {
    if (!book.UnderWay() || book.target == nullptr || book.state() < v1::Rollout::ASSIGNED) continue;
    AddNeed(work.needs, ModelsOf(work, book), book.name,
            fmt::format("{} version {} ({})", book.name, book.target->version, StateName(book.state())), false);
  }
  ModelIds ids;
  for (const auto& [model, need] : work.needs) ids.insert(model);
  for (const Book& book : work.books) {
    if (book.UnderWay() && book.target != nullptr) ids.merge(ModelsOf(work, book));
  }
  work.placed = ReadPlacement(work.placement, ids);
}

// Where models are, or are on their way to: a plan is kept as long as it can be.
assign::Assignment Controller::State::Current(const Work& work, const Needs& needs) const {
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

void Controller::State::Admit(Work& work) {
  work.plan = plan_.Assign(work.room.shards, work.needs, work.fleet, hosts_, Current(work, work.needs));
  for (Book& book : work.books) {
    if (book.UnderWay() && book.target != nullptr) AdmitOne(work, book);
  }
  target_ = work.plan->assignment;
  // What finds no place any more stays where it is.
  for (const auto& [model, need] : work.needs) {
    if (target_.contains(model)) continue;
    if (const PlacedModel* placed = work.placed.Find(model)) target_[model] = placed->shards;
  }
}

void Controller::State::AdmitOne(Work& work, Book& book) {
  const ModelIds models = ModelsOf(work, book);
  RuleCheck::Running running;
  for (const Book& other : work.books) running[other.name] = other.observed->active;
  if (book.state() == v1::Rollout::RECEIVED) {
    if (const std::string circle = DependencyCircle(work.fleet, models); !circle.empty()) {
      work.keeper.Go(book, v1::Rollout::FAILED, fmt::format("models depend on each other: {}", circle));
      return;
    }
    if (const absl::Status status = check_.Check(book.name, *book.target, running, &work.placement); !status.ok()) {
      work.keeper.Go(book, v1::Rollout::FAILED, std::string(Message(status)));
      return;
    }
    work.keeper.Go(book, v1::Rollout::CHECKED);
  }
  const bool is_admitted = book.state() >= v1::Rollout::ASSIGNED;
  Needs needs = work.needs;
  if (!is_admitted) {
    AddNeed(needs, models, book.name, fmt::format("{} version {} (assigned)", book.name, book.target->version), false);
  }
  const assign::Assignment current = Current(work, needs);
  const auto plan = is_admitted ? work.plan : plan_.Assign(work.room.shards, needs, work.fleet, hosts_, current);
  const auto unplaced = [&](const assign::Result& result) {
    return std::find_if(models.begin(), models.end(), [&](const std::string& model) {
      return !result.assignment.contains(model) && work.placed.Find(model) == nullptr;
    });
  };
  const auto first = unplaced(*plan);
  if (first == models.end()) {
    work.plan = plan;
    work.needs = std::move(needs);
    if (!is_admitted) work.keeper.Go(book, v1::Rollout::ASSIGNED);
    return;
  }
  // Hosts may still come. Only what could not even be with all of them fails at once.
  const auto with_absent = plan_.Assign(work.room.shards_with_absent, needs, work.fleet, hosts_, current);
  const auto never = unplaced(*with_absent);
  if (never != models.end()) {
    work.keeper.Go(book, v1::Rollout::FAILED, WhyUnplaced(*never, *with_absent));
    return;
  }
  const std::string wait =
      fmt::format("{}; waits for hosts of {}", WhyUnplaced(*first, *plan), fmt::join(work.room.without_hosts, ", "));
  const int64_t timeout = options_.rollout_timeout.count();
  const int64_t deadline = RolloutDeadline(book, options_, work.seen.now_unix_ms, times_, work.wake);
  if (work.wake.Passed(deadline)) {
    work.keeper.Go(book, v1::Rollout::FAILED, fmt::format("not placed within {} s: {}", timeout / 1000, wait));
  } else {
    book.current().set_reason(wait);
  }
}

// Models that are placed already and should be elsewhere.
void Controller::State::ShiftModels(Work& work, PlacementDraft& draft) {
  for (const auto& [model, now] : std::map(draft.models())) {
    const auto target = target_.find(model);
    if (target == target_.end()) continue;
    PlacedModel next = moves_.Next(model, now, target->second, draft, work.wake);
    if (next != now) draft.Set(model, std::move(next));
  }
}

void Controller::State::AdvanceRollouts(Work& work, PlacementDraft& draft) {
  RolloutStep step{.options = options_,
                   .observation = work.seen,
                   .keeper = work.keeper,
                   .hosts = hosts_,
                   .data_planes = data_planes_,
                   .named = named_,
                   .times = times_,
                   .wake = work.wake,
                   .draft = draft,
                   .publications_left = kBatchPublicationsMax,
                   .bytes_left = kBatchBytesMax};
  RuleCheck::Running running;
  for (const Book& book : work.books) running[book.name] = book.observed->active;
  for (Book& book : work.books) {
    Release release(book, step);
    if (book.UnderWay() && book.target != nullptr && book.state() >= v1::Rollout::ASSIGNED) {
      Additions shards;
      for (const std::string& model : ModelsOf(work, book)) {
        if (const auto target = target_.find(model); target != target_.end()) shards[model] = target->second;
      }
      release.Advance(shards, check_.Check(book.name, *book.target, running, &work.placement));
      WriteProgress(book, shards, work.placed, hosts_);
      // The next one has to go with what this one is about to bring.
      for (const v1::ActiveRules& active : book.activations) {
        Topic<v1::ActiveRules>& topic = running[book.name][active.scope()];
        topic.content = std::make_shared<v1::ActiveRules>(active);
        ++topic.version;
        topic.sequence = work.store.sequence + 1;
      }
    }
    if (!book.UnderWay() && book.activations.empty()) release.ClearScopes();
  }
}

// A version that ran is over when nothing is kept of it any more.
void Controller::State::Retire(Work& work) {
  for (Book& book : work.books) {
    for (v1::Rollout& past : *book.rollouts.mutable_past()) {
      if (past.state() != v1::Rollout::ACTIVE || past.rules_version() == book.active_version()) continue;
      if (IsRetained(book, past.rules_version(), work.seen.now_unix_ms, options_.retention.count(), times_, work.wake))
        continue;
      // Just activated: what is retained is in the batch that says so.
      if (!book.activations.empty()) continue;
      past.set_state(v1::Rollout::RETIRED);
      v1::Transition& transition = *past.add_transitions();
      transition.set_state(v1::Rollout::RETIRED);
      transition.set_unix_ms(work.seen.now_unix_ms);
      transition.set_by(work.seen.node_id);
    }
  }
}

void Controller::State::WriteBatch(Work& work, const PlacementDraft& draft) {
  if (batch_under_way_ || !work.wake.Passed(no_batch_before_ms_)) return;
  store::Batch batch;
  const auto publish = [&](std::string topic, const google::protobuf::Message& content, int64_t version,
                           std::string message) {
    absl::StatusOr<std::string> json = CanonicalJson(content);
    if (!json.ok()) {
      work.step.log.push_back(std::string(Message(json.status())));
      return;
    }
    batch.publications.push_back({.topic = std::move(topic),
                                  .content = *std::move(json),
                                  .author = work.seen.node_id,
                                  .message = std::move(message),
                                  .expected = {.version = version}});
  };
  if (draft.Differs()) {
    publish(std::string(store::kPlacementTopic), draft.Write(), work.store.placement.version, "");
  }
  for (const Book& book : work.books) {
    for (const v1::ActiveRules& active : book.activations) {
      const auto now = book.observed->active.find(active.scope());
      publish(ActiveTopicName(book.name, active.scope()), active,
              now == book.observed->active.end() ? 0 : now->second.version,
              active.rules_version() == 0 ? "what runs everywhere"
                                          : fmt::format("rules version {}", active.rules_version()));
    }
    if (!book.HasCurrent() && book.rollouts.past().empty()) continue;
    std::string value = book.rollouts.SerializeAsString();
    if (value == book.read) continue;
    const auto& record = book.observed->rollout;
    batch.records.push_back({.key = RolloutKey(book.name),
                             .value = std::move(value),
                             .expected_revision = record.has_value() ? record->revision : 0});
  }
  if (batch.publications.empty() && batch.records.empty()) return;
  batch.fence = work.seen.leadership;
  work.step.batch = std::move(batch);
  batch_under_way_ = true;
}

void Controller::State::View(const Work& work) {
  view_.models.clear();
  for (const auto& [model, need] : work.needs) {
    PlacementView::ModelView& view = view_.models.emplace_back();
    view.model = model;
    view.wanted_by = need.wanted_by;
    if (const PlacedModel* placed = work.placed.Find(model)) view.shards = placed->shards;
    const auto explanation = work.plan->explanations.find(model);
    if (explanation == work.plan->explanations.end()) continue;
    view.summary = explanation->second.summary;
    for (const assign::Refusal& refusal : explanation->second.refusals) {
      view.refusals.push_back(refusal.shard.empty() ? refusal.reason
                                                    : fmt::format("{}: {}", refusal.shard, refusal.reason));
    }
  }
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
  if (state_ == nullptr || state_->term != observation.leadership->created_revision) {
    state_ = std::make_unique<State>(options_);
    state_->term = observation.leadership->created_revision;
  }
  return state_->Next(observation);
}

const PlacementView& Controller::placement() const {
  static const PlacementView kNothing;
  return state_ == nullptr ? kNothing : state_->placement();
}

}  // namespace signalbox::rollout
