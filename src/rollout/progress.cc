#include "rollout/progress.h"

#include <fmt/format.h>

#include <utility>

#include "rollout/limits.h"
#include "rollout/reason.h"

namespace signalbox::rollout {
namespace {

v1::HostProgress::State StateOf(const HostFacts& hosts, const HostFact& host, const std::string& model) {
  if (hosts.Usable(host, model)) return v1::HostProgress::VALIDATED;
  const auto fact = host.models.find(model);
  if (fact == host.models.end()) return v1::HostProgress::WAITING;
  if (fact->second.under_way) {
    return fact->second.command == CommandKind::kDryRun ? v1::HostProgress::DRY_RUN : v1::HostProgress::LOADING;
  }
  return fact->second.attempts > 0 ? v1::HostProgress::FAILED : v1::HostProgress::WAITING;
}

}  // namespace

void WriteProgress(Book& book, const Additions& shards, const Placed& placed, const HostFacts& hosts) {
  if (book.state() > v1::Rollout::LOADING) {
    // Nothing more to say of hosts than what they are told of anyway: they have it all.
    for (v1::ModelProgress& progress : *book.current().mutable_models()) progress.clear_hosts();
    return;
  }
  book.current().clear_models();
  int hosts_left = static_cast<int>(kProgressHostsMax);
  for (const auto& [model, on] : shards) {
    if (placed.Find(model) != nullptr) continue;
    v1::ModelProgress& progress = *book.current().add_models();
    progress.set_model(model);
    progress.mutable_shards()->Add(on.begin(), on.end());
    for (const std::string& shard : on) {
      for (const std::string& id : hosts.OfShard(shard)) {
        if (hosts_left-- <= 0) return;
        const HostFact& host = hosts.Get(id);
        v1::HostProgress& entry = *progress.add_hosts();
        entry.set_host(id);
        entry.set_state(StateOf(hosts, host, model));
        if (const auto fact = host.models.find(model); fact != host.models.end()) {
          entry.set_reason(Reason(fact->second.reason, kHostReasonBytesMax));
          entry.set_since_unix_ms(fact->second.since_unix_ms);
          entry.set_attempts(static_cast<uint32_t>(fact->second.attempts));
        }
        if (!host.alive) entry.set_reason(Reason(host.seen->trouble, kHostReasonBytesMax));
      }
    }
  }
}

std::string WhyUnplaced(const std::string& model, const assign::Result& result) {
  const auto explanation = result.explanations.find(model);
  if (explanation == result.explanations.end()) return fmt::format("model {} has no place", model);
  std::string text = fmt::format("model {}: {}", model, explanation->second.summary);
  constexpr size_t kRefusalsMax = 5;
  for (size_t i = 0; i < explanation->second.refusals.size() && i < kRefusalsMax; ++i) {
    const assign::Refusal& refusal = explanation->second.refusals[i];
    text += fmt::format("; {}{}{}", refusal.shard, refusal.shard.empty() ? "" : ": ", refusal.reason);
  }
  return text;
}

int64_t RolloutDeadline(const Book& book, const ControllerOptions& options, int64_t now_unix_ms, WrittenTimes& times,
                        const Wake& wake) {
  const int64_t timeout = options.rollout_timeout.count();
  const int64_t since = book.current().transitions_size() == 0 ? now_unix_ms : book.current().transitions(0).unix_ms();
  return times.Of(fmt::format("rollout {} {}", book.name, book.current().rules_version()),
                  since + timeout - now_unix_ms, timeout, wake.now_ms());
}

}  // namespace signalbox::rollout
