#include "fleet/call_loop.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <utility>

namespace signalbox::fleet {
namespace {

using Clock = std::chrono::steady_clock;

// Without a timer there is nothing to wake up for.
constexpr std::chrono::milliseconds kSleepMax{60'000};

}  // namespace

gpr_timespec After(std::chrono::milliseconds delay) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(delay.count(), GPR_TIMESPAN));
}

// Comes out of the queue at once. Several may change places on their way: what they are for waits in its order.
class CallLoop::Wake : public CallLoop::Event {
 public:
  explicit Wake(CallLoop& loop) : loop_(loop) {
    alarm_.Set(&loop.queue_, After(std::chrono::milliseconds(0)), static_cast<CallLoop::Event*>(this));
  }

  void Proceed(bool) override {
    CallLoop& loop = loop_;
    delete this;
    loop.RunPosted();
  }

 private:
  CallLoop& loop_;
  grpc::Alarm alarm_;
};

CallLoop::CallLoop() : thread_([this] { Run(); }) {}

CallLoop::~CallLoop() {
  Stop([] {});
}

void CallLoop::Post(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  posted_.push_back(std::move(work));
  new Wake(*this);
}

void CallLoop::Stop(std::function<void()> last) {
  if (!thread_.joinable()) return;
  Post([this, last = std::move(last)] {
    last();
    std::lock_guard lock(mutex_);
    stopping_ = true;
    queue_.Shutdown();
  });
  thread_.join();
}

void CallLoop::Run() {
  while (true) {
    std::chrono::milliseconds sleep = kSleepMax;
    if (!timers_.empty()) {
      // Upwards, or the last fraction of a millisecond is spent turning round.
      const auto until = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first - Clock::now());
      sleep = std::clamp(until, std::chrono::milliseconds(0), kSleepMax);
    }
    void* tag = nullptr;
    bool ok = false;
    switch (queue_.AsyncNext(&tag, &ok, After(sleep))) {
      case grpc::CompletionQueue::SHUTDOWN:
        return;
      case grpc::CompletionQueue::GOT_EVENT:
        static_cast<Event*>(tag)->Proceed(ok);
        break;
      case grpc::CompletionQueue::TIMEOUT:
        break;
    }
    RunDueTimers();
  }
}

void CallLoop::RunPosted() {
  std::function<void()> work;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;  // it came after the last
    work = std::move(posted_.front());
    posted_.pop_front();
  }
  work();
}

void CallLoop::RunDueTimers() {
  // Those that are set meanwhile wait for the next turn.
  const Clock::time_point now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    Timer* timer = timers_.begin()->second;
    std::function<void()> work = std::move(timer->work_);
    timer->Cancel();
    work();
  }
}

void Timer::Set(std::chrono::milliseconds delay, std::function<void()> work) {
  Cancel();
  work_ = std::move(work);
  position_ = loop_.timers_.emplace(Clock::now() + delay, this);
  is_set_ = true;
}

void Timer::Cancel() {
  if (!is_set_) return;
  loop_.timers_.erase(position_);
  is_set_ = false;
}

}  // namespace signalbox::fleet
