#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "api/rule_set.h"
#include "base/rfc3339.h"
#include "rules/experiment_cells.h"
#include "rules/rule_reading.h"
#include "rules/suggestion.h"

namespace signalbox::rules {
namespace {

using rule_set::kEverybodyPpm;

constexpr size_t kForcedCellsMax = 10'000;
constexpr size_t kUnitBytesMax = 1000;
constexpr size_t kPoliciesMax = 8;
constexpr uint32_t kTtlSecondsMax = 86'400;
constexpr uint32_t kTtlSecondsDefault = 300;
constexpr uint32_t kDeadlineMsMax = 10'000;
constexpr uint32_t kDeadlineMsDefault = 20;

class ExperimentReader {
 public:
  explicit ExperimentReader(RuleReading& reading) : reading_(reading), reader_(reading.reader) {}

  void Read() {
    experiment_.set_id(reading_.ReadId("abTestId", "experiment"));
    reader_.CheckKeys(
        reading_.rule,
        {"abTestId", "targetObjectives", "cellToModel",    "cellWeights", "cellParameters", "allocationPercentage",
         "seed",     "priority",         "modelInputType", "modelType",   "when",           "unit",
         "layer",    "layerRange",       "start",          "end",         "hashVersion",    "forcedCells",
         "policy",   "remoteAllocation"});
    reading_.ReadTargets(draft_);
    if (const Field version = reading_.Key("hashVersion"); version.IsPresent())
      experiment_.set_hash_version(static_cast<uint32_t>(reader_.Whole(version, 1, 2).value_or(0)));
    ReadCells(reading_, experiment_);
    experiment_.set_allocation_ppm(kEverybodyPpm);
    if (reading_.Has("allocationPercentage"))
      experiment_.set_allocation_ppm(reading_.ReadPercentage("allocationPercentage", 0.0001));
    experiment_.set_seed(reading_.ReadSeed());
    ReadPriority();
    reader_.Description(reading_.Key("modelInputType"), *experiment_.mutable_model_input_type());
    reader_.Description(reading_.Key("modelType"), *experiment_.mutable_model_type());
    const std::vector<std::string> unit = reading_.ReadUnit();
    experiment_.mutable_unit()->Assign(unit.begin(), unit.end());
    reading_.ReadCondition(experiment_);
    if (reading_.Has("policy"))
      draft_.narrowed_by = reading_.ReadNames(reading_.Key("policy"), NameKind::kPolicy, kPoliciesMax);
    ReadLayer();
    ReadTimes();
    if (reading_.Has("forcedCells")) ReadForcedCells();
    if (reading_.Has("remoteAllocation")) ReadRemote();
    reading_.FillSource(*experiment_.mutable_source());
    reading_.Keep(std::move(draft_), reading_.draft.experiments);
  }

 private:
  void ReadPriority() {
    const Field priority = reading_.Key("priority");
    if (!priority.IsPresent()) return;
    const std::optional<double> number =
        reader_.Number(priority, -1'000'000, 1'000'000, "a whole number from -1000000 to 1000000");
    if (number && *number != std::floor(*number)) reader_.ErrorExpected(priority, "a whole number");
    if (number) experiment_.set_priority(static_cast<int32_t>(*number));
  }

  void ReadLayer() {
    const Field range = reading_.Key("layerRange");
    if (!reading_.Has("layer")) {
      if (range.IsPresent()) reader_.Error(range, "has no meaning without layer; name the layer");
      return;
    }
    experiment_.set_layer(reading_.ReadName(reading_.Key("layer"), NameKind::kLayer));
    experiment_.set_layer_end_ppm(kEverybodyPpm);
    if (!range.IsPresent()) return;
    constexpr char kExpected[] = "two percentages, where it begins and where it ends: [0, 30]";
    if (range.AsArray() == nullptr || range.AsArray()->size() != 2) return reader_.ErrorExpected(range, kExpected);
    const std::optional<uint32_t> begin = reader_.PercentageAsPpm(reader_.Item(range, 0), 0);
    const std::optional<uint32_t> end = reader_.PercentageAsPpm(reader_.Item(range, 1), 0);
    if (!begin || !end) return;
    if (*begin >= *end) return reader_.Error(range, fmt::format("is empty, expected {}", kExpected));
    experiment_.set_layer_begin_ppm(*begin);
    experiment_.set_layer_end_ppm(*end);
  }

  void ReadTimes() {
    experiment_.set_start_unix_ms(reading_.ReadMoment(reading_.Key("start")));
    experiment_.set_end_unix_ms(reading_.ReadMoment(reading_.Key("end")));
    if (experiment_.end_unix_ms() == 0 || experiment_.start_unix_ms() < experiment_.end_unix_ms()) return;
    reader_.Error(reading_.Key("end"),
                  fmt::format("is {}, expected a time after the start, {}", Rfc3339(experiment_.end_unix_ms()),
                              Rfc3339(experiment_.start_unix_ms())));
  }

  std::vector<std::string> CellNames() const {
    std::vector<std::string> names;
    for (const v1::Cell& cell : experiment_.cells()) names.push_back(cell.name());
    return names;
  }

  // Empty after an error.
  std::string ReadCellName(const Field& field) {
    const std::optional<std::string> name = reader_.Id(field);
    if (!name) return "";
    const std::vector<std::string> names = CellNames();
    if (names.empty() || std::find(names.begin(), names.end(), *name) != names.end()) return *name;
    constexpr size_t kShownMax = 10;
    const auto shown = static_cast<std::ptrdiff_t>(std::min(names.size(), kShownMax));
    reader_.Error(field, fmt::format("there is no cell {}{}; the cells are {}{}", *name, DidYouMean(*name, names),
                                     fmt::join(names.begin(), names.begin() + shown, ", "),
                                     names.size() > kShownMax ? ", ..." : ""));
    return "";
  }

  void ReadForcedCells() {
    const Field field = reading_.Key("forcedCells");
    if (field.AsObject() == nullptr)
      return reader_.ErrorExpected(field, "an object of units and their cells: {'user-1': '2'}");
    if (reader_.HasTooManyKeys(field, kForcedCellsMax)) return;
    for (size_t i = 0; i < field.AsObject()->size(); ++i) {
      const std::string& unit = (*field.AsObject())[i].name;
      Field cell = reader_.Property(field, i);
      if (unit.empty() || unit.size() > kUnitBytesMax) {
        reader_.Error(cell, fmt::format("a unit of {} bytes, expected 1 to {}", unit.size(), kUnitBytesMax));
      } else if (std::any_of(unit.begin(), unit.end(),
                             [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; })) {
        cell.path = field.path;
        reader_.Error(cell, "a unit holds control characters, expected none");
      } else {
        (*experiment_.mutable_forced_cells())[unit] = ReadCellName(cell);
      }
    }
  }

  void ReadRemote() {
    const Field field = reading_.Key("remoteAllocation");
    if (field.AsObject() == nullptr) return reader_.ErrorExpected(field, "an object: {platform: 'growthbook'}");
    reader_.CheckKeys(field, {"platform", "flag", "ttlSeconds", "deadlineMs", "fallback"});
    v1::RemoteAllocation& remote = *experiment_.mutable_remote();
    remote.set_platform(reader_.Id(reader_.Key(field, "platform")).value_or(""));
    if (const Field flag = reader_.Key(field, "flag"); flag.IsPresent()) remote.set_flag(reader_.Id(flag).value_or(""));
    remote.set_ttl_ms(kTtlSecondsDefault * 1000);
    if (const Field ttl = reader_.Key(field, "ttlSeconds"); ttl.IsPresent())
      remote.set_ttl_ms(static_cast<uint32_t>(reader_.Whole(ttl, 1, kTtlSecondsMax).value_or(0)) * 1000);
    remote.set_deadline_ms(kDeadlineMsDefault);
    if (const Field deadline = reader_.Key(field, "deadlineMs"); deadline.IsPresent())
      remote.set_deadline_ms(static_cast<uint32_t>(reader_.Whole(deadline, 1, kDeadlineMsMax).value_or(0)));
    if (const Field fallback = reader_.Key(field, "fallback"); fallback.IsPresent())
      ReadRemoteFallback(fallback, remote);
  }

  void ReadRemoteFallback(const Field& field, v1::RemoteAllocation& remote) {
    const auto* text = std::get_if<std::string>(&field.value->data);
    if (text != nullptr && *text == "hash") return remote.set_fallback(v1::RemoteAllocation::HASH);
    if (text != nullptr && *text == "none") return remote.set_fallback(v1::RemoteAllocation::NO_PART);
    if (field.AsObject() == nullptr) return reader_.ErrorExpected(field, "'hash', 'none' or {cell: '1'}");
    reader_.CheckKeys(field, {"cell"});
    remote.set_fallback(v1::RemoteAllocation::CELL);
    remote.set_fallback_cell(ReadCellName(reader_.Key(field, "cell")));
  }

  RuleReading& reading_;
  FieldReader& reader_;
  Draft<v1::Experiment> draft_;
  v1::Experiment& experiment_ = draft_.rule;
};

}  // namespace

void ReadExperiment(RuleReading& reading) { ExperimentReader(reading).Read(); }

}  // namespace signalbox::rules
