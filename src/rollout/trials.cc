#include "rollout/trials.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "rollout/limits.h"

namespace signalbox::rollout {
namespace {

bool IsTried(const ModelFact& fact) { return fact.under_way && fact.command != CommandKind::kUnload; }

}  // namespace

bool Trials::IsUnproven(const std::string& model) {
  const auto [known, is_new] = unproven_.try_emplace(model);
  if (is_new) {
    const auto need = step_.needs.find(model);
    const bool runs = need != step_.needs.end() && need->second.is_active;
    known->second = !runs && step_.placed.Find(model) == nullptr && !step_.hosts.IsValidatedAnywhere(model);
  }
  return known->second;
}

void Trials::Offer(const std::string& model, const std::string& id, const HostFact& host) {
  if (IsUnproven(model)) offers_[model].push_back({&id, &host});
}

void Trials::Decide() {
  for (const auto& [model, offers] : offers_) {
    const std::string& host = chosen_[model] = Choose(model, offers);
    if (!host.empty()) ++chosen_on_[host];
  }
}

// The host that it is bound to, else one that counts, has not failed with it, and has little else to do.
std::string Trials::Choose(const std::string& model, const std::vector<Host>& offers) {
  if (step_.deaths.Of(model) >= step_.options.load_attempts) return "";
  std::set<std::string> bound = step_.hosts.InDoubt(model, step_.wake);
  bound.merge(step_.deaths.HostsOf(model));
  for (const std::string& id : bound) {
    const auto host = step_.hosts.hosts().find(id);
    if (host == step_.hosts.hosts().end()) continue;
    const auto fact = host->second.models.find(model);
    if (fact != host->second.models.end() && IsTried(fact->second)) return "";
  }
  // It may have been assigned to other shards since, and would wait for a host that nobody will try it on.
  const auto target = step_.target.find(model);
  std::erase_if(bound, [&](const std::string& id) {
    const auto host = step_.hosts.hosts().find(id);
    return host == step_.hosts.hosts().end() || target == step_.target.end() ||
           std::find(target->second.begin(), target->second.end(), host->second.seen->shard) == target->second.end();
  });
  const auto rank = [&](const Host& host) {
    const auto fact = host.fact->models.find(model);
    const auto busy = std::count_if(host.fact->models.begin(), host.fact->models.end(),
                                    [](const auto& entry) { return IsTried(entry.second); });
    return std::tuple(!step_.placed.Lists(host.fact->seen->shard, host.fact->seen->address),
                      fact == host.fact->models.end() ? 0 : fact->second.attempts, busy + chosen_on_[*host.id],
                      *host.id);
  };
  const Host* best = nullptr;
  for (const Host& host : offers) {
    if (!bound.empty() && !bound.contains(*host.id)) continue;
    if (best == nullptr || rank(host) < rank(*best)) best = &host;
  }
  return best == nullptr ? "" : *best->id;
}

bool Trials::MayTry(const std::string& model, const std::string& id) {
  return !IsUnproven(model) || chosen_[model] == id;
}

bool Trials::IsSuspect(const std::string& model) { return step_.deaths.Of(model) > 0 && IsUnproven(model); }

bool Trials::TriesSuspect(const HostFact& host) {
  return std::any_of(host.models.begin(), host.models.end(),
                     [&](const auto& entry) { return IsTried(entry.second) && IsSuspect(entry.first); });
}

bool Trials::IsAlone(const std::string& model, const HostFact& host) {
  for (const auto& [other, fact] : host.models) {
    if (other == model) continue;
    if (IsTried(fact)) return false;
    if (fact.tried_ms >= 0 && IsUnproven(other) && !step_.wake.Passed(fact.tried_ms + kBlameMs)) return false;
  }
  return true;
}

}  // namespace signalbox::rollout
