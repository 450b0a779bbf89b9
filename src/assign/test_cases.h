// Shards and models for tests of assignments, by hand and at random; and what must hold of every result.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "assign/assignment.h"

namespace signalbox::assign {

constexpr uint64_t kGiB = uint64_t{1} << 30;

inline Shard MakeShard(std::string name, double gib = 8, double cores = 10) {
  Shard shard;
  shard.name = std::move(name);
  shard.memory_bytes = static_cast<uint64_t>(gib * static_cast<double>(kGiB));
  shard.capacity = cores;
  return shard;
}

inline Model MakeModel(std::string id, double gib = 1, double load = 0, uint32_t replicas = 1) {
  Model model;
  model.id = std::move(id);
  model.memory_bytes = static_cast<uint64_t>(gib * static_cast<double>(kGiB));
  model.load = load;
  model.replicas = replicas;
  return model;
}

struct Case {
  std::vector<Shard> shards;
  std::vector<Model> models;
  Assignment current;
};

struct CaseSize {
  int shards_max = 5;
  int models_max = 8;
  bool steady = false;  // `current` is what Assign said; else anything
};

// How much of each condition there is differs from case to case, so that there are plain ones and tangled ones.
inline Case RandomCase(uint64_t seed, const CaseSize& size) {
  std::mt19937_64 random(seed);
  const auto below = [&](int limit) { return static_cast<int>(random() % static_cast<uint64_t>(limit)); };
  const auto one_in = [&](int n) { return n > 0 && below(n) == 0; };
  Case made;
  const int shards = 1 + below(size.shards_max);
  const int models = 1 + below(size.models_max);
  const bool tangled = one_in(2);
  const int tight = 1 + below(3);
  for (int i = 0; i < shards; ++i) {
    Shard shard = MakeShard(fmt::format("s{}", i), one_in(12) ? 0 : 4 + below(6), one_in(20) ? 0 : 2 + below(5));
    shard.zone = std::string(1, static_cast<char>('a' + below(3)));
    if (tangled && one_in(4)) shard.accelerator = "gpu";
    if (tangled && one_in(5)) shard.namespaces = {"films"};
    shard.draining = one_in(8);
    made.shards.push_back(std::move(shard));
  }
  for (int i = 0; i < models; ++i) {
    Model model = MakeModel(fmt::format("m{}", i), 0.5 * (1 + below(3 * tight)), 0.1 * below(8 * tight));
    model.namespaces = {one_in(2) ? "films" : "home"};
    if (one_in(4)) model.replicas = static_cast<uint32_t>(1 + below(3));
    if (tangled) {
      if (one_in(6)) model.accelerator = "gpu";
      if (one_in(8)) model.exclusive = true;
      if (one_in(4)) model.spread_zones = true;
      if (one_in(10)) model.pinned_shards = {fmt::format("s{}", below(shards))};
      if (one_in(5) && i > 0) model.required = {fmt::format("m{}", below(i))};
    }
    made.models.push_back(std::move(model));
  }
  if (size.steady) {
    std::vector<Shard> before = made.shards;
    for (Shard& shard : before) shard.draining = false;
    made.current = Assign(before, made.models, {}).assignment;
    return made;
  }
  if (one_in(3)) return made;
  for (const Model& model : made.models) {
    if (one_in(3)) continue;
    std::set<std::string> on;
    const int count = std::max<int>(1, static_cast<int>(model.replicas) - (one_in(4) ? 1 : 0) + (one_in(8) ? 1 : 0));
    for (int i = 0; i < count; ++i) on.insert(fmt::format("s{}", below(shards + 1)));  // one may be gone
    made.current[model.id] = {on.begin(), on.end()};
  }
  return made;
}

inline std::string TextOf(const Case& given) {
  std::string text;
  for (const Shard& s : given.shards) {
    text += fmt::format("  {} zone={} accelerator={} namespaces=[{}] {:.1f} GiB {} cores{}\n", s.name, s.zone,
                        s.accelerator, fmt::join(s.namespaces, ","),
                        static_cast<double>(s.memory_bytes) / static_cast<double>(kGiB), s.capacity,
                        s.draining ? " draining" : "");
  }
  for (const Model& m : given.models) {
    const auto before = given.current.find(m.id);
    text += fmt::format("  {} {:.1f} GiB {:.1f} cores x{} [{}] {}{}{} pinned=[{}] required=[{}] was on [{}]\n", m.id,
                        static_cast<double>(m.memory_bytes) / static_cast<double>(kGiB), m.load, m.replicas,
                        fmt::join(m.namespaces, ","), m.accelerator, m.exclusive ? " exclusive" : "",
                        m.spread_zones ? " spread" : "", fmt::join(m.pinned_shards, ","), fmt::join(m.required, ","),
                        before == given.current.end() ? "" : fmt::format("{}", fmt::join(before->second, ",")));
  }
  return text;
}

}  // namespace signalbox::assign
