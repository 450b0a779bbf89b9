// The copies of a request that go to shadows: made when it is decided. What they get from then on: request.cc.
#include <fmt/format.h>

#include <string_view>

#include "api/headers.h"
#include "decide/request_context.h"
#include "proxy/request.h"
#include "proxy/shadow_traffic.h"
#include "proxy/worker.h"
#include "telemetry/series.h"

namespace signalbox::proxy {
namespace {

using telemetry::ShadowOutcome;

std::string_view View(const uint8_t* text, size_t bytes) { return {reinterpret_cast<const char*>(text), bytes}; }

}  // namespace

void Request::StartShadows() {
  if (decision_.shadows.empty()) return;
  // What is asked about a model is no traffic.
  if (body_kind_ == BodyKind::kModel) {
    shadows_not_sent_ = static_cast<uint32_t>(decision_.shadows.size());
    return;
  }
  bool compares = false;
  for (const decide::Shadow* shadow : decision_.shadows) {
    ShadowCopy* copy = worker_.shadows().NewCopy(*shadow);
    if (copy == nullptr) continue;
    copy->Begin(shadows_, *routes_, decision_id_, start_unix_us_);
    compares |= shadow->comparison != nullptr;
    WriteShadow(*shadow->answer, *copy);
  }
  if (body_.ended()) shadows_.OnBodyComplete();
  if (compares && IsComparable()) shadows_.Capture(worker_.shadows(), decision_.answer->objective);
}

void Request::WriteShadow(const decide::Answer& answer, ShadowCopy& copy) {
  std::string& buffer = worker_.text_buffer();
  copy.suffix() = SuffixOf(answer, buffer);
  HeaderFields fields;
  AddHeadersFor(answer, fields);
  bool fits = true;
  for (size_t i = 0; i < fields.size(); ++i) {
    const nghttp2_nv& field = fields.data()[i];
    const std::string_view name = View(field.name, field.namelen);
    // Its deadline is its own, and its answer has to be read.
    if (name == headers::kTraffic || name == "grpc-timeout" || name == "grpc-accept-encoding") continue;
    fits = fits && copy.AddHeader(name, View(field.value, field.valuelen));
  }
  fits = fits && copy.AddHeader(headers::kTraffic, decide::Name(decide::TrafficType::kShadow));
  if (!fits) return copy.Finish(ShadowOutcome::kFailed, "the request's headers leave no room for signalbox's own");
  (void)copy.AppendAll(body_);
}

bool Request::IsComparable() const {
  return body_kind_ == BodyKind::kInfer && !IsInferenceStream(request_headers_.Find(":path"));
}

void Request::EndShadows() {
  if (shadows_.empty()) return shadows_.End("", "", ShadowOutcome::kNotCompared);
  const std::string_view live_model = static_answer_ || answer_ == nullptr ? std::string_view() : answer_->model->id;
  if (!IsComparable()) {
    return shadows_.End(live_model, "answers of this method are of a schema that is not known",
                        ShadowOutcome::kNotComparable);
  }
  std::string why_not;
  if (static_answer_) {
    why_not = "the live request got the answer that rules declare";
  } else if (grpc_status_ != 0) {
    why_not = fmt::format("the live request ended with {}", telemetry::GrpcCodeName(grpc_status_));
  } else if (!response_body().empty()) {
    why_not = "the client did not wait for the live answer";
  }
  shadows_.End(live_model, std::move(why_not), ShadowOutcome::kNotCompared);
}

}  // namespace signalbox::proxy
