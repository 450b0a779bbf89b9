// The cells of one request that experimentation platforms have to give before it can be decided.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "allocate/worker_cells.h"
#include "decide/remote_questions.h"
#include "decide/request_context.h"
#include "proxy/deadline_queue.h"

namespace signalbox::proxy {

class Request;
class Worker;

// Belongs to a request, and is kept for later ones that need it.
class RemoteCells {
 public:
  RemoteCells(Worker& worker, Request& request);
  ~RemoteCells();
  RemoteCells(const RemoteCells&) = delete;
  RemoteCells& operator=(const RemoteCells&) = delete;

  // Asks. True when there is something to wait for: Request::OnRemoteCells is called when the last answer has come, or
  // the last deadline of those without one has passed. `ends_at` is when the request itself has to be answered; half of
  // the time until then is left to the model.
  bool Ask(const decide::RemoteQuestions& questions, const decide::RequestContext& context, Time ends_at);
  // Nothing is waited for any more. What has come is forgotten.
  void Clear();
  bool waits() const { return waiting_ > 0; }
  // What has come, for RequestContext::remote_cells.
  std::span<const decide::CellName> cells() const { return {cells_.data(), cells_count_}; }

  // --- What time reports.
  void OnDeadline();
  Deadline deadline;

 private:
  // One question, until its answer has come or nobody waits for it any more.
  class Asked : public allocate::Waiter {
   public:
    bool OnAnswer(std::string_view cell) override {
      // Asked first: the request goes on, and may end, when it has its cells.
      const bool exists = cell.empty() || question.HasCell(cell);
      owner->OnAnswer(*this, cell);
      return exists;
    }
    RemoteCells* owner = nullptr;
    decide::RemoteQuestion question;
    Time until;
    std::string answer;  // a cell
  };

  void OnAnswer(Asked& asked, std::string_view cell);
  void Take(Asked& asked, std::string_view cell);
  // Waits until the last deadline of those that have no answer.
  void SetDeadline();

  Worker& worker_;
  Request& request_;
  std::array<Asked, decide::kRemoteQuestionsMax> asked_;
  size_t asked_count_ = 0;
  size_t waiting_ = 0;
  std::array<decide::CellName, decide::kRemoteQuestionsMax> cells_;
  size_t cells_count_ = 0;
};

}  // namespace signalbox::proxy
