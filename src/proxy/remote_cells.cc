#include "proxy/remote_cells.h"

#include <algorithm>
#include <chrono>

#include "proxy/request.h"
#include "proxy/routes.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

using allocate::Field;
using allocate::Outcome;
using allocate::WorkerCells;

// Under the names that contexts in JSON have.
constexpr size_t kNamedFields = 8;
std::array<Field, kNamedFields> NamedFields(const decide::RequestContext& context) {
  return {{{"country", context.country},
           {"locale", context.locale},
           {"device", context.device},
           {"surface", context.surface},
           {"tenant", context.tenant},
           {"traffic_type", decide::Name(context.traffic_type)},
           {"app_version", context.app_version},
           {allocate::kSegments, context.segments}}};
}

}  // namespace

RemoteCells::RemoteCells(Worker& worker, Request& request) : worker_(worker), request_(request) {
  for (Asked& asked : asked_) asked.owner = this;
}

RemoteCells::~RemoteCells() { Clear(); }

bool RemoteCells::Ask(const decide::RemoteQuestions& questions, const decide::RequestContext& context, Time ends_at) {
  const Time now = worker_.ReadClock();
  const std::array<Field, kNamedFields> named = NamedFields(context);
  std::array<Field, kAttributesMax + 1> free;
  size_t free_count = 0;
  for (const decide::Attribute& attribute : context.attributes) free[free_count++] = {attribute.key, attribute.value};
  if (!context.user.empty()) free[free_count++] = {"user", context.user};

  for (const decide::RemoteQuestion& question : questions) {
    Asked& asked = asked_[asked_count_++];
    const std::chrono::milliseconds wait(question.deadline_ms);
    asked.question = question;
    asked.until = std::min(now + wait, now + (ends_at - now) / 2);
    std::string_view cell;
    const allocate::Question sent = {.platform = question.platform,
                                     .flag = question.flag,
                                     .unit = question.unit,
                                     .asker = question.experiment,
                                     .context = named,
                                     .attributes = std::span(free).first(free_count),
                                     .ttl = std::chrono::milliseconds(question.ttl_ms),
                                     .deadline = wait};
    const WorkerCells::Found found = worker_.cells()->Find(sent, worker_.now(), asked, cell);
    if (found == WorkerCells::Found::kCell) {
      Take(asked, cell);
      if (!question.HasCell(asked.answer)) worker_.cells()->Refuse(sent, worker_.now());
    }
    if (found == WorkerCells::Found::kAsked) ++waiting_;
  }
  if (waits()) SetDeadline();
  return waits();
}

void RemoteCells::Clear() {
  worker_.remote_deadlines().Remove(*this);
  for (size_t i = 0; i < asked_count_; ++i) {
    if (asked_[i].waits()) worker_.cells()->GiveUp(asked_[i], Outcome::kAbandoned);
  }
  asked_count_ = waiting_ = cells_count_ = 0;
}

void RemoteCells::OnAnswer(Asked& asked, std::string_view cell) {
  --waiting_;
  if (!cell.empty()) Take(asked, cell);
  worker_.remote_deadlines().Remove(*this);
  if (waits()) return SetDeadline();
  request_.OnRemoteCells();
}

void RemoteCells::Take(Asked& asked, std::string_view cell) {
  asked.answer = cell;
  cells_[cells_count_++] = {.experiment = asked.question.experiment, .cell = asked.answer};
}

void RemoteCells::SetDeadline() {
  deadline.at = Time();
  for (size_t i = 0; i < asked_count_; ++i) {
    if (asked_[i].waits()) deadline.at = std::max(deadline.at, asked_[i].until);
  }
  worker_.remote_deadlines().Add(*this);
}

void RemoteCells::OnDeadline() {
  for (size_t i = 0; i < asked_count_; ++i) {
    if (asked_[i].waits()) worker_.cells()->GiveUp(asked_[i], Outcome::kTimeout);
  }
  waiting_ = 0;
  request_.OnRemoteCells();
}

// --- The request's part.

bool Request::AskPlatforms() {
  if (worker_.cells() == nullptr) return false;
  const decide::RemoteQuestions questions = decide::FindRemoteQuestions(routes_->snapshot(), context_.context);
  if (questions.empty()) return false;
  if (remote_cells_ == nullptr) remote_cells_ = std::make_unique<RemoteCells>(worker_, *this);
  if (remote_cells_->Ask(questions, context_.context, has_deadline_ ? deadline.at : Time::max())) return true;
  context_.context.remote_cells = remote_cells_->cells();
  return false;
}

bool Request::waits_for_cells() const { return remote_cells_ != nullptr && remote_cells_->waits(); }

void Request::OnRemoteCells() {
  context_.context.remote_cells = remote_cells_->cells();
  // The time that was waited is the platform's, not the proxy's.
  ready_ = worker_.ReadClock();
  if (absl::Status status = Handle(); !status.ok()) Fail(status);
}

}  // namespace signalbox::proxy
