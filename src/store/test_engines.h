// The engines that every test of the store's promises runs on. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/store.h"
#include "store/store_clock.h"

namespace signalbox::store {

// One engine with one store, empty at first.
class TestEngine {
 public:
  virtual ~TestEngine() = default;

  // A connection of its own, as each process has.
  virtual std::unique_ptr<Store> Open() = 0;

  // Lets time pass, or waits, until `key` has expired. It was just written, and expires after `expires_after`.
  virtual void LetExpire(Store& store, const std::string& key, std::chrono::milliseconds expires_after) = 0;
};

struct TestEngineKind {
  std::string name;
  std::function<std::unique_ptr<TestEngine>()> make;
};

// By which GoogleTest names what runs on several.
inline std::string NameOf(const testing::TestParamInfo<TestEngineKind>& kind) { return kind.param.name; }

// Of the test binary: those on this machine alone (test_local_engines.cc), or etcd (test_etcd_engine.cc), which needs a
// process of its own.
std::vector<TestEngineKind> AllTestEngines();

// A clock whose time passes when the test says so.
class TestClock {
 public:
  StoreClock Get(std::string boot = "first boot");
  void Advance(std::chrono::milliseconds by) { *since_boot_ += by; }

 private:
  std::shared_ptr<std::chrono::milliseconds> since_boot_ =
      std::make_shared<std::chrono::milliseconds>(std::chrono::hours(1));
};

}  // namespace signalbox::store
