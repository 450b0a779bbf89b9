#include "proxy/retired_routes.h"

#include <signal.h>

#include <utility>

#include "base/background_thread.h"

namespace signalbox::proxy {

RetiredRoutes::RetiredRoutes() : thread_([this] { Run(); }) {}

RetiredRoutes::~RetiredRoutes() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void RetiredRoutes::Add(std::unique_ptr<Routes> routes) {
  {
    std::lock_guard lock(mutex_);
    routes_.push_back(std::move(routes));
  }
  wake_.notify_one();
}

void RetiredRoutes::Run() {
  pthread_setname_np(pthread_self(), "retired-routes");
  // Signals are for the main thread.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  MakeThisABackgroundThread();
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || !routes_.empty(); });
    if (routes_.empty()) return;
    std::vector<std::unique_ptr<Routes>> freed = std::exchange(routes_, {});
    lock.unlock();
    freed.clear();
    lock.lock();
  }
}

}  // namespace signalbox::proxy
