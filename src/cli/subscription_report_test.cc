#include "cli/subscription_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace signalbox::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SubscriptionReportTest : public testing::Test {
 protected:
  // What is printed because of `status`.
  std::vector<std::string> Look(const subscribe::SubscriberStatus& status) {
    lines_.clear();
    report_.Look(status);
    return lines_;
  }

  std::vector<std::string> lines_;
  SubscriptionReport report_{[this](std::string_view line) { lines_.emplace_back(line); }};
};

TEST_F(SubscriptionReportTest, ConnectingAndLosingTheConnectionIsToldOnceEach) {
  subscribe::SubscriberStatus status;
  status.node_id = "proxy-1";
  status.control = "a:1";
  EXPECT_THAT(Look(status), IsEmpty());
  status.connection_error = "a:1: refused";
  EXPECT_THAT(Look(status), ElementsAre("no control plane, going on with nothing: a:1: refused"));
  status.connection_error = "b:1: timed out";
  EXPECT_THAT(Look(status), IsEmpty());
  status.connected = true;
  status.version = 7;
  EXPECT_THAT(Look(status), ElementsAre("connected to the control plane a:1 as proxy-1"));
  EXPECT_THAT(Look(status), IsEmpty());
  status.connected = false;
  EXPECT_THAT(Look(status), ElementsAre(HasSubstr("going on with version 7")));
}

TEST_F(SubscriptionReportTest, EveryRefusalIsToldOnce) {
  subscribe::SubscriberStatus status;
  status.last_refusal.reason = "older";
  EXPECT_THAT(Look(status), ElementsAre("refused a snapshot, what ran goes on: older"));
  EXPECT_THAT(Look(status), IsEmpty());
  status.last_refusal.reason = "";
  EXPECT_THAT(Look(status), IsEmpty());
  status.last_refusal.reason = "older";
  EXPECT_EQ(Look(status).size(), 1u);
}

TEST_F(SubscriptionReportTest, ADiskThatCannotBeWrittenIsToldAndSoIsItsRecovery) {
  subscribe::SubscriberStatus status;
  status.state_error = "no room";
  EXPECT_THAT(Look(status), ElementsAre(HasSubstr("cannot be kept on disk")));
  EXPECT_THAT(Look(status), IsEmpty());
  status.state_error = "";
  EXPECT_THAT(Look(status), ElementsAre("the snapshot is kept on disk again"));
}

}  // namespace
}  // namespace signalbox::cli
