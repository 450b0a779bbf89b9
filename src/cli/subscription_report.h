// What an operator reads in a data plane's log about its subscription: each change once.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "subscribe/subscriber.h"

namespace signalbox::cli {

class SubscriptionReport {
 public:
  // `print` takes one line without its end.
  explicit SubscriptionReport(std::function<void(std::string_view)> print) : print_(std::move(print)) {}

  // Prints what has changed since the last call: connected or not, a refusal, a snapshot that could not be kept on
  // disk. A reason that only changes from attempt to attempt is not repeated.
  void Look(const subscribe::SubscriberStatus& status);

 private:
  void LookAtConnection(const subscribe::SubscriberStatus& status);

  const std::function<void(std::string_view)> print_;
  bool connected_ = false;
  bool told_of_no_connection_ = false;
  std::string refusal_;
  std::string state_error_;
};

}  // namespace signalbox::cli
