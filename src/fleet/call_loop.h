// The one thread of a Fleet: answers of hosts, timers and the work that others hand over, one after the other. What
// lives on it needs no lock.
#pragma once

#include <grpcpp/completion_queue.h>

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace signalbox::fleet {

// From now, by the clock that does not jump.
gpr_timespec After(std::chrono::milliseconds delay);

class CallLoop {
 public:
  // What comes out of the completion queue. Owns itself until then.
  class Event {
   public:
    virtual ~Event() = default;
    virtual void Proceed(bool ok) = 0;
  };

  CallLoop();
  ~CallLoop();
  CallLoop(const CallLoop&) = delete;
  CallLoop& operator=(const CallLoop&) = delete;

  // From any thread. Work runs in the order in which it came; after Stop() has begun it is dropped.
  void Post(std::function<void()> work);

  // From any other thread, once. Runs `last`, which must let go of all connections, waits for what is still to come out
  // of the queue, and ends the thread.
  void Stop(std::function<void()> last);

  grpc::CompletionQueue& queue() { return queue_; }

 private:
  friend class Timer;
  class Wake;
  using Timers = std::multimap<std::chrono::steady_clock::time_point, class Timer*>;

  void Run();
  void RunPosted();
  void RunDueTimers();

  grpc::CompletionQueue queue_;
  Timers timers_;  // of the thread
  std::mutex mutex_;
  bool stopping_ = false;                     // guarded by mutex_, as is the next
  std::deque<std::function<void()>> posted_;  // a Wake is under way for each
  std::thread thread_;
};

// Runs work on the loop's thread, later. To be used, and destroyed, on that thread.
class Timer {
 public:
  explicit Timer(CallLoop& loop) : loop_(loop) {}
  ~Timer() { Cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Instead of what it was set to before. `work` may destroy the timer.
  void Set(std::chrono::milliseconds delay, std::function<void()> work);
  void Cancel();

 private:
  friend class CallLoop;

  CallLoop& loop_;
  bool is_set_ = false;
  CallLoop::Timers::iterator position_;  // while it is set
  std::function<void()> work_;
};

}  // namespace signalbox::fleet
