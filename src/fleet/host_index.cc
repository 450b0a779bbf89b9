#include "fleet/host_index.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/printable.h"

namespace signalbox::fleet {
namespace {

using rollout::ModelState;
using rollout::ObservedModel;

constexpr int kModelsMax = 20'000;
constexpr size_t kTextBytesMax = 500;

// The protocol's words; whatever else a host says, it does not say that the model answers.
ModelState StateOf(const std::string& word) {
  if (word == "READY") return ModelState::kReady;
  if (word == "LOADING") return ModelState::kLoading;
  return ModelState::kUnavailable;
}

int Rank(ModelState state) {
  switch (state) {
    case ModelState::kReady:
      return 3;
    case ModelState::kLoading:
      return 2;
    case ModelState::kUnavailable:
      return 1;
    case ModelState::kAbsent:
      return 0;
  }
  return 0;
}

// Two repositories of a host may have the same model: one that answers is enough.
void Add(HostIndex& index, const std::string& id, const ObservedModel& model) {
  ObservedModel& known = index[id];
  if (Rank(model.state) > Rank(known.state)) known = model;
}

}  // namespace

std::pair<std::string, std::string> SplitModelId(std::string_view id) {
  const size_t at = id.rfind('@');
  if (at == std::string_view::npos) return {std::string(id), ""};
  return {std::string(id.substr(0, at)), std::string(id.substr(at + 1))};
}

absl::StatusOr<HostIndex> ReadIndex(const inference::RepositoryIndexResponse& response,
                                    const std::set<std::string>& bare_names) {
  if (response.models_size() > kModelsMax) {
    return absl::ResourceExhaustedError(
        fmt::format("its index has {} models, the limit is {}", response.models_size(), kModelsMax));
  }
  HostIndex index;
  for (const auto& entry : response.models()) {
    ObservedModel model{.state = StateOf(entry.state()), .reason = HostText(entry.reason())};
    // "UNLOADING" and what else hosts say.
    if (model.reason.empty() && model.state == ModelState::kUnavailable && entry.state() != "UNAVAILABLE") {
      model.reason = HostText(entry.state());
    }
    Add(index, entry.version().empty() ? entry.name() : fmt::format("{}@{}", entry.name(), entry.version()), model);
    if (bare_names.contains(entry.name())) Add(index, entry.name(), model);
  }
  return index;
}

std::string StateText(const HostIndex& index, const std::string& model) {
  const auto found = index.find(model);
  if (found == index.end()) return "absent";
  const std::string reason = found->second.reason.empty() ? "" : fmt::format(" ({})", found->second.reason);
  switch (found->second.state) {
    case ModelState::kReady:
      return "READY";
    case ModelState::kLoading:
      return "LOADING" + reason;
    case ModelState::kUnavailable:
      return "UNAVAILABLE" + reason;
    case ModelState::kAbsent:
      break;
  }
  return "absent";
}

bool IsSame(const HostIndex& a, const HostIndex& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.first == other.first && one.second.state == other.second.state &&
           one.second.reason == other.second.reason;
  });
}

bool IsReady(const HostIndex& index, const std::string& model) {
  const auto found = index.find(model);
  return found != index.end() && found->second.state == ModelState::kReady;
}

std::string HostText(std::string_view text) {
  if (text.size() <= kTextBytesMax) return EscapeControlCharacters(text);
  size_t bytes = kTextBytesMax;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
  return EscapeControlCharacters(text.substr(0, bytes)) + "...";
}

}  // namespace signalbox::fleet
