#include "rules/script_error.h"

#include <fmt/format.h>

#include "rules/engine.h"
#include "rules/spidermonkey.h"

namespace signalbox::rules {
namespace {

constexpr size_t kMessageBytesMax = 1000;

std::string Shortened(std::string text) {
  if (text.size() <= kMessageBytesMax) return text;
  size_t end = kMessageBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

// Of a thrown value that is no Error.
std::string InWords(JSContext* context, JS::HandleValue value) {
  if (value.isObject()) return "an object that is no Error";
  if (value.isSymbol()) return "a Symbol";
  // Longer ones are not worth flattening.
  if (value.isString() && JS::GetStringLength(value.toString()) > kMessageBytesMax) return "a long text";
  JS::RootedString text(context, JS::ToString(context, value));
  JS::UniqueChars utf8 = text ? JS_EncodeStringToUTF8(context, text) : nullptr;
  if (utf8 == nullptr) {
    JS_ClearPendingException(context);
    return "a value";
  }
  return value.isString() ? fmt::format("\"{}\"", utf8.get()) : utf8.get();
}

// Of the innermost frame that belongs to a file of the rule set.
void FindFrame(JSContext* context, JS::HandleObject stack, const SourceTexts& texts, ScriptError& error) {
  constexpr auto kExclude = JS::SavedFrameSelfHosted::Exclude;
  constexpr auto kOk = JS::SavedFrameResult::Ok;
  constexpr int kFramesMax = 100;
  JS::RootedObject frame(context, stack);
  JS::RootedObject parent(context);
  JS::RootedString frame_file(context);
  for (int i = 0; i < kFramesMax && frame != nullptr; ++i, frame = parent) {
    uint32_t line = 0;
    uint32_t column = 0;  // from 1 here
    if (JS::GetSavedFrameSource(context, nullptr, frame, &frame_file, kExclude) != kOk ||
        JS::GetSavedFrameLine(context, nullptr, frame, &line, kExclude) != kOk ||
        JS::GetSavedFrameColumn(context, nullptr, frame, &column, kExclude) != kOk ||
        JS::GetSavedFrameParent(context, nullptr, frame, &parent, kExclude) != kOk) {
      return;
    }
    JS::UniqueChars utf8 = JS_EncodeStringToUTF8(context, frame_file);
    if (utf8 == nullptr) return JS_ClearPendingException(context);
    const SourceText* text = texts.Find(utf8.get());
    if (text == nullptr || column == 0) continue;
    error.file = text->path;
    error.place = text->lines.AtCodePoint(line, column - 1);
    return;
  }
}

// The engine throws this as a plain text, which scripts may catch and throw again.
bool IsOutOfMemory(JSContext* context, JS::HandleValue thrown) {
  if (!thrown.isString()) return false;
  bool is_equal = false;
  const bool could_compare = JS_StringEqualsLiteral(context, thrown.toString(), "out of memory", &is_equal);
  if (!could_compare) JS_ClearPendingException(context);
  return could_compare && is_equal;
}

void SayOutOfMemory(JSContext* context, const SourceTexts& texts, ScriptError& error) {
  const OutOfMemory ended = LastOutOfMemory(context);
  error.message = fmt::format(
      "out of memory: the rules need more than {} MiB, the limit of a whole rule set, or make one text, object or "
      "array "
      "that takes a quarter of it; make less of it (forcedCells takes 10000 units, other objects 1000 keys)",
      ended.heap_bytes_max >> 20);
  const SourceText* text = texts.Find(ended.place.file);
  if (text == nullptr) return;
  error.file = text->path;
  error.place = text->lines.AtCodePoint(ended.place.line, ended.place.column);
}

}  // namespace

std::optional<ScriptError> TakeError(JSContext* context, const SourceTexts& texts) {
  if (!JS_IsExceptionPending(context)) return std::nullopt;
  JS::ExceptionStack thrown(context);
  if (!JS::StealPendingExceptionStack(context, &thrown)) {
    JS_ClearPendingException(context);
    return ScriptError{.message = "an exception that cannot be read", .file = "", .place = {}};
  }
  ScriptError error;
  JS::RootedObject object(context, thrown.exception().isObject() ? &thrown.exception().toObject() : nullptr);
  JSErrorReport* report = object ? JS_ErrorFromException(context, object) : nullptr;
  if (IsOutOfMemory(context, thrown.exception())) {
    SayOutOfMemory(context, texts, error);
  } else if (report != nullptr) {
    JS::ErrorReportBuilder builder(context);
    if (builder.init(context, thrown, JS::ErrorReportBuilder::NoSideEffects)) {
      error.message = Shortened(builder.toStringResult().c_str());
    } else {
      JS_ClearPendingException(context);
      error.message = Shortened(report->message().c_str());
    }
    error.number = report->errorNumber;
    if (error.number == JSMSG_CSP_BLOCKED_FUNCTION || error.number == JSMSG_CSP_BLOCKED_EVAL)
      error.message = "code cannot be made from text (eval, Function) in rules";
  } else {
    error.message = fmt::format("threw {}", InWords(context, thrown.exception()));
  }
  const SourceText* text = report != nullptr && report->filename != nullptr ? texts.Find(report->filename) : nullptr;
  if (text != nullptr) {
    // The parser, which alone shows the line, counts columns from 0; running scripts count them from 1.
    const bool counts_from_one = report->linebuf() == nullptr && report->column > 0;
    error.file = text->path;
    error.place = text->lines.AtCodePoint(report->lineno, report->column - (counts_from_one ? 1 : 0));
    return error;
  }
  JS::RootedObject stack(context, thrown.stack());
  FindFrame(context, stack, texts, error);
  // Modules end in a promise, which keeps the error and not where it was thrown; the error itself knows where it was
  // made.
  if (error.place.line == 0 && object != nullptr) {
    stack = JS::ExceptionStackOrNull(object);
    FindFrame(context, stack, texts, error);
  }
  return error;
}

void ReportError(const std::optional<ScriptError>& error, const std::string& file, const std::string& what,
                 Place fallback, std::vector<Diagnostic>& diagnostics) {
  const std::string message = error ? error->message : "the engine gave up without a reason";
  const bool has_place = error && error->place.line != 0;
  const Place place = has_place ? error->place : fallback;
  diagnostics.push_back({has_place ? error->file : file, place.line, place.column,
                         what.empty() ? message : fmt::format("{}: {}", what, message)});
}

}  // namespace signalbox::rules
