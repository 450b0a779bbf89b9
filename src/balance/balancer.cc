#include "balance/balancer.h"

#include <algorithm>
#include <utility>

#include "prometheus/metric_family.h"

namespace signalbox::balance {

std::shared_ptr<HostState> Balancer::StateOf(const std::string& address, Time now) {
  std::lock_guard lock(mutex_);
  std::weak_ptr<HostState>& known = states_[address];
  std::shared_ptr<HostState> state = known.lock();
  if (state != nullptr) return state;
  state = std::make_shared<HostState>(address);
  if (kept_) state->SetCold(now);
  known = state;
  return state;
}

void Balancer::Keep(std::vector<std::shared_ptr<Group>> groups, Time now) {
  std::lock_guard lock(mutex_);
  kept_ = true;
  groups_ = std::move(groups);
  absl::flat_hash_map<std::string, Record> records;
  for (const auto& group : groups_) {
    for (const Member& member : group->members()) {
      const auto [found, is_new] = records.try_emplace(member.host->address());
      Record& record = found->second;
      if (is_new) {
        const auto before = records_.find(member.host->address());
        if (before != records_.end()) record = std::move(before->second);
        record.groups.clear();
        record.state = member.host;
      }
      record.groups.push_back(group.get());
    }
  }
  records_ = std::move(records);
  absl::erase_if(states_, [](const auto& entry) { return entry.second.expired(); });
  for (const auto& group : groups_) group->Update(now);
}

void Balancer::Tick(Time now) {
  std::lock_guard lock(mutex_);
  for (auto& [address, record] : records_) {
    const HostState::Answers answers = record.state->TakeAnswers();
    record.window.good += answers.good;
    record.window.bad += answers.bad;
    record.state->EndSlowStart(now, settings_);
    if (record.state->ejected() && now >= record.ejected_until) Return(record, now);
    if (!record.state->ejected() && record.last_ejection.count() > 0 && now >= record.forgotten_at) {
      record.last_ejection /= 2;
      if (record.last_ejection < settings_.ejection) record.last_ejection = milliseconds(0);
      record.forgotten_at = now + record.last_ejection;
    }
    const bool failed = settings_.failures_in_succession > 0 &&
                        record.state->failures_in_succession() >= settings_.failures_in_succession;
    if (failed && !record.state->ejected() && MayEject(record)) Eject(record, now);
  }
  if (now >= window_ends_) {
    for (const auto& group : groups_) CompareSuccess(*group, now);
    for (auto& [address, record] : records_) record.window = {};
    window_ends_ = now + settings_.success_window;
  }
  for (const auto& group : groups_) group->Update(now);
}

void Balancer::Return(Record& record, Time now) {
  record.state->SetEjected(false);
  record.state->ForgetFailures();
  record.state->SetCold(now);
  record.window = {};
  record.forgotten_at = now + record.last_ejection;
}

// Each against all the others together: with few hosts, one that is bad pulls a mean that it is part of down to itself.
void Balancer::CompareSuccess(const Group& group, Time now) {
  if (settings_.success_gap_percent == 0) return;
  uint64_t good = 0;
  uint64_t all = 0;
  std::vector<Record*> enough;
  for (const Member& member : group.members()) {
    Record& record = records_.at(member.host->address());
    const uint64_t answers = record.window.good + record.window.bad;
    if (record.state->ejected() || answers < settings_.success_requests_min) continue;
    good += record.window.good;
    all += answers;
    enough.push_back(&record);
  }
  const auto share = [](uint64_t part, uint64_t of) { return static_cast<double>(part) / static_cast<double>(of); };
  for (Record* record : enough) {
    const uint64_t answers = record->window.good + record->window.bad;
    if (all == answers) return;  // nobody to compare with
    const double own = share(record->window.good, answers);
    const double others = share(good - record->window.good, all - answers);
    if ((others - own) * 100 < settings_.success_gap_percent || !MayEject(*record)) continue;
    Eject(*record, now);
  }
}

bool Balancer::MayEject(const Record& record) const {
  return std::all_of(record.groups.begin(), record.groups.end(), [&](const Group* group) {
    const auto members = group->members();
    const auto ejected = static_cast<size_t>(
        std::count_if(members.begin(), members.end(), [](const Member& member) { return member.host->ejected(); }));
    return ejected + 1 < members.size() && (ejected + 1) * 100 <= settings_.ejected_percent_max * members.size();
  });
}

void Balancer::Eject(Record& record, Time now) {
  record.last_ejection = std::min(record.last_ejection.count() == 0 ? settings_.ejection : record.last_ejection * 2,
                                  settings_.ejection_max);
  record.ejected_until = now + record.last_ejection;
  record.state->SetEjected(true);
  ++record.ejections;
}

std::vector<std::shared_ptr<HostState>> Balancer::Hosts() const {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<HostState>> hosts;
  hosts.reserve(records_.size());
  for (const auto& [address, record] : records_) hosts.push_back(record.state);
  return hosts;
}

void Balancer::OnHealth(const std::string& address, bool is_good, Time now) {
  std::lock_guard lock(mutex_);
  const auto found = records_.find(address);
  if (found == records_.end() || !found->second.health.Take(is_good, settings_)) return;
  Record& record = found->second;
  record.state->SetUnhealthy(!record.health.healthy());
  if (record.health.healthy()) record.state->SetCold(now);
  for (Group* group : record.groups) group->Update(now);
}

std::vector<prometheus::MetricFamily> Balancer::Collect() const {
  constexpr size_t kSeriesMax = 1000;
  const Time now = std::chrono::steady_clock::now();
  std::vector<prometheus::MetricFamily> families;
  auto family = [&](const char* name, const char* help, prometheus::MetricType type) {
    families.push_back({.name = name, .help = help, .type = type, .metric = {}});
    return families.size() - 1;
  };
  using Type = prometheus::MetricType;
  const size_t outstanding =
      family("signalbox_host_outstanding_requests", "Requests that it has not answered yet", Type::Gauge);
  const size_t latency = family("signalbox_host_latency_seconds",
                                "Peak EWMA of the time to its answers, as hosts are chosen by", Type::Gauge);
  const size_t weight =
      family("signalbox_host_weight", "Part of its share that a host gets: less than 1 in slow start", Type::Gauge);
  const size_t utilisation = family("signalbox_host_utilisation", "Its last load report", Type::Gauge);
  const size_t ejected = family("signalbox_host_ejected", "1: not chosen because of its failures", Type::Gauge);
  const size_t healthy =
      family("signalbox_host_healthy", "0: it says so itself, or does not say anything", Type::Gauge);
  const size_t panic = family("signalbox_host_panic",
                              "1: so few hosts of a model on it are healthy that health is ignored", Type::Gauge);
  const size_t ejections = family("signalbox_host_ejections_total", "How often it was ejected", Type::Counter);

  std::lock_guard lock(mutex_);
  std::vector<const Record*> records;
  records.reserve(records_.size());
  for (const auto& [address, record] : records_) records.push_back(&record);
  std::sort(records.begin(), records.end(),
            [](const Record* a, const Record* b) { return a->state->address() < b->state->address(); });
  if (records.size() > kSeriesMax) records.resize(kSeriesMax);
  for (const Record* record : records) {
    const HostState& state = *record->state;
    auto add = [&](size_t of, double value) {
      prometheus::ClientMetric metric;
      metric.label.push_back({.name = "host", .value = state.address()});
      (families[of].type == Type::Counter ? metric.counter.value : metric.gauge.value) = value;
      families[of].metric.push_back(std::move(metric));
    };
    add(outstanding, state.outstanding());
    add(latency, state.LatencyMicroseconds(now, settings_) / 1e6);
    add(weight, state.Weight(now, settings_));
    if (const float reported = state.Utilisation(now, settings_); reported >= 0) add(utilisation, reported);
    add(ejected, state.ejected() ? 1 : 0);
    add(healthy, state.unhealthy() ? 0 : 1);
    add(panic,
        std::any_of(record->groups.begin(), record->groups.end(), [](const Group* g) { return g->panic(); }) ? 1 : 0);
    add(ejections, static_cast<double>(record->ejections));
  }
  return families;
}

}  // namespace signalbox::balance
