#include "rules/script_error.h"

#include <fmt/format.h>

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

// Of the innermost frame, if that is one of `file`.
Place PlaceOfFrame(JSContext* context, JS::HandleObject stack, std::string_view file, const SourceLines& lines) {
  constexpr auto kExclude = JS::SavedFrameSelfHosted::Exclude;
  constexpr auto kOk = JS::SavedFrameResult::Ok;
  if (stack == nullptr) return {};
  JS::RootedString frame_file(context);
  uint32_t line = 0;
  uint32_t column = 0;  // from 1 here
  if (JS::GetSavedFrameSource(context, nullptr, stack, &frame_file, kExclude) != kOk ||
      JS::GetSavedFrameLine(context, nullptr, stack, &line, kExclude) != kOk ||
      JS::GetSavedFrameColumn(context, nullptr, stack, &column, kExclude) != kOk || column == 0) {
    return {};
  }
  JS::UniqueChars utf8 = JS_EncodeStringToUTF8(context, frame_file);
  if (utf8 == nullptr) JS_ClearPendingException(context);
  if (utf8 == nullptr || utf8.get() != file) return {};
  return lines.AtCodePoint(line, column - 1);
}

// The engine throws this as a plain text, which scripts may catch and throw again.
bool IsOutOfMemory(JSContext* context, JS::HandleValue thrown) {
  if (!thrown.isString()) return false;
  bool is_equal = false;
  const bool could_compare = JS_StringEqualsLiteral(context, thrown.toString(), "out of memory", &is_equal);
  if (!could_compare) JS_ClearPendingException(context);
  return could_compare && is_equal;
}

}  // namespace

std::optional<ScriptError> TakeError(JSContext* context, std::string_view file, const SourceLines& lines) {
  if (!JS_IsExceptionPending(context)) return std::nullopt;
  JS::ExceptionStack thrown(context);
  if (!JS::StealPendingExceptionStack(context, &thrown)) {
    JS_ClearPendingException(context);
    return ScriptError{.message = "an exception that cannot be read", .place = {}};
  }
  ScriptError error;
  JS::RootedObject object(context, thrown.exception().isObject() ? &thrown.exception().toObject() : nullptr);
  JSErrorReport* report = object ? JS_ErrorFromException(context, object) : nullptr;
  if (IsOutOfMemory(context, thrown.exception())) {
    error.message =
        "out of memory: the rules need more than the limit of a whole rule set, or make one text or array "
        "that is too large";
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
  if (report != nullptr && report->filename != nullptr && report->filename == file) {
    // The parser, which alone shows the line, counts columns from 0; running scripts count them from 1.
    const bool counts_from_one = report->linebuf() == nullptr && report->column > 0;
    error.place = lines.AtCodePoint(report->lineno, report->column - (counts_from_one ? 1 : 0));
    return error;
  }
  JS::RootedObject stack(context, thrown.stack());
  error.place = PlaceOfFrame(context, stack, file, lines);
  return error;
}

}  // namespace signalbox::rules
