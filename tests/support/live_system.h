// A whole signalbox under live traffic, for tests that change or break something meanwhile: control plane, three hosts
// in two shards, proxy, each a process; real models, requests from real data.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/test_folder.h"
#include "cli/demo/demo_system.h"
#include "cli/send/traffic_sender.h"

namespace signalbox {

class LiveSystem : public testing::Test {
 protected:
  // Shown with what depends on it.
  static constexpr uint64_t kSeed = 20;
  static constexpr char kRules[] = SIGNALBOX_SOURCE_DIR "/examples/rules/";

  LiveSystem();
  // The rules of examples/rules/demo are published and traffic runs.
  void SetUp() override;

  // The version that the proxy says it runs; 0 when it does not say.
  int64_t RunningVersion();
  // The hash of the snapshot that it says it runs.
  std::string RunningHash();
  // Of what was answered to requests that were sent after now: at least so many answers.
  cli::TrafficReport AnswersFromNow(uint64_t answers);
  // "host-1", "host-2" (both of films), "host-3" (flights), "control", "proxy".
  void Signal(const std::string& name, int signal);
  void Kill(const std::string& name) { Signal(name, SIGKILL); }

  TestFolder folder_;
  cli::DemoSystem system_;
  std::unique_ptr<cli::TrafficSender> sender_;
};

}  // namespace signalbox
