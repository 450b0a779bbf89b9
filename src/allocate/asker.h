// How questions reach a platform. One implementation for each protocol.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "allocate/question.h"

namespace signalbox::allocate {

// Used by one thread, the one that asks.
class Asker {
 public:
  // Called on that thread, from within Ask of nobody, at most once for each question.
  using Done = std::function<void(Answer answer)>;

  // Those that are under way are given up; their `done` is not called.
  virtual ~Asker() = default;
  // Never waits. `inquiry` is read before it returns. `done` comes later, after `timeout` at the latest.
  virtual void Ask(const Inquiry& inquiry, std::chrono::milliseconds timeout, Done done) = 0;
  // For what is asked from now on.
  virtual void SetToken(std::string token) = 0;
};

}  // namespace signalbox::allocate
