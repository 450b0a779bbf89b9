#include "rollout/book.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "rollout/limits.h"
#include "rollout/reason.h"

namespace signalbox::rollout {

bool IsUnderWay(v1::Rollout::State state) { return state >= v1::Rollout::RECEIVED && state <= v1::Rollout::WIDENING; }

std::string StateName(v1::Rollout::State state) {
  std::string name = v1::Rollout::State_Name(state);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char letter) { return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter; });
  return name;
}

bool Book::UnderWay() const { return HasCurrent() && IsUnderWay(current().state()); }

const v1::ReleasePlan& Book::release() const {
  return observed->release.content == nullptr ? v1::ReleasePlan::default_instance() : *observed->release.content;
}

const v1::ActiveRules* Book::Active() const {
  const Topic<v1::ActiveRules>* everywhere = ActiveIn("");
  return everywhere == nullptr ? nullptr : everywhere->content.get();
}

int64_t Book::active_version() const { return Active() == nullptr ? 0 : Active()->rules_version(); }

const Topic<v1::ActiveRules>* Book::ActiveIn(const std::string& scope) const {
  const auto found = observed->active.find(scope);
  if (found == observed->active.end() || found->second.content == nullptr) return nullptr;
  return found->second.content->rules_version() == 0 ? nullptr : &found->second;
}

Book BookKeeper::Open(const std::string& name, const ObservedNamespace& observed, std::vector<std::string>& log) const {
  Book book;
  book.name = name;
  book.observed = &observed;
  if (observed.rollout.has_value()) {
    book.read = observed.rollout->value;
    if (!book.rollouts.ParseFromString(book.read)) {
      log.push_back(fmt::format("record rollout/{} cannot be read, and is begun anew", name));
      book.rollouts.Clear();
    }
  }
  book.rollouts.set_namespace_(name);
  FindTarget(book);
  EndWhatIsOver(book);
  BeginWhatIsNew(book);
  return book;
}

void BookKeeper::FindTarget(Book& book) const {
  const ObservedNamespace& observed = *book.observed;
  const int64_t pinned = book.release().pinned_version();
  book.is_pinned = pinned != 0;
  if (!book.is_pinned) {
    if (observed.rules.content != nullptr) book.target = &observed.rules;
    return;
  }
  for (const Topic<v1::RuleSet>* rules : {&observed.rules, &observed.pinned}) {
    if (rules->version == pinned && rules->content != nullptr) book.target = rules;
  }
}

void BookKeeper::EndWhatIsOver(Book& book) const {
  if (!book.UnderWay()) return;
  const int64_t version = book.current().rules_version();
  if (book.target != nullptr && book.target->version != version) {
    Go(book, v1::Rollout::CANCELLED,
       book.is_pinned ? fmt::format("version {} is pinned", book.target->version)
                      : fmt::format("superseded by version {}", book.target->version));
  } else if (book.is_pinned && book.release().pinned_version() != version) {
    Go(book, v1::Rollout::CANCELLED, fmt::format("version {} is pinned", book.release().pinned_version()));
  } else if (!book.is_pinned && book.release().cancelled_version() == version) {
    Go(book, v1::Rollout::CANCELLED, fmt::format("cancelled by {}", book.observed->release.author));
  }
}

// Rules that ran before there was a fleet were never rolled out. What runs is told all the same.
void BookKeeper::TakeOver(Book& book) const {
  v1::Rollout& rollout = book.current();
  rollout.set_rules_version(book.target->version);
  rollout.set_author(book.target->author);
  rollout.set_attempt(book.release().attempt());
  Go(book, v1::Rollout::ACTIVE);
}

void BookKeeper::BeginWhatIsNew(Book& book) const {
  if (book.target != nullptr && book.target->version == book.active_version() && !book.HasCurrent() &&
      book.rollouts.past().empty()) {
    return TakeOver(book);
  }
  if (book.target == nullptr || book.target->version == book.active_version() || book.UnderWay()) return;
  const int64_t version = book.target->version;
  if (book.HasCurrent() && book.current().rules_version() == version) {
    // One that failed is tried again when somebody says so; one that was cancelled when that is taken back, or when the
    // pin is gone that it had to give way to.
    if (book.state() == v1::Rollout::FAILED && book.current().attempt() == book.release().attempt()) return;
    if (book.state() == v1::Rollout::CANCELLED && book.release().cancelled_version() == version) return;
  }
  if (book.HasCurrent()) {
    v1::Rollouts before = std::move(book.rollouts);
    book.rollouts.Clear();
    book.rollouts.set_namespace_(before.namespace_());
    *book.rollouts.add_past() = std::move(*before.mutable_current());
    for (v1::Rollout& past : *before.mutable_past()) {
      if (book.rollouts.past_size() < static_cast<int>(kPastRolloutsMax)) *book.rollouts.add_past() = std::move(past);
    }
    // How its models went is of use while it is under way, and for a while as the newest.
    book.rollouts.mutable_past(0)->clear_models();
  }
  v1::Rollout& rollout = book.current();
  rollout.set_rules_version(version);
  rollout.set_active_before(book.active_version());
  rollout.set_author(book.target->author);
  rollout.set_attempt(book.release().attempt());
  Go(book, v1::Rollout::RECEIVED);
  if (!book.is_pinned && book.release().cancelled_version() == version) {
    Go(book, v1::Rollout::CANCELLED, fmt::format("cancelled by {}", book.observed->release.author));
  }
}

void BookKeeper::Go(Book& book, v1::Rollout::State state, std::string reason) const {
  Go(book.current(), state, std::move(reason));
}

void BookKeeper::Go(v1::Rollout& rollout, v1::Rollout::State state, std::string reason) const {
  rollout.set_state(state);
  rollout.set_reason(Reason(reason));
  v1::Transition& transition = *rollout.add_transitions();
  transition.set_state(state);
  transition.set_unix_ms(now_unix_ms_);
  transition.set_by(node_id_);
}

}  // namespace signalbox::rollout
