// The thread that reads models from disk, so that the threads that answer requests never wait for one.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace signalbox::host {

// Thread-safe.
class Loader {
 public:
  // Loads that wait for their turn. A control plane moves a few models at a time; more is a mistake that should be told
  // early.
  static constexpr size_t kWaitingMax = 64;

  Loader();
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Runs `work` after all that was added before. False, and nothing done, when kWaitingMax wait already or it was
  // stopped.
  bool Add(std::function<void()> work);
  // Finishes everything that was added, then ends. Idempotent.
  void Stop();

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace signalbox::host
