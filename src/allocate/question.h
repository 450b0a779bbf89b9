// A question to an experimentation platform, and what can come of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace signalbox::allocate {

using Time = std::chrono::steady_clock::time_point;

// Of a cell's name; a longer one is no cell.
inline constexpr size_t kCellBytesMax = 200;
// Of everything that is sent with a question, and that an answer is remembered under. A unit is some tens of bytes; who
// sends kilobytes of context shall not fill the memory of others' answers with it.
inline constexpr size_t kQuestionBytesMax = 2 << 10;

struct Field {
  std::string_view name;
  std::string_view value;
};

// Which cell is `unit` in? A view of what the asker has.
struct Question {
  std::string_view platform;
  std::string_view flag;
  std::string_view unit;
  // Who asks, among several who ask the same: the experiment. It is not sent. What is no cell of one may be one of
  // another.
  std::string_view asker = {};
  // Sent along where they are not empty; `segments` is a list with spaces between.
  std::span<const Field> context;
  // Only those that the operator has released to the platform are sent.
  std::span<const Field> attributes;
  // How old the answer may be, and how long somebody waits for it.
  std::chrono::milliseconds ttl{0};
  std::chrono::milliseconds deadline{0};
};

enum class Result : uint8_t {
  kCell,          // the unit is in Answer::cell
  kNoCell,        // the platform leaves it to the fallback
  kNotFound,      // it does not know the flag
  kRefused,       // the question is not one that it answers, or that can be sent
  kUnauthorised,  // it does not know us
  kRateLimited,
  kServerError,
  kRedirect,     // never followed: who may redirect could send users' ids anywhere
  kBadAnswer,    // not what the protocol says
  kTooLarge,     // more than an answer can be
  kTimeout,      // it did not answer in time
  kUnreachable,  // there was no connection, or it broke
  kPaused,       // not asked: it has failed too often, or told us to wait
  kOverloaded,   // not asked: too many questions wait
};
inline constexpr size_t kResults = 14;
// "cell", "no_cell", ...; for metrics and messages.
std::string_view Name(Result result);

// Whether the platform did its work, whatever it said.
bool IsPlatformFailure(Result result);

struct Answer {
  Result result = Result::kNoCell;
  std::string cell = {};
  // What the platform asks for, with kRateLimited.
  std::optional<std::chrono::milliseconds> retry_after = {};
};

// A question on its way from a worker to the thread that asks, and back with the answer.
struct Inquiry {
  // What answers are remembered under: the platform and all that is sent.
  std::string key;
  uint32_t worker = 0;
  uint32_t platform = 0;
  std::string flag;
  std::string unit;
  std::vector<std::pair<std::string, std::string>> context;
  std::chrono::milliseconds ttl{0};
  std::chrono::milliseconds deadline{0};
  Time asked_at;
  // A cell that the platform gave then or earlier is not wanted again: it was no cell.
  Time newer_than;

  Answer answer;
  Time answered_at;
  // Where there is no cell: for how long that is remembered. In the past: not at all.
  Time none_until;
};

// The field of a context that is a list.
inline constexpr std::string_view kSegments = "segments";
std::vector<std::string> WordsOf(std::string_view text);

// False when anything in it is not UTF-8, which neither protocol can say, and for the flags "." and "..", which are no
// part of a URL's path.
bool CanBeSent(const Inquiry& inquiry);

}  // namespace signalbox::allocate
