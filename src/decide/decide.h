// The decision: which model answers a request, and what else the data path needs to carry it out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/fixed_list.h"
#include "decide/request_context.h"
#include "decide/snapshot.h"

namespace signalbox::decide {

// Limits of what one request can meet; rule sets beyond them are refused when they are compiled.
inline constexpr size_t kEnrolmentsMax = 16;
inline constexpr size_t kOverlaysMax = 32;
inline constexpr size_t kShadowsMax = 8;

// A cell that the request's unit is in.
struct Enrolment {
  std::string_view experiment;
  std::string_view cell;
};

// What was wrong with a request, as far as the decision is concerned. It is decided all the same, as is said here, and
// data planes count it.
enum Note : uint32_t {
  kNoNote = 0,
  // An experiment or a shift has a unit that the request does not have: it takes no part in it.
  kMissingUnit = 1U << 0,
  // A condition asks for a version or a number, and the value is none: the test is false.
  kWrongType = 1U << 1,
  // The caller may not override, or not to what it asks for: decided as if it had not asked.
  kOverrideRefused = 1U << 2,
  // An experimentation platform gave no cell, or one that does not exist: the experiment's fallback counts.
  kRemoteFallback = 1U << 3,
};
// "missing_unit", "wrong_type", "override_refused", "remote_fallback".
inline constexpr std::array<std::string_view, 4> kNoteNames = {"missing_unit", "wrong_type", "override_refused",
                                                               "remote_fallback"};

// What it points to lives as long as the snapshot.
struct Decision {
  // nullptr when the snapshot has no such Objective.
  const Answer* answer = nullptr;
  // To be tried in this order when the answer's model cannot be reached.
  std::span<const Answer* const> fallbacks;
  // What is said when none of these can be reached. nullptr: the request fails.
  const StaticAnswer* static_answer = nullptr;
  // How the request is to be handled. nullptr: no policy says.
  const Policy* policy = nullptr;
  // Name of the override rule that chose the model or a cell; empty: none did.
  std::string_view override_rule;
  // Of Note.
  uint32_t notes = kNoNote;
  // In the order in which they are appended behind what the answer has (enrichment.h), whichever answer it becomes; but
  // Overlay::is_of_choosing_cell goes with the answer above and the members of its ensemble alone.
  FixedList<const Overlay*, kOverlaysMax> overlays;
  // Every experiment that the request takes part in, in the order in which they were asked.
  FixedList<Enrolment, kEnrolmentsMax> enrolments;
  // Those that this request was drawn for.
  FixedList<const Shadow*, kShadowsMax> shadows;

  // The experiment that stands for the request where there is room for one: that which chose the model, else the first
  // that it takes part in. Empty when it takes part in none.
  Enrolment main_enrolment() const {
    if (answer != nullptr && !answer->experiment.empty()) return {answer->experiment, answer->cell};
    return enrolments.empty() ? Enrolment{} : enrolments[0];
  }
};

// Pure: no clock, no I/O, no lock, no allocation (but see docs/decisions/0007 for regular expressions). The same
// snapshot and context give the same decision in every process, mode and release (golden file: decide_golden.json).
//
// Order: authorised override, context rules, experiments by layer, traffic shifts, default model; the first that yields
// a model ends the search (docs/decisions/0007-decision-order.md). A context that does not have the unit of an
// experiment or a shift takes no part in it: an answer that changes from request to request would be worse than the
// default.
Decision Decide(const Snapshot& snapshot, const RequestContext& context);

// The same decision, and every step on the way to it, taken or not, as a page of text for people. Allocates. As data:
// explain.h.
std::string Explain(const Snapshot& snapshot, const RequestContext& context);

}  // namespace signalbox::decide
