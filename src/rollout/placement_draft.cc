#include "rollout/placement_draft.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/printable.h"

namespace signalbox::rollout {
namespace {

constexpr size_t kSummaryBytesMax = 1'000;

// As commands take it.
std::string IdAt(const HostFacts& hosts, const std::string& address) {
  const HostFact* host = hosts.AtAddress(address);
  return host == nullptr || host->seen == nullptr ? address : host->seen->id;
}

}  // namespace

PlacementDraft::PlacementDraft(const Placed& placed, const ModelIds& needed, const HostFacts& hosts,
                               const v1::Fleet& fleet, const v1::Drains& drains)
    : placed_(placed), hosts_(hosts), fleet_(fleet), drained_(drains.hosts().begin(), drains.hosts().end()) {
  for (const auto& [model, entry] : placed.models) {
    if (!needed.contains(model)) continue;
    models_[model] = entry;
    Link(model);
  }
}

void PlacementDraft::Link(const std::string& model) {
  for (const std::string& shard : models_[model].shards) of_shard_[shard].insert(model);
}

void PlacementDraft::Unlink(const std::string& model) {
  for (const std::string& shard : models_[model].shards) of_shard_[shard].erase(model);
}

void PlacementDraft::Set(const std::string& model, PlacedModel placed) {
  Unlink(model);
  models_[model] = std::move(placed);
  Link(model);
}

void PlacementDraft::Add(const Additions& additions) {
  for (const auto& [model, shards] : additions) {
    if (!models_.contains(model)) Set(model, {shards, {}});
  }
}

// What nobody has looked at yet stays listed, as long as nothing is asked of it that it was not listed for.
bool PlacementDraft::StaysUnseen(const std::string& shard, const ModelIds& models) const {
  const auto before = placed_.models_of_shard.find(shard);
  if (before == placed_.models_of_shard.end()) return false;
  return std::includes(before->second.begin(), before->second.end(), models.begin(), models.end());
}

std::set<std::string> PlacementDraft::Listed(const std::string& shard, const ModelIds& models) const {
  std::set<std::string> listed;
  std::set<std::string> drained;
  const auto usable = [&](const HostFact& host) {
    return std::all_of(models.begin(), models.end(),
                       [&](const std::string& model) { return hosts_.Usable(host, model); });
  };
  const auto add = [&](const HostFact& host) {
    const std::string& address = host.seen->address;
    const bool is_listed = placed_.Lists(shard, address);
    if (HostFacts::IsUnknown(host) ? !is_listed || !StaysUnseen(shard, models) : !host.alive || !usable(host)) return;
    if (!drained_.contains(host.seen->id)) {
      listed.insert(address);
    } else if (is_listed) {
      drained.insert(address);
    }
  };
  const auto before = placed_.hosts.find(shard);
  if (before != placed_.hosts.end()) {
    for (const std::string& address : before->second) {
      if (hosts_.MayStillCome(address) && StaysUnseen(shard, models)) listed.insert(address);
    }
  }
  if (fleet_.shards().contains(shard)) {
    for (const std::string& id : hosts_.OfShard(shard)) add(hosts_.Get(id));
  } else if (before != placed_.hosts.end()) {
    // The fleet does not have the shard any more. Its hosts may have got another one.
    for (const std::string& address : before->second) {
      if (const HostFact* host = hosts_.AtAddress(address)) add(*host);
    }
  }
  // A drained host leaves when there is another one, or when its models are elsewhere.
  return listed.empty() ? drained : listed;
}

std::set<std::string> PlacementDraft::Hosts(const std::string& shard) const {
  const auto models = of_shard_.find(shard);
  return Listed(shard, models == of_shard_.end() ? ModelIds() : models->second);
}

bool PlacementDraft::HasModels(const std::string& shard) const {
  const auto models = of_shard_.find(shard);
  return models != of_shard_.end() && !models->second.empty();
}

std::string PlacementDraft::WaitOfShard(const std::string& shard, const ModelIds& added) const {
  ModelIds models;
  if (const auto there = of_shard_.find(shard); there != of_shard_.end()) models = there->second;
  const std::set<std::string> before = models.empty() ? std::set<std::string>() : Listed(shard, models);
  models.insert(added.begin(), added.end());
  const std::set<std::string> after = Listed(shard, models);
  bool keeps_one = false;
  for (const std::string& address : before) {
    // One that is listed only from now on can wait: nobody counts on it yet.
    if (!placed_.Lists(shard, address)) continue;
    if (!after.contains(address))
      return fmt::format("host {} of shard {} does not have all of it yet", IdAt(hosts_, address), shard);
    keeps_one = true;
  }
  if (keeps_one) return "";
  if (after.empty()) return fmt::format("no host of shard {} has all of it yet", shard);
  // Nobody is listed: the first models of a shard. The slower ones of its hosts are waited for, so that the whole
  // traffic does not go to the fastest; not those that have failed.
  for (const std::string& id : hosts_.OfShard(shard)) {
    const HostFact& host = hosts_.Get(id);
    if (!host.alive || host.deaths > 0 || host.shares_address || drained_.contains(id)) continue;
    if (after.contains(host.seen->address)) continue;
    const bool has_failed = std::any_of(models.begin(), models.end(), [&](const std::string& model) {
      const auto fact = host.models.find(model);
      return fact != host.models.end() && fact->second.attempts > 0;
    });
    if (!has_failed) return fmt::format("host {} of shard {} does not have all of it yet", id, shard);
  }
  return "";
}

std::string PlacementDraft::WaitFor(const Additions& additions) const {
  std::map<std::string, ModelIds> by_shard;
  for (const auto& [model, shards] : additions) {
    const auto there = models_.find(model);
    for (const std::string& shard : shards) {
      const bool is_there =
          there != models_.end() &&
          std::find(there->second.shards.begin(), there->second.shards.end(), shard) != there->second.shards.end();
      if (!is_there) by_shard[shard].insert(model);
    }
  }
  for (const auto& [shard, models] : by_shard) {
    if (std::string wait = WaitOfShard(shard, models); !wait.empty()) return wait;
  }
  return "";
}

std::string PlacementDraft::WhyUnserved(const std::string& model) const {
  constexpr size_t kHostsMax = 3;
  std::vector<std::string> why;
  const std::vector<std::string>& shards = models_.at(model).shards;
  for (const std::string& shard : shards) {
    const ModelIds& models = of_shard_.at(shard);
    for (const std::string& address : Listed(shard, models)) {
      // One that is listed because nobody has looked at it yet is no answer.
      const HostFact* host = hosts_.AtAddress(address);
      if (host != nullptr && host->known) return "";
    }
    for (const std::string& id : hosts_.OfShard(shard)) {
      if (why.size() == kHostsMax) break;
      why.push_back(fmt::format("host {}: {}", id, WhyUnused(hosts_.Get(id), models)));
    }
  }
  return fmt::format("no host of shard {} may answer for {}: {}", fmt::join(shards, ", "), model,
                     why.empty() ? "it has none" : fmt::format("{}", fmt::join(why, "; ")));
}

std::string PlacementDraft::WhyUnused(const HostFact& host, const ModelIds& models) const {
  if (!host.known) return "not reached yet";
  if (!host.alive) return EscapeControlCharacters(host.seen->trouble);
  for (const std::string& model : models) {
    if (hosts_.Usable(host, model)) continue;
    const auto fact = host.models.find(model);
    const bool has_reason = fact != host.models.end() && !fact->second.reason.empty();
    return fmt::format("{}: {}", model, has_reason ? fact->second.reason : "not validated there yet");
  }
  return "it is drained";
}

std::map<std::string, std::set<std::string>> PlacementDraft::AllHosts() const {
  std::map<std::string, std::set<std::string>> hosts;
  for (const auto& [shard, models] : of_shard_) {
    if (!models.empty()) hosts[shard] = Listed(shard, models);
  }
  return hosts;
}

std::string PlacementDraft::Summary() const {
  constexpr size_t kPartsMax = 10;
  std::vector<std::string> parts;
  for (const auto& [model, entry] : models_) {
    const PlacedModel* before = placed_.Find(model);
    if (before == nullptr) {
      parts.push_back(fmt::format("adds {} on {}", model, fmt::join(entry.shards, ", ")));
    } else if (*before != entry) {
      parts.push_back(fmt::format("moves {} to {}", model, fmt::join(entry.shards, ", ")));
    }
  }
  for (const auto& [model, entry] : placed_.models) {
    if (models_.contains(model)) continue;
    // An operator's entry for all versions gives way to those of its versions, which are where it was.
    const bool is_name_of_others = std::any_of(models_.begin(), models_.end(),
                                               [&](const auto& other) { return NameOfModel(other.first) == model; });
    parts.push_back(is_name_of_others ? fmt::format("{} stands by version from now on", model)
                                      : fmt::format("removes {}", model));
  }
  const auto hosts = AllHosts();
  for (const auto& [shard, listed] : hosts) {
    const auto found = placed_.hosts.find(shard);
    if (found != placed_.hosts.end() && found->second == listed) continue;
    std::vector<std::string> ids;
    for (const std::string& address : listed) ids.push_back(IdAt(hosts_, address));
    parts.push_back(listed.empty() ? fmt::format("shard {}: no host", shard)
                                   : fmt::format("shard {}: {}", shard, fmt::join(ids, ", ")));
  }
  const size_t more = parts.size() > kPartsMax ? parts.size() - kPartsMax : 0;
  parts.resize(parts.size() - more);
  std::string text = fmt::format("{}", fmt::join(parts, "; "));
  if (text.size() > kSummaryBytesMax) text = text.substr(0, kSummaryBytesMax) + "...";
  return more == 0 ? text : fmt::format("{}; and {} more", text, more);
}

bool PlacementDraft::Differs() const {
  return placed_.by_name || models_ != placed_.models || AllHosts() != placed_.hosts;
}

v1::Placement PlacementDraft::Write() const { return WritePlacement(models_, AllHosts(), fleet_); }

}  // namespace signalbox::rollout
