#include "control/placement_explanation.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/status.h"

namespace signalbox::control {

v1::PlacementExplanation Explanation(const rollout::PlacementView& view, const std::string& leader) {
  // Half of the limit, for a batch has more in it.
  constexpr size_t kBytesMax = store::kRecordBytesMax / 2;
  v1::PlacementExplanation explanation;
  for (size_t refusals_max = std::numeric_limits<size_t>::max();;
       refusals_max = refusals_max > 64 ? 64 : refusals_max / 4) {
    explanation.Clear();
    explanation.set_leader(leader);
    for (const auto& model : view.models) {
      v1::ModelExplanation& of = *explanation.add_models();
      of.set_model(model.model);
      of.set_summary(model.summary);
      for (const std::string& text : model.wanted_by) of.add_wanted_by(text);
      for (const std::string& text : model.shards) of.add_shards(text);
      for (const std::string& text : model.waits) of.add_waits(text);
      const size_t count = std::min(refusals_max, model.refusals.size());
      for (size_t i = 0; i < count; ++i) of.add_refusals(model.refusals[i]);
      if (count < model.refusals.size()) {
        of.add_refusals(fmt::format("{} more shards are not listed", model.refusals.size() - count));
      }
    }
    if (explanation.ByteSizeLong() <= kBytesMax || refusals_max == 0) return explanation;
  }
}

absl::StatusOr<v1::PlacementExplanation> ReadExplanation(store::Store& store) {
  ASSIGN_OR_RETURN(const std::optional<store::Record> record, store.GetRecord(kExplanationRecord));
  if (!record) {
    return absl::NotFoundError(
        fmt::format("{}: no control plane that manages the fleet (--fleet) has worked on this store", store.name()));
  }
  v1::PlacementExplanation explanation;
  if (explanation.ParseFromString(record->value)) return explanation;
  return absl::DataLossError(fmt::format("record {}: cannot be read", kExplanationRecord));
}

}  // namespace signalbox::control
