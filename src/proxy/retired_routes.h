// Where routes go that nobody uses any more.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "proxy/routes.h"

namespace signalbox::proxy {

// Frees them on a thread of its own. With the last routes of a snapshot goes the snapshot, and of a large one that
// takes a hundred milliseconds, for which a worker's requests would wait. Thread-safe.
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

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::unique_ptr<Routes>> routes_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace signalbox::proxy
