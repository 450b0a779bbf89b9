#include "host/loader.h"

#include <utility>

namespace signalbox::host {

Loader::Loader() : thread_([this] { Run(); }) {}

Loader::~Loader() { Stop(); }

bool Loader::Add(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  if (stopping_ || waiting_.size() >= kWaitingMax) return false;
  waiting_.push_back(std::move(work));
  changed_.notify_one();
  return true;
}

void Loader::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Loader::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    std::function<void()> work = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace signalbox::host
