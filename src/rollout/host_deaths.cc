#include "rollout/host_deaths.h"

#include <fmt/format.h>

#include <algorithm>

#include "rollout/limits.h"

namespace signalbox::rollout {
namespace {

std::string ShardOf(const HostFacts& hosts, const std::string& host) {
  const auto found = hosts.hosts().find(host);
  return found == hosts.hosts().end() || found->second.seen == nullptr
             ? ""
             : fmt::format(" of shard {}", found->second.seen->shard);
}

constexpr std::string_view kAdvice =
    "run its sample request on a host that serves nobody, then publish rules without it, or mend it and retry the "
    "rollout";

}  // namespace

void HostDeaths::Observe(Work& work, const HostFacts& hosts, NamedModelsCache& named) {
  for (auto& [name, count] : counts_) count.asked = false;
  for (Book& book : work.books) {
    if (!book.UnderWay() || book.target == nullptr) continue;
    v1::Rollout& rollout = book.current();
    Count& count = counts_[book.name];
    count.asked = true;
    if (count.rules_version != rollout.rules_version() || count.attempt != rollout.attempt()) {
      count = {rollout.rules_version(), rollout.attempt(), {}, true};
      for (const v1::HostDeaths& entry : rollout.host_deaths()) {
        count.deaths[{entry.model(), entry.host()}] = static_cast<int>(entry.deaths());
      }
    }
    const ModelIds& models = named.Of(work.store.fleet.content, book.target->content);
    for (const HostDeath& death : hosts.deaths()) {
      // What is placed was validated, and runs.
      if (!models.contains(death.model) || work.placed.Find(death.model) != nullptr) continue;
      const int deaths = ++count.deaths[{death.model, death.host}];
      work.step.log.push_back(fmt::format("{} version {}: host {} died while {} was loaded or tried there ({} of {})",
                                          book.name, count.rules_version, death.host, death.model, deaths,
                                          options_.load_attempts));
    }
    Write(count, rollout);
    if (std::string failure = Failure(count, models, hosts, work); !failure.empty()) {
      work.keeper.Go(book, v1::Rollout::FAILED, std::move(failure));
    }
  }
  std::erase_if(counts_, [](const auto& entry) { return !entry.second.asked; });
}

void HostDeaths::Write(const Count& count, v1::Rollout& rollout) {
  rollout.clear_host_deaths();
  for (const auto& [of, deaths] : count.deaths) {
    if (rollout.host_deaths_size() == kHostDeathsMax) return;
    v1::HostDeaths& entry = *rollout.add_host_deaths();
    entry.set_model(of.first);
    entry.set_host(of.second);
    entry.set_deaths(static_cast<uint32_t>(deaths));
  }
}

std::string HostDeaths::Failure(const Count& count, const ModelIds& models, const HostFacts& hosts, Work& work) const {
  std::map<std::string, int> of_model;
  for (const auto& [of, deaths] : count.deaths) {
    const auto& [model, host] = of;
    if ((of_model[model] += deaths) < options_.load_attempts) continue;
    return fmt::format("model {} kills its host: host {}{} died {} times while the model was loaded or tried there; {}",
                       model, host, ShardOf(hosts, host), deaths, kAdvice);
  }
  // Another host is not risked, and this one may never be back.
  for (const std::string& model : models) {
    if (work.placed.Find(model) != nullptr || hosts.IsValidatedAnywhere(model)) continue;
    for (const auto& [id, host] : hosts.hosts()) {
      if (host.alive || !host.known || !(host.accused.contains(model) || count.deaths.contains({model, id}))) continue;
      if (!work.wake.Passed(host.alive_since_ms + kHostLossGraceMs)) continue;
      return fmt::format(
          "model {} may kill its host: host {}{} went away while the model was loaded or tried there, and is not back "
          "after {} s; start the host again, and {}",
          model, id, ShardOf(hosts, id), kHostLossGraceMs / 1000, kAdvice);
    }
  }
  return "";
}

int HostDeaths::Of(const std::string& model) const {
  int most = 0;
  for (const auto& [name, count] : counts_) {
    int of_model = 0;
    for (const auto& [of, deaths] : count.deaths) {
      if (of.first == model) of_model += deaths;
    }
    most = std::max(most, of_model);
  }
  return most;
}

std::set<std::string> HostDeaths::HostsOf(const std::string& model) const {
  std::set<std::string> hosts;
  for (const auto& [name, count] : counts_) {
    for (const auto& [of, deaths] : count.deaths) {
      if (of.first == model) hosts.insert(of.second);
    }
  }
  return hosts;
}

}  // namespace signalbox::rollout
