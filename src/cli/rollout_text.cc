#include "cli/rollout_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/duration_text.h"
#include "base/printable.h"
#include "cli/published_rules.h"

namespace signalbox::cli {
namespace {

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string HostStateText(v1::HostProgress::State state) {
  std::string text = Lower(v1::HostProgress::State_Name(state));
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

std::string Clock(int64_t unix_ms) {
  // "2026-11-21 12:04:56Z": the time alone.
  return TimeText(unix_ms).substr(11);
}

size_t Validated(const v1::Rollout& rollout) {
  size_t count = 0;
  for (const v1::ModelProgress& model : rollout.models()) {
    count += static_cast<size_t>(std::count_if(model.hosts().begin(), model.hosts().end(), [](const auto& host) {
      return host.state() == v1::HostProgress::VALIDATED;
    }));
  }
  return count;
}

size_t Hosts(const v1::Rollout& rollout) {
  size_t count = 0;
  for (const v1::ModelProgress& model : rollout.models()) count += static_cast<size_t>(model.hosts_size());
  return count;
}

std::string ProgressText(const v1::Rollout& rollout) {
  if (!rollout.reason().empty()) return EscapeControlCharacters(rollout.reason());
  if (Hosts(rollout) == 0) return "";
  return fmt::format("{} of {} loaded and tried", Validated(rollout), Hosts(rollout));
}

// While a model is loaded, its hosts; after that, where it is.
std::string DescribeModels(const v1::Rollout& rollout, const RolloutNotes& notes) {
  std::string text;
  for (const v1::ModelProgress& model : rollout.models()) {
    text += fmt::format("  {}\n", model.model());
    for (const v1::HostProgress& host : model.hosts()) {
      text += fmt::format("    {:<24} {:<10} {}  {}\n", host.host(), HostStateText(host.state()),
                          host.since_unix_ms() == 0 ? "         " : Clock(host.since_unix_ms()),
                          EscapeControlCharacters(host.reason()));
    }
    const auto places = notes.places.find(model.model());
    if (!model.hosts().empty() || places == notes.places.end()) continue;
    for (const std::string& place : places->second) text += fmt::format("    {}\n", place);
    if (places->second.empty()) text += "    not in the placement\n";
  }
  return text;
}

}  // namespace

std::string StateText(v1::Rollout::State state) { return Lower(v1::Rollout::State_Name(state)); }

std::string RolloutTable(const std::vector<v1::Rollouts>& all) {
  if (all.empty()) return "no rollouts yet\n";
  size_t width = 9;
  for (const v1::Rollouts& rollouts : all) width = std::max(width, rollouts.namespace_().size());
  std::string text = fmt::format("{:<{}}  version  state       since                 \n", "namespace", width);
  for (const v1::Rollouts& rollouts : all) {
    const v1::Rollout& current = rollouts.current();
    if (current.rules_version() == 0) {
      text += fmt::format("{:<{}}  no rollout yet\n", rollouts.namespace_(), width);
      continue;
    }
    const int64_t since = current.transitions().empty() ? 0 : current.transitions().rbegin()->unix_ms();
    text += fmt::format("{:<{}}  {:>7}  {:<10}  {}  {}\n", rollouts.namespace_(), width, current.rules_version(),
                        StateText(current.state()), TimeText(since), ProgressText(current));
  }
  return text;
}

std::string StepsText(const v1::ReleasePlan& plan) {
  if (plan.steps().empty()) return "everywhere at once";
  std::string text;
  for (const v1::ReleaseStep& step : plan.steps()) {
    text += fmt::format("{} for {}, then ", step.scope(), DurationText(step.hold_ms()));
  }
  return text + "everywhere";
}

std::string DescribeRollout(const v1::Rollouts& rollouts, const v1::ReleasePlan& plan, const RolloutNotes& notes,
                            int64_t now_unix_ms) {
  const v1::Rollout& current = rollouts.current();
  std::string text = current.rules_version() == 0
                         ? fmt::format("{}: no rollout yet\n", rollouts.namespace_())
                         : fmt::format("{} version {} by {}: {}\n", rollouts.namespace_(), current.rules_version(),
                                       EscapeControlCharacters(current.author()), StateText(current.state()));
  if (!current.reason().empty()) text += fmt::format("  {}\n", EscapeControlCharacters(current.reason()));
  for (const v1::Transition& transition : current.transitions()) {
    text += fmt::format("  {}  {:<10}  by {}\n", Clock(transition.unix_ms()), StateText(transition.state()),
                        transition.by());
  }
  if (!current.transitions().empty()) {
    const int64_t since = std::max<int64_t>(0, now_unix_ms - current.transitions().rbegin()->unix_ms());
    text += fmt::format("  since {}\n", DurationText(since));
  }
  text += DescribeModels(current, notes);
  if (current.active_before() != 0) text += fmt::format("  before: version {}\n", current.active_before());
  text += fmt::format("  releases go {}\n", StepsText(plan));
  for (const std::string& hold : notes.holds) text += fmt::format("  {}\n", hold);
  return text;
}

nlohmann::ordered_json ToJson(const v1::Rollout& rollout) {
  nlohmann::ordered_json json = {{"rules_version", rollout.rules_version()},
                                 {"state", StateText(rollout.state())},
                                 {"reason", rollout.reason()},
                                 {"author", rollout.author()},
                                 {"active_before", rollout.active_before()},
                                 {"steps_done", rollout.steps_done()}};
  json["transitions"] = nlohmann::ordered_json::array();
  for (const v1::Transition& transition : rollout.transitions()) {
    json["transitions"].push_back(
        {{"state", StateText(transition.state())}, {"unix_ms", transition.unix_ms()}, {"by", transition.by()}});
  }
  json["models"] = nlohmann::ordered_json::array();
  for (const v1::ModelProgress& model : rollout.models()) {
    nlohmann::ordered_json hosts = nlohmann::ordered_json::array();
    for (const v1::HostProgress& host : model.hosts()) {
      hosts.push_back({{"host", host.host()},
                       {"state", HostStateText(host.state())},
                       {"reason", host.reason()},
                       {"since_unix_ms", host.since_unix_ms()},
                       {"attempts", host.attempts()}});
    }
    json["models"].push_back({{"model", model.model()},
                              {"shards", std::vector<std::string>(model.shards().begin(), model.shards().end())},
                              {"hosts", std::move(hosts)}});
  }
  return json;
}

nlohmann::ordered_json ToJson(const v1::Rollouts& rollouts) {
  nlohmann::ordered_json json = {{"namespace", rollouts.namespace_()}, {"current", ToJson(rollouts.current())}};
  json["past"] = nlohmann::ordered_json::array();
  for (const v1::Rollout& past : rollouts.past()) json["past"].push_back(ToJson(past));
  return json;
}

nlohmann::ordered_json ToJson(const v1::ReleasePlan& plan) {
  nlohmann::ordered_json json = {{"namespace", plan.namespace_()},
                                 {"pinned_version", plan.pinned_version()},
                                 {"paused", plan.paused()},
                                 {"cancelled_version", plan.cancelled_version()},
                                 {"promoted_version", plan.promoted_version()}};
  json["steps"] = nlohmann::ordered_json::array();
  for (const v1::ReleaseStep& step : plan.steps()) {
    json["steps"].push_back({{"scope", step.scope()}, {"hold_ms", step.hold_ms()}});
  }
  return json;
}

}  // namespace signalbox::cli
