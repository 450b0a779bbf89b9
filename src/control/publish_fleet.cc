#include "control/publish_fleet.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/canonical_json.h"
#include "base/status.h"
#include "base/unix_time.h"
#include "control/composition.h"
#include "control/publish_attempts.h"
#include "decide/placement_file.h"
#include "inference/open_inference.pb.h"
#include "signalbox/v1/rollout.pb.h"

namespace signalbox::control {
namespace {

// All that is wrong with a fleet, not only the first of it.
class FleetCheck {
  template <typename Map>
  static auto Sorted(const Map& map) {
    std::map<std::string, const typename Map::mapped_type*> sorted;
    for (const auto& [key, value] : map) sorted.emplace(key, &value);
    return sorted;
  }

 public:
  explicit FleetCheck(const v1::Fleet& fleet) : fleet_(fleet) {}

  std::vector<std::string> Errors() {
    for (const auto& [name, shard] : Sorted(fleet_.shards())) CheckShard(name, *shard);
    for (const auto& [name, model] : Sorted(fleet_.models())) CheckModel(name, *model);
    return std::move(errors_);
  }

 private:
  void CheckName(std::string_view kind, const std::string& name) {
    const bool printable = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
    if (!name.empty() && name.size() <= 128 && printable) return;
    errors_.push_back(
        fmt::format("{} '{}': expected a name of 1 to 128 printable ASCII characters without spaces", kind, name));
  }

  void CheckNumber(std::string_view of, std::string_view field, double value) {
    if (std::isfinite(value) && value >= 0) return;
    errors_.push_back(fmt::format("{}: {} is {}, expected 0 or more", of, field, value));
  }

  void CheckShard(const std::string& name, const v1::FleetShard& shard) {
    CheckName("shard", name);
    const std::string of = fmt::format("shard '{}'", name);
    CheckNumber(of, "cores", shard.cores());
    for (const std::string& namespace_name : shard.namespaces()) {
      if (absl::Status status = store::CheckNamespace(namespace_name); !status.ok()) {
        errors_.push_back(fmt::format("{}: {}", of, Message(status)));
      }
    }
    for (const v1::FleetHost& host : shard.hosts()) {
      if (!decide::IsHostPort(host.address())) {
        errors_.push_back(
            fmt::format("{}: '{}' is not a host, expected \"HOST:PORT\" or \"[IPv6]:PORT\"", of, host.address()));
      }
      const std::string& id = host.id().empty() ? host.address() : host.id();
      CheckName(fmt::format("{}: host", of), id);
      if (!host_ids_.insert(id).second) {
        errors_.push_back(fmt::format("{}: host '{}' stands twice in the fleet", of, id));
      }
    }
  }

  void CheckModel(const std::string& name, const v1::FleetModel& model) {
    CheckName("model", name);
    const std::string of = fmt::format("model '{}'", name);
    CheckNumber(of, "cost_seconds", model.cost_seconds());
    CheckNumber(of, "requests_per_second", model.requests_per_second());
    CheckNumber(of, "load_timeout_ms", static_cast<double>(model.load_timeout_ms()));
    CheckNumber(of, "dry_run_timeout_ms", static_cast<double>(model.dry_run_timeout_ms()));
    for (const std::string& shard : model.shards()) {
      if (!fleet_.shards().contains(shard)) {
        errors_.push_back(fmt::format("{}: shard '{}' is not declared; declared: {}", of, shard, DeclaredShards()));
      }
    }
    for (const std::string& other : model.depends_on()) {
      CheckName(fmt::format("{}: depends_on", of), other);
      if (other == name) errors_.push_back(fmt::format("{}: depends on itself", of));
    }
    if (model.sample_request().empty()) return;
    inference::ModelInferRequest request;
    const auto parsed = google::protobuf::util::JsonStringToMessage(model.sample_request(), &request);
    if (!parsed.ok()) {
      errors_.push_back(fmt::format("{}: sample_request is no inference.ModelInferRequest in JSON: {}", of,
                                    std::string(parsed.message())));
    }
  }

  std::string DeclaredShards() const {
    std::vector<std::string> names;
    for (const auto& [name, shard] : Sorted(fleet_.shards())) names.push_back(name);
    return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
  }

  const v1::Fleet& fleet_;
  std::set<std::string> host_ids_;
  std::vector<std::string> errors_;
};

// What runs of each namespace, as its active rules. Without a placement nothing was anywhere: rules that were published
// come into effect as those that are published from now on do, when their models are placed, loaded and tried.
absl::StatusOr<std::vector<store::Publication>> TakeOver(store::Store& store, const Composition& composition,
                                                         const std::string& author) {
  std::vector<store::Publication> publications;
  ASSIGN_OR_RETURN(const store::LatestVersions latest, store.Latest());
  const bool has_placement =
      std::any_of(latest.topics.begin(), latest.topics.end(),
                  [](const store::LatestVersion& newest) { return newest.info.topic == store::kPlacementTopic; });
  if (!has_placement) return publications;
  for (const store::LatestVersion& newest : latest.topics) {
    const auto namespace_name = store::NamespaceOfTopic(newest.info.topic);
    if (!namespace_name) continue;
    const NamespaceInUse in_use = composition.InUse(*namespace_name);
    if (in_use.rules == nullptr) continue;
    v1::ActiveRules active;
    active.set_namespace_(std::string(*namespace_name));
    active.set_rules_version(in_use.rules_version);
    *active.mutable_rule_set() = *in_use.rules;
    active.set_activated_unix_ms(NowUnixMs());
    ASSIGN_OR_RETURN(std::string content, CanonicalJson(active));
    publications.push_back({.topic = store::ActiveTopic(*namespace_name),
                            .content = std::move(content),
                            .author = author,
                            .message = fmt::format("version {}, as it ran", in_use.rules_version),
                            .expected = {}});
  }
  return publications;
}

}  // namespace

absl::StatusOr<v1::Fleet> ParseFleetFile(std::string_view path_for_messages, const std::string& json) {
  v1::Fleet fleet;
  if (absl::Status status = ParseJson(json, fleet); !status.ok()) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", path_for_messages, Message(status)));
  }
  std::vector<std::string> errors = FleetCheck(fleet).Errors();
  if (errors.empty()) return fleet;
  for (std::string& error : errors) error = fmt::format("{}: {}", path_for_messages, error);
  return absl::InvalidArgumentError(fmt::format("{}", fmt::join(errors, "\n")));
}

absl::StatusOr<store::Published> PublishFleet(store::Store& store, const v1::Fleet& fleet, const std::string& author,
                                              const std::string& message) {
  ASSIGN_OR_RETURN(std::string content, CanonicalJson(fleet));
  Composition composition(store);
  for (int attempt = 1;; ++attempt) {
    RETURN_IF_ERROR(composition.Advance());
    store::Batch batch;
    if (!composition.managed()) {
      ASSIGN_OR_RETURN(batch.publications, TakeOver(store, composition, author));
    }
    batch.publications.push_back({.topic = std::string(store::kFleetTopic),
                                  .content = content,
                                  .author = author,
                                  .message = message,
                                  .expected = {.version = {}, .sequence = composition.sequence()}});
    absl::StatusOr<store::BatchResult> written = store.Write(batch);
    if (written.ok()) return written->published.back();
    if (!absl::IsAborted(written.status()) || attempt == kPublishAttemptsMax) return written.status();
  }
}

}  // namespace signalbox::control
