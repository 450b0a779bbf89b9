#include "allocate/allocator.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <utility>

#include "allocate/grpc_asker.h"
#include "allocate/http_client.h"
#include "allocate/metrics.h"
#include "allocate/ofrep_asker.h"
#include "allocate/platform.h"

namespace signalbox::allocate {
namespace {

// Nothing is late because of it: whatever there is to do ends the wait.
constexpr std::chrono::milliseconds kWaitMax{1'000};

class AllocatorImpl : public Allocator {
 public:
  AllocatorImpl(std::vector<PlatformOptions> options, const std::function<void(std::string_view)>& log)
      : options_(std::move(options)) {
    for (const PlatformOptions& platform : options_) {
      platforms_.push_back(std::make_unique<Platform>(
          platform, MakeAsker(platform),
          [this](std::unique_ptr<Inquiry> inquiry) { answered_.push_back(std::move(inquiry)); }, log));
    }
    thread_ = std::thread([this] { Run(); });
  }

  ~AllocatorImpl() override {
    stop_.store(true, std::memory_order_release);
    http_.Wakeup();
    thread_.join();
    // Before the HTTP client and the list of what gRPC's threads have posted, which they use.
    platforms_.clear();
  }

  WorkerCells& AddWorker() override {
    std::lock_guard lock(mutex_);
    return *workers_.emplace_back(
        std::make_unique<WorkerCells>(static_cast<uint32_t>(workers_.size()), options_, [this] { http_.Wakeup(); }));
  }

  bool Knows(std::string_view platform) const override {
    return std::any_of(options_.begin(), options_.end(), [&](const auto& known) { return known.name == platform; });
  }

  void RereadTokens() override {
    Post([this] {
      for (const auto& platform : platforms_) platform->RereadToken();
    });
  }

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::lock_guard lock(mutex_);
    return CollectFamilies(platforms_, workers_);
  }

 private:
  std::unique_ptr<Asker> MakeAsker(const PlatformOptions& platform) {
    if (platform.protocol == PlatformOptions::Protocol::kOfrep) return MakeOfrepAsker(platform, http_);
    return MakeGrpcAsker(platform, [this](std::function<void()> work) { Post(std::move(work)); });
  }

  void Post(std::function<void()> work) {
    {
      std::lock_guard lock(posted_mutex_);
      posted_.push_back(std::move(work));
    }
    http_.Wakeup();
  }

  void Run() {
    pthread_setname_np(pthread_self(), "allocator");
    while (!stop_.load(std::memory_order_acquire)) {
      http_.Work();
      RunPosted();
      TakeInquiries();
      // What was begun in this round goes out in it.
      http_.Work();
      Notify();
      http_.Wait(kWaitMax);
    }
  }

  void RunPosted() {
    std::vector<std::function<void()>> posted;
    {
      std::lock_guard lock(posted_mutex_);
      posted.swap(posted_);
    }
    for (const auto& work : posted) work();
  }

  void TakeInquiries() {
    // Workers are added while requests of others are on their way.
    std::lock_guard lock(mutex_);
    for (const auto& worker : workers_) {
      worker->ClearWake();
      while (std::unique_ptr<Inquiry> inquiry = worker->to_ask().Pop()) {
        Platform& platform = *platforms_[inquiry->platform];
        platform.Ask(std::move(inquiry));
      }
    }
  }

  // Everything that a worker gets of one round comes with one wake-up.
  void Notify() {
    if (answered_.empty()) return;
    std::lock_guard lock(mutex_);
    for (std::unique_ptr<Inquiry>& inquiry : answered_) {
      // There is always room: a worker has no more under way than the ring has places.
      WorkerCells& worker = *workers_[inquiry->worker];
      worker.answered().Push(inquiry);
      to_notify_.push_back(&worker);
    }
    answered_.clear();
    std::sort(to_notify_.begin(), to_notify_.end());
    to_notify_.erase(std::unique(to_notify_.begin(), to_notify_.end()), to_notify_.end());
    for (WorkerCells* worker : to_notify_) worker->NotifyAnswered();
    to_notify_.clear();
  }

  const std::vector<PlatformOptions> options_;
  HttpClient http_;
  mutable std::mutex mutex_;  // of the list of workers
  std::vector<std::unique_ptr<WorkerCells>> workers_;
  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;
  std::vector<std::unique_ptr<Platform>> platforms_;
  // Of the thread.
  std::vector<std::unique_ptr<Inquiry>> answered_;
  std::vector<WorkerCells*> to_notify_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Allocator> Allocator::Start(std::vector<PlatformOptions> platforms,
                                            std::function<void(std::string_view)> log) {
  return std::make_unique<AllocatorImpl>(std::move(platforms), log);
}

}  // namespace signalbox::allocate
