// The snapshot in the form that decisions are made from: immutable, indexed, with every possible answer worked out in
// advance.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/string_map.h"
#include "decide/context_field.h"
#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::decide {

struct Shard {
  std::string name;
  std::vector<std::string> hosts;  // "HOST:PORT"
};

struct Model {
  std::string id;  // `name@version`, or `name`
  std::string_view name;
  std::string_view version;
  std::string_view routing_key;  // see routing_key.h
  // Empty when the placement has no entry for the model: then it cannot be reached, and fallbacks are tried.
  std::vector<const Shard*> shards;
};

enum class Reason : uint8_t { kDefault, kExperiment, kTrafficShift, kFallback, kContextRule, kOverride };
// "default", "experiment", "traffic_shift", "fallback", "context_rule", "override".
std::string_view Name(Reason reason);

// One possible answer of one Objective. Everything that the data path sends because of it is serialised here, once.
// Texts here and below live as long as the snapshot.
struct Answer {
  // Dense from 0 in its snapshot, for tables beside it.
  uint32_t index = 0;
  Reason reason = Reason::kDefault;
  const Model* model = nullptr;
  std::string_view objective;
  std::string_view experiment;  // empty unless reason is kExperiment
  std::string_view cell;        // the same
  // Serialised signalbox.v1.ObjectiveConfig, and the same in base64 for `sb-objective-config-bin`.
  std::string_view objective_config;
  std::string_view objective_config_base64;
  // To be appended to a serialised inference.ModelInferRequest: model_name, model_version, parameters.
  std::string_view open_inference_suffix;
  // To be appended to a serialised signalbox.v1.ServeRequest: objective_config.
  std::string_view serve_suffix;

  // Set where several models make the answer together: `model` then stands for all of them (`ensemble:NAME`, without
  // routing key and shards), and the requests to them are those of `members`.
  const v1::Ensemble* ensemble = nullptr;
  struct Member {
    const Answer* answer = nullptr;
    double weight = 0;
  };
  std::span<const Member> members;
};

// What a rule adds to the ObjectiveConfig beside what the answer says: parameters, and the cell of an experiment that
// did not choose the model. Appended behind the answer's, where it goes before what stands there (enrichment.h).
struct Overlay {
  // Dense from 0 in its snapshot, for tables beside it.
  uint32_t index = 0;
  // What it says is that of the cell that chose the model, so that it goes with the answers of its experiment alone.
  bool is_of_choosing_cell = false;
  std::string_view objective_config;
  std::string_view open_inference_suffix;
};

// A declared answer: one serialised response message, given when no model can be reached.
struct StaticAnswer {
  std::string_view message;
};

// The policy of a request: how data planes handle it. One for each combination of policies that can apply; 0 and empty
// mean here what they mean in rules.proto.
struct Policy {
  // For each (Objective, client tenant, model version).
  struct Limits {
    double requests_per_second = 0;
    uint32_t burst = 0;
    uint32_t concurrent_requests = 0;
    bool concurrency_is_adaptive = false;
    uint32_t adaptive_min = 0;
    uint32_t adaptive_max = 0;
    uint64_t payload_bytes = 0;
    v1::Limits::Priority priority = v1::Limits::NORMAL;
  };
  struct Retries {
    uint32_t tries = 0;
    bool idempotent = false;
    uint32_t budget_ppm = 0;
    int64_t backoff_ms = 0;
    int64_t backoff_max_ms = 0;
  };
  struct Bulkhead {
    uint32_t requests = 0;
    uint64_t buffered_bytes = 0;
    uint32_t connections_per_host = 0;
  };

  std::string_view name;
  Limits limits;
  int64_t total_ms = 0;    // deadlines
  int64_t per_try_ms = 0;  // the same
  Retries retries;
  uint32_t hedge_percentile_ppm = 0;  // 0: no hedging
  int64_t hedge_min_delay_ms = 0;
  // Of session affinity; empty: none. `load_bound_percent` is set where it is not empty.
  std::span<const Field> affinity_unit;
  uint32_t load_bound_percent = 0;
  Bulkhead bulkhead;
};

// A copy of the request goes there as well, and its answer is never returned.
struct Shadow {
  std::string_view id;
  const Answer* answer = nullptr;
  const v1::Comparison* comparison = nullptr;  // nullptr: none
};

struct Objective;  // the compiled rules of one Objective (objective.h)

// Thread-safe by being immutable. Held by shared_ptr because requests in flight outlive the next snapshot.
class Snapshot {
 public:
  // Compiles and checks. INVALID_ARGUMENT lists everything that is wrong: references to what is not declared, weights
  // that do not add up, an Objective that two namespaces declare, two model ids with one routing key, a hash that is
  // set and does not match the content. Where `proto.hash` is empty it is computed.
  static absl::StatusOr<std::shared_ptr<const Snapshot>> Compile(v1::Snapshot proto);

  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  const std::string& hash() const { return proto_.hash(); }
  int64_t version() const { return proto_.version(); }
  int64_t created_unix_ms() const { return proto_.created_unix_ms(); }
  const v1::Snapshot& proto() const { return proto_; }

  // Every answer that any Objective can give, in index order.
  std::span<const Answer* const> answers() const { return answers_; }
  // Every overlay, in index order.
  std::span<const Overlay* const> overlays() const { return overlays_; }
  // Every Objective's compiled rules, in order of namespace and declaration.
  std::span<const Objective* const> objectives() const { return objectives_; }
  std::span<const std::unique_ptr<const Model>> models() const { return models_; }
  std::span<const std::unique_ptr<const Shard>> shards() const { return shards_; }

  // nullptr when there is no such Objective. Allocation-free.
  const Objective* FindObjective(std::string_view name) const;
  // For messages ("did you mean ..."). Sorted. Allocation-free, as a client that misspells a name may do so in every
  // request.
  const std::vector<std::string_view>& ObjectiveNames() const { return objective_names_; }
  // Whether `id` is a model id or model name that some rule names: a client that asks for one gets a better message
  // than "unknown Objective". Allocation-free.
  bool NamesModel(std::string_view id) const;

 private:
  friend class SnapshotCompiler;
  friend class AnswerFactory;
  // Where the rules that decisions are made from lie, where the cells of their experiments, and where the texts that
  // they lead to. Kept apart, so that the rules of an Objective lie side by side.
  struct Memory;

  Snapshot();
  void IndexObjectives();
  void SortNames();

  v1::Snapshot proto_;
  std::unique_ptr<Memory> memory_;
  std::vector<std::unique_ptr<const Shard>> shards_;
  std::vector<std::unique_ptr<const Model>> models_;
  std::vector<const Answer*> answers_;
  std::vector<const Overlay*> overlays_;
  std::vector<const Objective*> objectives_;
  // By name: open addressing in a power of two of slots, so that a look-up is one hash, one slot and the Objective
  // itself. A slot is one word (snapshot.cc): of 10,000 Objectives the index stays in a core's cache, where waiting for
  // the slot would come before waiting for the Objective.
  std::vector<uint64_t> index_;
  // Sorted.
  std::vector<std::string_view> objective_names_;
  std::vector<std::string_view> model_names_;
  // The keys are the models' own.
  absl::flat_hash_map<std::string_view, const Model*, StringMapHash, StringMapEqual> models_by_id_;
};

}  // namespace signalbox::decide
