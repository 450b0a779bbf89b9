#include "cli/decision_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <map>
#include <string_view>

#include "base/hash.h"
#include "telemetry/log_record.h"

namespace signalbox::cli {
namespace {

void AppendKey(std::string_view key, std::string& out) {
  fmt::format_to(std::back_inserter(out), "{}\"{}\":", out.back() == '{' || out.back() == '[' ? "" : ",", key);
}

void AppendField(std::string_view key, std::string_view value, std::string& out) {
  AppendKey(key, out);
  telemetry::AppendJsonString(value, out);
}

// The key is anybody's text.
void AppendMember(std::string_view key, std::string_view value, std::string& out) {
  if (out.back() != '{') out.push_back(',');
  telemetry::AppendJsonString(key, out);
  out.push_back(':');
  telemetry::AppendJsonString(value, out);
}

void AppendNumber(std::string_view key, double number, std::string& out) {
  if (number == 0) return;
  AppendKey(key, out);
  fmt::format_to(std::back_inserter(out), "{}", number);
}

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  return text;
}

void AppendModels(const decide::Decision& decision, std::string& out) {
  AppendKey("fallbacks", out);
  out.push_back('[');
  for (const decide::Answer* fallback : decision.fallbacks) {
    if (out.back() != '[') out.push_back(',');
    telemetry::AppendJsonString(fallback->model->id, out);
  }
  out.push_back(']');
}

void AppendCells(const decide::Decision& decision, std::string& out) {
  if (decision.enrolments.empty()) return;
  AppendKey("cells", out);
  out.push_back('{');
  for (const decide::Enrolment& each : decision.enrolments) AppendMember(each.experiment, each.cell, out);
  out.push_back('}');
}

void AppendParameters(const decide::Decision& decision, std::string& out) {
  const v1::ObjectiveConfig config = ObjectiveConfigOf(decision);
  if (config.parameters().empty()) return;
  const std::map<std::string, std::string> sorted(config.parameters().begin(), config.parameters().end());
  AppendKey("parameters", out);
  out.push_back('{');
  for (const auto& [key, value] : sorted) AppendMember(key, value, out);
  out.push_back('}');
}

void AppendEnsemble(const decide::Answer& answer, std::string& out) {
  if (answer.ensemble == nullptr) return;
  AppendKey("ensemble", out);
  out.push_back('{');
  AppendField("mode", LowerCase(v1::Ensemble::Mode_Name(answer.ensemble->mode())), out);
  AppendKey("members", out);
  out.push_back('[');
  for (const decide::Answer::Member& member : answer.members) {
    if (out.back() != '[') out.push_back(',');
    out.push_back('{');
    AppendField("model", member.answer->model->id, out);
    AppendNumber("weight", member.weight, out);
    out.push_back('}');
  }
  out.push_back(']');
  AppendNumber("min_members", answer.ensemble->min_members(), out);
  out.push_back('}');
}

void AppendShadows(const decide::Decision& decision, std::string& out) {
  if (decision.shadows.empty()) return;
  AppendKey("shadows", out);
  out.push_back('[');
  for (const decide::Shadow* shadow : decision.shadows) {
    if (out.back() != '[') out.push_back(',');
    out.push_back('{');
    AppendField("shadow", shadow->id, out);
    AppendField("model", shadow->answer->model->id, out);
    out.push_back('}');
  }
  out.push_back(']');
}

void AppendLimits(const decide::Policy* policy, std::string& out) {
  if (policy == nullptr) return;
  const decide::Policy::Limits& limits = policy->limits;
  AppendKey("limits", out);
  out.push_back('{');
  AppendField("policy", policy->name, out);
  AppendNumber("requests_per_second", limits.requests_per_second, out);
  AppendNumber("burst", limits.burst, out);
  AppendNumber("concurrent_requests", limits.concurrent_requests, out);
  AppendNumber("payload_bytes", static_cast<double>(limits.payload_bytes), out);
  if (limits.priority != v1::Limits::NORMAL)
    AppendField("priority", LowerCase(v1::Limits::Priority_Name(limits.priority)), out);
  out.push_back('}');
}

void AppendNotes(uint32_t notes, std::string& out) {
  if (notes == decide::kNoNote) return;
  AppendKey("notes", out);
  out.push_back('[');
  for (size_t i = 0; i < decide::kNoteNames.size(); ++i) {
    if ((notes >> i & 1) == 0) continue;
    if (out.back() != '[') out.push_back(',');
    telemetry::AppendJsonString(decide::kNoteNames[i], out);
  }
  out.push_back(']');
}

}  // namespace

v1::ObjectiveConfig ObjectiveConfigOf(const decide::Decision& decision) {
  std::string bytes(decision.answer->objective_config);
  for (const decide::Overlay* overlay : decision.overlays) bytes += overlay->objective_config;
  v1::ObjectiveConfig config;
  config.ParseFromString(bytes);  // what the snapshot's compiler has serialised
  return config;
}

std::string DecisionJson(const decide::Decision& decision) {
  const decide::Answer& answer = *decision.answer;
  std::string out = "{";
  AppendField("objective", answer.objective, out);
  AppendField("model", answer.model->id, out);
  AppendField("routing_key", answer.model->routing_key, out);
  if (const decide::Enrolment main = decision.main_enrolment(); !main.experiment.empty()) {
    AppendField("experiment", main.experiment, out);
    AppendField("cell", main.cell, out);
  } else {
    out += R"(,"experiment":null,"cell":null)";
  }
  AppendModels(decision, out);
  AppendField("reason", Name(answer.reason), out);
  AppendCells(decision, out);
  AppendParameters(decision, out);
  AppendEnsemble(answer, out);
  AppendShadows(decision, out);
  AppendLimits(decision.policy, out);
  if (decision.static_answer != nullptr)
    AppendNumber("static_answer_bytes", static_cast<double>(decision.static_answer->message.size()), out);
  if (!decision.override_rule.empty()) AppendField("override_rule", decision.override_rule, out);
  AppendNotes(decision.notes, out);
  out.push_back('}');
  return out;
}

size_t DecisionTexts::KeyHash::operator()(const Key& key) const {
  return StableHash64({reinterpret_cast<const char*>(key.data()), key.size() * sizeof(key[0])}, 0);
}

const std::string& DecisionTexts::TextOf(const decide::Decision& decision) {
  key_.clear();
  key_.push_back(decision.answer);
  key_.push_back(decision.fallbacks.data());
  key_.push_back(decision.static_answer);
  key_.push_back(decision.policy);
  key_.push_back(decision.override_rule.data());
  key_.push_back(reinterpret_cast<const void*>(static_cast<uintptr_t>(decision.notes)));
  // Behind each list nothing, so that none runs into the next.
  for (const decide::Enrolment& each : decision.enrolments) {
    key_.push_back(each.experiment.data());
    key_.push_back(each.cell.data());
  }
  key_.push_back(nullptr);
  for (const decide::Overlay* overlay : decision.overlays) key_.push_back(overlay);
  key_.push_back(nullptr);
  for (const decide::Shadow* shadow : decision.shadows) key_.push_back(shadow);
  const auto known = texts_.find(key_);
  if (known != texts_.end()) return known->second;
  if (texts_.size() == kTextsMax) texts_.clear();
  return texts_.emplace(key_, DecisionJson(decision) + "\n").first->second;
}

}  // namespace signalbox::cli
