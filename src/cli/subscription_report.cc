#include "cli/subscription_report.h"

#include <fmt/format.h>

namespace signalbox::cli {

void SubscriptionReport::Look(const subscribe::SubscriberStatus& status) {
  LookAtConnection(status);
  if (const std::string& reason = status.last_refusal.reason; reason != refusal_) {
    refusal_ = reason;
    if (!reason.empty()) print_(fmt::format("refused a snapshot, what ran goes on: {}", reason));
  }
  if (status.state_error != state_error_) {
    state_error_ = status.state_error;
    print_(state_error_.empty()
               ? "the snapshot is kept on disk again"
               : fmt::format("the snapshot runs but cannot be kept on disk; a start without a control plane would be "
                             "from an older one: {}",
                             state_error_));
  }
}

void SubscriptionReport::LookAtConnection(const subscribe::SubscriberStatus& status) {
  if (status.connected && !connected_) {
    print_(fmt::format("connected to the control plane {} as {}", status.control, status.node_id));
    told_of_no_connection_ = false;
  }
  connected_ = status.connected;
  if (connected_ || told_of_no_connection_ || status.connection_error.empty()) return;
  told_of_no_connection_ = true;
  print_(fmt::format("no control plane, going on with {}: {}",
                     status.version == 0 ? "nothing" : fmt::format("version {}", status.version),
                     status.connection_error));
}

}  // namespace signalbox::cli
