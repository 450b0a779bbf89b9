// The book of one namespace in one step: what should run, what runs, and the rollout between them, as it is read and as
// it will be written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rollout/observation.h"

namespace signalbox::rollout {

struct Book {
  std::string name;  // of the namespace
  const ObservedNamespace* observed = nullptr;
  const Topic<v1::RuleSet>* target = nullptr;  // what should run; nullptr: nothing that can be read
  bool is_pinned = false;
  v1::Rollouts rollouts;
  std::string read;        // `rollouts` as it was read, serialised
  bool has_place = false;  // there are shards for all that the rollout under way needs
  std::vector<v1::ActiveRules> activations;

  bool HasCurrent() const { return rollouts.has_current(); }
  v1::Rollout& current() { return *rollouts.mutable_current(); }
  const v1::Rollout& current() const { return rollouts.current(); }
  // A rollout that has not come to an end.
  bool UnderWay() const;
  v1::Rollout::State state() const { return current().state(); }
  const v1::ReleasePlan& release() const;
  // What runs everywhere; nullptr: nothing.
  const v1::ActiveRules* Active() const;
  int64_t active_version() const;
  // What runs in the scope alone; nullptr: nothing of its own.
  const Topic<v1::ActiveRules>* ActiveIn(const std::string& scope) const;
};

class BookKeeper {
 public:
  BookKeeper(int64_t now_unix_ms, const std::string& node_id) : now_unix_ms_(now_unix_ms), node_id_(node_id) {}

  // Reads, ends what has been superseded or cancelled, and begins what is new.
  Book Open(const std::string& name, const ObservedNamespace& observed, std::vector<std::string>& log) const;
  // To another state. `reason` is kept until the next.
  void Go(Book& book, v1::Rollout::State state, std::string reason = "") const;
  void Go(v1::Rollout& rollout, v1::Rollout::State state, std::string reason = "") const;

 private:
  void FindTarget(Book& book) const;
  void EndWhatIsOver(Book& book) const;
  void BeginWhatIsNew(Book& book) const;
  void TakeOver(Book& book) const;

  int64_t now_unix_ms_;
  const std::string& node_id_;
};

bool IsUnderWay(v1::Rollout::State state);
// "received", ...
std::string StateName(v1::Rollout::State state);

}  // namespace signalbox::rollout
