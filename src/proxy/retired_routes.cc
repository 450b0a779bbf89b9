#include "proxy/retired_routes.h"

#include <signal.h>

#include <utility>

#include "base/background_thread.h"

namespace signalbox::proxy {

RetiredRoutes::RetiredRoutes() : thread_([this] { Run(); }) {}

RetiredRoutes::~RetiredRoutes() {
  stop_.store(true, std::memory_order_release);
  Wake();
  thread_.join();
}

void RetiredRoutes::Add(std::unique_ptr<Routes> routes) {
  Routes* added = routes.release();
  Routes* next = newest_.load(std::memory_order_relaxed);
  do {
    // Who owns it is decided by the exchange alone.
    static_cast<void>(added->next_retired.release());
    added->next_retired.reset(next);
  } while (!newest_.compare_exchange_weak(next, added, std::memory_order_release, std::memory_order_relaxed));
  Wake();
}

void RetiredRoutes::Wake() {
  changes_.fetch_add(1, std::memory_order_release);
  changes_.notify_one();
}

// One after the other: a list that frees itself needs a stack as deep as it is long.
void RetiredRoutes::Free(std::unique_ptr<Routes> newest) {
  while (newest != nullptr) newest = std::move(newest->next_retired);
}

void RetiredRoutes::Run() {
  pthread_setname_np(pthread_self(), "retired-routes");
  // Signals are for the main thread.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  MakeThisABackgroundThread();
  for (;;) {
    const uint32_t changes_seen = changes_.load(std::memory_order_acquire);
    const bool stop = stop_.load(std::memory_order_acquire);
    Free(std::unique_ptr<Routes>(newest_.exchange(nullptr, std::memory_order_acquire)));
    if (stop) return;
    changes_.wait(changes_seen, std::memory_order_acquire);
  }
}

}  // namespace signalbox::proxy
