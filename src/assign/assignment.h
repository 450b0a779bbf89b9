// Which model goes on which shards. Pure: what is there and what is wanted come in, the assignment and the reason for
// every part of it come out.
//
// Hard conditions: every new model on as many shards as it has replicas, or on none; memory and load of each shard's
// models within what it has; accelerator kind; namespaces that a shard is for; exclusive models alone, but for what
// they require and what requires them; replicas in different zones where that is asked (shards without a zone are in
// one); required models on the same shards, and so on at least as many. A shard that is draining or has no live host
// takes nothing new.
//
// What is placed already is never lost to an amount: of a model that was placed and can go nowhere else, replicas stay
// where they are although the shard is draining, or its models need more than it has, or a required model is not there,
// or they are fewer than wanted; such a shard takes nothing new. Explanation.trouble says so. Accelerator, namespaces,
// pins, zones and being alone are not given up.
//
// Among the assignments that keep these, in this order: the most models stay placed that are on a shard that is there
// and of their kind; the most are placed that were placed, and lost their shards; the fewest replicas are in such
// trouble; the most new models are placed, and of as many those that come first by their ids; the fewest replicas move;
// the highest utilisation of a shard is lowest. This is a search with bounded work: how near it comes is measured
// against an exact solver in exact_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace signalbox::assign {

struct Shard {
  std::string name;
  std::string zone;
  std::string accelerator;              // "": CPU
  std::vector<std::string> namespaces;  // empty: of all
  uint64_t memory_bytes = 0;            // of each of its hosts; 0: not known, and not checked
  // Of all its live hosts together: seconds of work in a second. 0: there is none; what is not a number counts as 0.
  double capacity = 0;
  bool draining = false;
};

struct Model {
  std::string id;
  std::vector<std::string> namespaces;  // whose rules name it
  uint64_t memory_bytes = 0;
  double load = 0;  // of all its replicas together: seconds of work in a second; below 0 and NaN count as 0
  std::string accelerator;
  bool exclusive = false;
  uint32_t replicas = 1;
  bool spread_zones = false;
  std::vector<std::string> pinned_shards;  // not empty: exactly these, whatever `replicas` says
  std::vector<std::string> required;       // ids
};

// Model id to shards, sorted by name.
using Assignment = std::map<std::string, std::vector<std::string>>;

struct Options {
  // Part of a shard's capacity that may be planned with.
  double utilisation_max = 0.8;
};

// Why a model is not on a shard, or on none. Each of these has an example in assignment_test.cc.
struct Refusal {
  std::string shard;   // empty: of the model as a whole ("spread over 3 zones, there are 2")
  std::string reason;  // "needs 3.0 GiB, 1.2 GiB of 8.0 GiB are free"
};

struct Explanation {
  std::vector<std::string> shards;  // where it is; empty: nowhere
  std::vector<std::string> kept;    // of these, where it was before
  // Every other shard, sorted by name; then what concerns the whole. Where there are more than 2^20 pairs of a model
  // and a shard, only of models that are not wholly placed, and no more than that.
  std::vector<Refusal> refusals;
  // Not empty: it is placed, but not as it should be ("1 of 2 replicas", "films-1 is draining").
  std::string trouble;
  std::string summary;  // one sentence
};

struct Result {
  Assignment assignment;                            // of the models that are placed
  std::map<std::string, Explanation> explanations;  // of all models
  size_t moves = 0;            // replicas that are on a shard where they were not, of models that were placed before
  double utilisation_max = 0;  // of the fullest shard, of its capacity
};

// Equal input gives equal output, in whatever order shards and models come. `current` may name shards and models that
// are gone. Of several shards or models with one name one counts. 1,000 models on 100 shards take less than 200 ms.
Result Assign(std::vector<Shard> shards, std::vector<Model> models, const Assignment& current,
              const Options& options = {});

}  // namespace signalbox::assign
