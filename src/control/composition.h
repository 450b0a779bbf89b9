// What the store holds, put together: the one snapshot that every data plane runs.
//
// As a rule that is the newest version of every topic. Content that is damaged, or was written by another release, or
// past the checks of `signalbox rules publish`, is held back: its topic runs its newest version that compiles by
// itself, however much the others have published since. Where topics do not compile together (two that declare one
// Objective), those that ran go on, and what came later is held back. What is held back is a function of the store's
// content alone, not of when this process was started, so that a restart changes nothing and two control planes on one
// store agree:
//
//   Sound(t, n) = the newest version of topic t at sequence n that compiles by itself
//   State(n)    = Sound(t, n) of every t where it is the newest of all, and of the others what compiles with these
//                 when the former go together; otherwise
//               = State(n - 1), with each Sound(t, n) that compiles with the rest; the topic of change n is asked first
//
// In a store that is managed (docs/decisions/0010-managed-fleet.md: it has a topic `fleet`) the rules that run are
// those of the topics `active/...`, which the leading control plane writes when their models are there; `rules/...` is
// then what is to run some time. Where a scope has rules of its own, its data planes get a snapshot of their own.
//
// What operators set of a namespace's traffic shifts goes with whatever rules of it run. A setting of a shift that
// these do not have is left out, with a warning: it waits for rules that do.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decide/snapshot.h"
#include "signalbox/v1/snapshot.pb.h"
#include "store/store.h"

namespace signalbox::control {

// A topic whose newest version does not run.
struct HeldBack {
  std::string topic;
  int64_t newest_version = 0;
  int64_t running_version = 0;  // 0: none of its versions runs
  std::string reason;
};

// What runs of a namespace; nullptr and 0 where nothing does.
struct NamespaceInUse {
  const v1::RuleSet* rules = nullptr;
  int64_t rules_version = 0;
  const v1::TrafficSettings* traffic = nullptr;  // also what of it is without effect
  int64_t traffic_version = 0;
};

// Which rules: those that run, or those that people published and that shall run. Where the store is not managed, they
// are the same.
enum class RulesOf { kRunning, kPublished };

// For one thread at a time.
class Composition {
 public:
  // `store` must outlive it. Reads nothing yet.
  explicit Composition(store::Store& store, RulesOf rules_of = RulesOf::kRunning)
      : store_(store), rules_of_(rules_of) {}

  // Goes to the store's newest sequence. An error is one of the store's: everything stays as it was, and the call can
  // be repeated.
  absl::Status Advance();

  // nullptr before the first Advance that succeeded. Its version is the sequence of the newest change that concerns it;
  // in a managed store also of the newest of `fleet`, so that no version goes back when the store becomes managed.
  const std::shared_ptr<const decide::Snapshot>& snapshot() const { return snapshot_; }
  // The scopes that have rules of their own in some namespace, sorted.
  const std::vector<std::string>& scopes() const { return scopes_; }
  // The snapshot of data planes that are in `scopes`, sorted: in each namespace the rules of the first scope, in the
  // order of scopes(), that has some. snapshot() where there are none, and where they do not go together with the rest.
  std::shared_ptr<const decide::Snapshot> SnapshotOf(const std::vector<std::string>& scopes);
  // Why SnapshotOf(scopes) is not what these scopes should have: their rules do not go together with the rest, or
  // cannot be read. Empty: it is.
  std::string WhyNot(const std::vector<std::string>& scopes);
  const std::vector<HeldBack>& held_back() const { return held_back_; }
  // What is in the store and without effect, though nothing is wrong with it.
  const std::vector<std::string>& warnings() const { return warnings_; }
  // Valid until the next Advance.
  NamespaceInUse InUse(std::string_view namespace_name) const;
  // The store's sequence that this is made from.
  int64_t sequence() const { return sequence_; }
  bool managed() const { return managed_; }

  // The snapshot that there would be with `content` as the newest version of `topic`. INVALID_ARGUMENT lists why there
  // could be none.
  absl::StatusOr<std::shared_ptr<const decide::Snapshot>> Try(std::string_view topic, const std::string& content) const;

 private:
  // One version of a topic, understood: a rule set, a placement or settings, or what is wrong with its content.
  struct Part {
    int64_t version = 0;        // in its topic
    int64_t rules_version = 0;  // in `rules/NAMESPACE`
    std::shared_ptr<const v1::RuleSet> rule_set;
    std::shared_ptr<const v1::Placement> placement;
    std::shared_ptr<const v1::TrafficSettings> traffic;
    absl::Status fault;
    bool tried_alone = false;  // `fault` also says whether it compiles by itself
  };
  using Parts = std::map<std::string, Part, std::less<>>;        // by topic
  using Versions = std::map<std::string, int64_t, std::less<>>;  // newest version by topic

  static std::vector<std::string> WithoutEffect(const Parts& parts);
  static const Part* RulesOfNamespace(const Parts& parts, std::string_view namespace_name);
  bool Concerns(std::string_view topic) const;
  static Part Parse(std::string_view topic, int64_t version, const absl::StatusOr<std::string>& content);
  static absl::StatusOr<std::shared_ptr<const decide::Snapshot>> Compile(const Parts& parts, int64_t sequence);

  struct State {
    Parts parts;
    std::shared_ptr<const decide::Snapshot> snapshot;
    std::map<std::string, absl::Status, std::less<>> refused;  // why a topic's newest version is not in `parts`
  };

  absl::StatusOr<State> Replay(const store::LatestVersions& latest);
  absl::StatusOr<State> NewestOfAll(const Versions& versions, int64_t sequence);
  absl::StatusOr<State> SoundOfAll(const Versions& versions, int64_t sequence);
  absl::Status Step(const Versions& versions, const store::VersionInfo& change, State& state);
  static void TryPart(const std::string& topic, const Part& part, int64_t sequence, State& state);
  absl::StatusOr<std::vector<store::VersionInfo>> ChangesAfter(int64_t sequence, int64_t up_to);
  // A fault of the content is in the part, one of the store's in the status.
  absl::StatusOr<Part> Load(const std::string& topic, int64_t version);
  absl::StatusOr<Part> LoadAndTryAlone(const std::string& topic, int64_t version);
  struct OfScopes {
    std::shared_ptr<const decide::Snapshot> snapshot;
    std::string why_not;
  };
  OfScopes Overlay(const std::vector<std::string>& with_rules) const;
  const OfScopes* FindOfScopes(const std::vector<std::string>& scopes);
  absl::Status TakeScopes(const store::LatestVersions& scoped);
  void Adopt(State state, const store::LatestVersions& latest, int64_t sequence);

  store::Store& store_;
  const RulesOf rules_of_;
  bool managed_ = false;
  int64_t sequence_ = 0;
  Parts parts_;
  Parts scoped_;                                      // the topics `active/NAMESPACE/SCOPE`
  std::map<std::string, std::string> scoped_faults_;  // of them, why the newest version of one is not in `scoped_`
  std::vector<std::string> scopes_;
  std::map<std::vector<std::string>, OfScopes> of_scopes_;
  std::shared_ptr<const decide::Snapshot> snapshot_;
  std::vector<HeldBack> held_back_;
  std::vector<std::string> warnings_;
  // Of the versions that were looked at last, so that what did not change is not parsed again.
  std::map<std::pair<std::string, int64_t>, Part> cache_;
};

}  // namespace signalbox::control
