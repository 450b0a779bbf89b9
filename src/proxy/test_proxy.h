// A proxy in this process, between real clients and real hosts. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "decide/test_snapshot.h"
#include "proxy/proxy.h"
#include "telemetry/telemetry.h"

namespace signalbox::proxy {

class TestProxy {
 public:
  explicit TestProxy(uint32_t workers = 1, telemetry::Options options = {}, allocate::Allocator* allocator = nullptr)
      : TestProxy(Options{.listen = "", .workers = workers, .allocator = allocator}, std::move(options)) {}
  // Listens on a free port, whatever the options say.
  explicit TestProxy(Options proxy_options, telemetry::Options options = {}) {
    telemetry_ = *telemetry::Telemetry::Create(std::move(options));
    proxy_options.listen = "127.0.0.1:0";
    auto started = Proxy::Start(proxy_options, *telemetry_);
    EXPECT_TRUE(started.ok()) << started.status();
    proxy_ = *std::move(started);
  }

  Proxy& operator*() { return *proxy_; }
  Proxy* operator->() { return proxy_.get(); }
  int port() const { return proxy_->port(); }
  telemetry::Telemetry& telemetry() { return *telemetry_; }
  void Stop() { proxy_.reset(); }

  // Objective `Echo`: model `echo@1`, and `half` of all users of an experiment `77` get `echo@2`; fallback `spare`.
  // Each model has a shard of its own with the given hosts; none: the placement does not have it.
  std::vector<std::string> Route(const std::vector<std::string>& echo1, const std::vector<std::string>& echo2 = {},
                                 const std::vector<std::string>& spare = {}, int64_t version = 1) {
    return proxy_->SetSnapshot(Snapshot(echo1, echo2, spare, version));
  }

  static std::shared_ptr<const decide::Snapshot> Snapshot(const std::vector<std::string>& echo1,
                                                          const std::vector<std::string>& echo2 = {},
                                                          const std::vector<std::string>& spare = {},
                                                          int64_t version = 1) {
    return decide::CompileOrDie(SnapshotProto(echo1, echo2, spare, version));
  }

  // For tests that change something in it first. Objective `Lonely` has neither experiment nor fallback.
  static v1::Snapshot SnapshotProto(const std::vector<std::string>& echo1, const std::vector<std::string>& echo2 = {},
                                    const std::vector<std::string>& spare = {}, int64_t version = 1) {
    v1::Snapshot snapshot = decide::ParseSnapshot(R"pb(
      rule_sets {
        rule_set {
          namespace: "test"
          objectives {
            name: "Echo"
            default_model { name: "echo" version: "1" }
            fallback_models { name: "spare" }
            model_input_type: "BYTES"
            parameters { key: "depth" value: "50" }
          }
          objectives {
            name: "Lonely"
            default_model { name: "echo" version: "1" }
          }
          experiments {
            id: "77"
            objectives: "Echo"
            cells {
              name: "a"
              model { name: "echo" version: "1" }
              weight_ppm: 500000
            }
            cells {
              name: "b"
              model { name: "echo" version: "2" }
              weight_ppm: 500000
            }
            allocation_ppm: 1000000
          }
        }
      }
    )pb");
    snapshot.set_version(version);
    auto place = [&](const std::string& model, const std::vector<std::string>& hosts) {
      if (hosts.empty()) return;
      auto& shard = (*snapshot.mutable_placement()->mutable_shards())["s-" + model];
      for (const std::string& host : hosts) shard.add_hosts(host);
      (*snapshot.mutable_placement()->mutable_models())[model].add_shards("s-" + model);
    };
    place("echo@1", echo1);
    place("echo@2", echo2);
    place("spare", spare);
    return snapshot;
  }

 private:
  std::unique_ptr<telemetry::Telemetry> telemetry_;
  std::unique_ptr<Proxy> proxy_;
};

}  // namespace signalbox::proxy
