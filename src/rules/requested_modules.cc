#include "rules/requested_modules.h"

#include <algorithm>
#include <array>
#include <memory>

#include "rules/engine.h"

namespace signalbox::rules {
namespace {

const JSClass kGlobalClass = {"Imports", JSCLASS_GLOBAL_FLAGS, &JS::DefaultGlobalClassOps, nullptr, nullptr, nullptr};

// What the engine's thread works on. Shared with it, because a thread that does not end is left behind.
struct Job {
  std::vector<SourceFile> files;
  std::vector<std::vector<Import>> imports;
};

void Parse(JSContext* context, const SourceFile& file, std::vector<Import>& imports) {
  JS::CompileOptions options(context);
  options.setFileAndLine(file.path.c_str(), 1);
  JS::SourceText<mozilla::Utf8Unit> text;
  JS::RootedObject module(context);
  if (text.init(context, file.text.data(), file.text.size(), JS::SourceOwnership::Borrowed))
    module = JS::CompileModule(context, options, text);
  if (module == nullptr || !ReadImports(context, module, SourceLines(file.text), imports))
    JS_ClearPendingException(context);  // whoever runs the file says what is wrong
}

}  // namespace

bool MayBeModule(const SourceFile& file) {
  constexpr std::array<std::string_view, 3> kWords = {"import", "export", "await"};
  return IsTestFile(file.path) || std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) {
           return file.text.find(word) != std::string::npos;
         });
}

bool ReadImports(JSContext* context, JS::HandleObject module, const SourceLines& lines, std::vector<Import>& imports) {
  JS::RootedObject requested(context, JS::GetRequestedModules(context, module));
  uint32_t length = 0;
  if (requested == nullptr || !JS::GetArrayLength(context, requested, &length)) return false;
  JS::RootedValue request(context);
  for (uint32_t i = 0; i < length; ++i) {
    if (!JS_GetElement(context, requested, i, &request)) return false;
    JS::RootedString specifier(context, JS::GetRequestedModuleSpecifier(context, request));
    JS::UniqueChars utf8 = specifier ? JS_EncodeStringToUTF8(context, specifier) : nullptr;
    if (utf8 == nullptr) return false;
    uint32_t line = 0;
    uint32_t column = 0;
    JS::GetRequestedModuleSourcePos(context, request, &line, &column);
    imports.push_back({utf8.get(), lines.AtCodePoint(line, column)});
  }
  return true;
}

std::vector<std::vector<Import>> ParseImports(std::span<const SourceFile> files, const Limits& limits) {
  const bool may_import =
      std::any_of(files.begin(), files.end(), [](const SourceFile& file) { return MayBeModule(file); });
  if (!may_import) return std::vector<std::vector<Import>>(files.size());
  auto job = std::make_shared<Job>();
  job->files.assign(files.begin(), files.end());
  job->imports.resize(files.size());
  const std::optional<Diagnostic> ended = RunWithEngine(limits, [job](JSContext* context) {
    JS::RootedObject global(
        context, JS_NewGlobalObject(context, &kGlobalClass, nullptr, JS::FireOnNewGlobalHook, JS::RealmOptions()));
    if (global == nullptr) return JS_ClearPendingException(context);
    JSAutoRealm realm(context, global);
    for (size_t i = 0; i < job->files.size() && !IsStopped(context); ++i) {
      if (MayBeModule(job->files[i])) Parse(context, job->files[i], job->imports[i]);
    }
  });
  // The job may belong to a thread that was left behind.
  return ended ? std::vector<std::vector<Import>>(files.size()) : std::move(job->imports);
}

}  // namespace signalbox::rules
