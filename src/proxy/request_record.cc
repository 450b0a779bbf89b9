// What a request leaves behind: its record for metrics and decision log.
#include <algorithm>
#include <chrono>
#include <memory>
#include <span>

#include "decide/decide.h"
#include "proxy/host.h"
#include "proxy/request.h"
#include "proxy/routes.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

using telemetry::NamedText;

static_assert(telemetry::kNoteNames == decide::kNoteNames);
static_assert(telemetry::kRefusalNames.size() == static_cast<size_t>(RefusedBy::kBulkhead) + 1);
static_assert(telemetry::kPriorityNames.size() == limit::kPriorityClasses);

// Telemetry does not know the decision's types, and takes them as pairs of texts.
NamedText Named(const decide::Attribute& attribute) { return {attribute.key, attribute.value}; }
NamedText Named(const decide::CellName& cell) { return {cell.experiment, cell.cell}; }
NamedText Named(const decide::Enrolment& enrolment) { return {enrolment.experiment, enrolment.cell}; }

// Room for the longest of the lists. Not initialised: most requests have hardly any.
class NamedTexts {
 public:
  NamedTexts() {}
  NamedTexts(const NamedTexts&) = delete;
  NamedTexts& operator=(const NamedTexts&) = delete;
  ~NamedTexts() {}

  template <typename Items>
  std::span<const NamedText> Fill(const Items& items) {
    const size_t count = std::min<size_t>(items.size(), kMax);
    for (size_t i = 0; i < count; ++i) std::construct_at(&texts_[i], Named(items[i]));
    return {texts_, count};
  }

 private:
  static constexpr size_t kMax = std::max({kAttributesMax, kOverrideCellsMax, decide::kEnrolmentsMax});
  union {
    NamedText texts_[kMax];
  };
};

uint64_t Microseconds(Time::duration duration) {
  const auto count = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return static_cast<uint64_t>(std::max<int64_t>(0, count));
}

}  // namespace

void Request::Record() {
  const Time end = worker_.ReadClock();
  const decide::RequestContext& context = context_.context;
  // What lies between the Objective being known and the host having the request, and between the host's answer and the
  // client having its headers. Bodies go at the pace of the slower side.
  const Time none{};
  Time::duration own{};
  if (ready_ != none && dispatched_ != none) own += dispatched_ - ready_;
  if (answered_ != none && headers_sent_ != none) own += headers_sent_ - answered_;
  telemetry::RequestRecord record;
  record.decision_id = decision_id_;
  record.start_unix_us = start_unix_us_;
  if (routes_ != nullptr) record.snapshot_hash = routes_->snapshot().hash();
  if (answer_ != nullptr) {
    record.objective = decision_.answer->objective;
    // Of a static answer no model is to blame, nor to be praised: those that were tried are counted as fallbacks.
    if (!static_answer_) record.model = answer_->model->id;
    // Of the decision, also when a fallback answers: who is in a cell does not depend on what can be reached.
    const decide::Enrolment enrolment = decision_.main_enrolment();
    record.experiment = enrolment.experiment;
    record.cell = enrolment.cell;
    record.reason = decide::Name(reason());
    record.override_rule = decision_.override_rule;
    record.notes = decision_.notes;
    record.shadows_not_sent = shadows_not_sent_;
  } else if (routes_ != nullptr && routes_->snapshot().FindObjective(context.objective) != nullptr) {
    // It ended while it waited for a platform. What rules do not declare is left out: clients can make up any number.
    record.objective = context.objective;
  }
  record.user = context.user;
  record.tenant = context.tenant;
  record.traffic_type = decide::Name(context.traffic_type);
  if (host_ != nullptr) record.host = host_->name();
  record.grpc_status = grpc_status_;
  record.latency_us = Microseconds(end - start_);
  record.own_us = Microseconds(own);
  record.request_bytes = request_bytes_;
  record.response_bytes = response_bytes_;
  record.attempts = tries_.attempts;
  record.try_events = {tries_.retries,     tries_.hedges,   tries_.hedge_wins,
                       tries_.over_budget, tries_.timeouts, body_.was_too_long() ? 1U : 0U};
  record.fallbacks = static_cast<uint32_t>(tried_in_vain_);
  record.static_answer = static_answer_;
  record.country = context.country;
  record.locale = context.locale;
  record.device = context.device;
  record.surface = context.surface;
  record.app_version = context.app_version;
  record.segments = context.segments;
  record.override_model = context.override_model;
  NamedTexts attributes;
  NamedTexts override_cells;
  NamedTexts remote_cells;
  NamedTexts cells;
  record.attributes = attributes.Fill(context.attributes);
  record.override_cells = override_cells.Fill(context.override_cells);
  record.remote_cells = remote_cells.Fill(context.remote_cells);
  record.cells = cells.Fill(decision_.enrolments);
  if (refusal_.refused) {
    record.refusal = 1 + static_cast<uint32_t>(refusal_.by);
    record.priority = static_cast<uint32_t>(refusal_.priority);
  }
  worker_.Record(record);
}

}  // namespace signalbox::proxy
