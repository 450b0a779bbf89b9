// Where routes go that nobody uses any more.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "proxy/routes.h"

namespace signalbox::proxy {

// Frees them on a thread of its own. With the last routes of a snapshot goes the snapshot, and of a large one that
// takes a hundred milliseconds, for which a worker's requests would wait. Thread-safe, and Add never waits: the thread
// gets the processor last, and a lock that it held would keep a worker for as long.
class RetiredRoutes {
 public:
  RetiredRoutes();
  // Frees what is left.
  ~RetiredRoutes();
  RetiredRoutes(const RetiredRoutes&) = delete;
  RetiredRoutes& operator=(const RetiredRoutes&) = delete;

  // The hosts of `routes` may be gone already.
  void Add(std::unique_ptr<Routes> routes);

 private:
  void Run();
  void Wake();
  static void Free(std::unique_ptr<Routes> newest);

  // A list by Routes::next_retired, the newest first. Only ever taken as a whole.
  std::atomic<Routes*> newest_{nullptr};
  std::atomic<uint32_t> changes_{0};  // what the thread waits for
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace signalbox::proxy
