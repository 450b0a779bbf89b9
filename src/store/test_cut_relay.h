// A TCP relay that loses what it should carry, from the moment that certain bytes go through it. For tests only.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace signalbox::store {

class CutRelay {
 public:
  enum class Loses {
    kAnswers,        // the server gets what the client says, and the client hears nothing
    kRequests,       // the bytes themselves do not get through
    kUntilReleased,  // they get through when the test says so, and nothing after them
  };

  // To `endpoint`, a HOST:PORT with an IPv4 address.
  explicit CutRelay(const std::string& endpoint);
  ~CutRelay();

  const std::string& endpoint() const { return endpoint_; }

  // A connection on which the client says `bytes` is lost from then on.
  void CutAt(std::string bytes, Loses loses);
  bool has_cut() const { return has_cut_; }
  // Lets through what was held, and waits until the server has said something to it.
  bool ReleaseAndWaitForAnswer(std::chrono::milliseconds timeout);

 private:
  void Accept();
  void Carry(int client);

  const std::string target_;
  std::string endpoint_;
  int listener_ = -1;
  int stop_ = -1;
  int release_ = -1;
  std::mutex mutex_;
  std::string cut_at_;  // guarded by mutex_, as is the next; empty: never
  Loses loses_ = Loses::kAnswers;
  std::vector<std::jthread> connections_;
  std::atomic<bool> has_cut_ = false;
  std::atomic<bool> has_answered_ = false;
  std::jthread acceptor_;
};

}  // namespace signalbox::store
