// What hostile and broken rule files meet: a clear diagnostic, in bounded time and memory, and a process that stays up.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/test_folder.h"
#include "rules/test_rules.h"

namespace signalbox::rules {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr char kGoodRule[] =
    "function defineHomeRule() { return {objective: Objectives.Home, defaultModel: {name: 'm'}}; }";

Limits ShortTime() {
  Limits limits;
  limits.time_max = std::chrono::milliseconds(200);
  return limits;
}

void ExpectOneProblem(const std::string& source, const std::string& expected, const Limits& limits = {}) {
  const std::vector<std::string> problems = Problems(source, limits);
  ASSERT_EQ(problems.size(), 1U) << source.substr(0, 200);
  EXPECT_THAT(problems[0], HasSubstr(expected)) << source.substr(0, 200);
  EXPECT_THAT(problems[0], StartsWith("rules.js:")) << source.substr(0, 200);
}

TEST(Sandbox, AFileThatDoesNotEndIsStopped) {
  const std::string endless[] = {
      "for (;;) {}",
      "for (;;) { try { for (;;) {} } catch (e) {} finally { continue; } }",
      "function defineRule() { while (true); }",
      "export default [() => { for (;;) {} }]",
      "/^(a|a|b?)*$/.test('a'.repeat(40) + 'c'); for (;;) {}",
      "function* numbers() { for (;;) yield 1; } for (const n of numbers()) {}",
      "const a = []; a.length = 2 ** 32 - 1; a.forEach(() => 1); for (;;) {}",
  };
  for (const std::string& source : endless) ExpectOneProblem(source, "take more than 200 ms of CPU time", ShortTime());
}

TEST(Sandbox, AFileThatDoesNotEndIsStoppedWhereItLoops) {
  EXPECT_THAT(
      Problems("function defineRule() {\n  return spin();\n}\nfunction spin() {\n  for (;;) {}\n}\n", ShortTime()),
      ElementsAre(StartsWith("rules.js:5:")));
}

TEST(Sandbox, ValuesThatLoopWhenTheyAreReadAreStopped) {
  const std::string endless[] = {
      "function defineRule() { return {get objective() { for (;;) {} }}; }",
      "function defineRule() { return new Proxy({}, {ownKeys() { for (;;) {} }}); }",
      "function defineRule() { return {objective: new Proxy({}, {getOwnPropertyDescriptor() { for (;;) {} }, ownKeys() "
      "{ "
      "return ['a'] }})}; }",
      "export default new Proxy([1], {get() { for (;;) {} }})",
  };
  for (const std::string& source : endless) ExpectOneProblem(source, "take more than 200 ms of CPU time", ShortTime());
}

// Of this process, since it was last reset.
size_t PeakMegabytes(bool reset) {
  if (reset) std::ofstream("/proc/self/clear_refs") << "5";
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6)) >> 10;
  }
  return 0;
}

TEST(Sandbox, AFileThatEatsMemoryIsStoppedBeforeTheMachineNotices) {
  const std::string hungry[] = {
      "const a = []; for (;;) a.push(new Array(1000).fill(1));",
      "const a = []; for (;;) { try { a.push(new Array(10000).fill(1)); } catch (e) {} }",
      "new Array(2 ** 27).fill(1.5);",
      "let s = 'xy'; while (s.length < 2 ** 29) s += s; s.charCodeAt(5);",
      "const k = []; for (let i = 0;; i++) { const s = (i + 'ab').repeat(2 ** 20); s.charCodeAt(3); k.push(s); }",
      "const m = new Map(); for (let i = 0;; i++) m.set(i, i);",
      "const e = []; for (;;) e.push(new Error('x'));",
      "let b = [1, 2, 3]; for (;;) b = b.concat(b);",
      "new Array(2 ** 31).join('ab');",
      "'a'.repeat(2 ** 24).split('');",
      "'\\u1E9B\\u0323'.repeat(2 ** 24).normalize('NFKD');",
      "function* numbers() { for (;;) yield 1; } Array.from(numbers());",
      "function defineRule() { const o = {}; for (let i = 0; i < 5e6; i++) o['k' + i] = i; return o; }",
  };
  for (const std::string& source : hungry) {
    const size_t before = PeakMegabytes(/*reset=*/true);
    ExpectOneProblem(source, "memory");
    EXPECT_LT(PeakMegabytes(/*reset=*/false), before + 200) << source;
  }
}

TEST(Sandbox, DeepRecursionIsAnErrorWithAPlace) {
  ExpectOneProblem("\nfunction f() { return f() + 1; }\nf();", "rules.js:2:23: InternalError: too much recursion");
  ExpectOneProblem("const o = {get x() { return this.x; }}; o.x;", "too much recursion");
  ExpectOneProblem(std::string(500'000, '['), "too much recursion");
  ExpectOneProblem(
      "JSON.stringify((() => { const o = {}; let x = o; for (let i = 0; i < 1e5; i++) { x.a = {}; x = x.a; } "
      "return o; })())",
      "too much recursion");
}

TEST(Sandbox, WhateverIsThrownIsShown) {
  ExpectOneProblem("throw new TypeError('not today')", "rules.js:1:7: TypeError: not today");
  ExpectOneProblem("throw 'abc'", "rules.js:1:1: threw \"abc\"");
  ExpectOneProblem("throw null", "rules.js:1:1: threw null");
  ExpectOneProblem("throw undefined", "threw undefined");
  ExpectOneProblem("throw Symbol('x')", "threw a Symbol");
  ExpectOneProblem("throw {toString() { for (;;) {} }, get message() { for (;;) {} }}",
                   "threw an object that is no Error");
  ExpectOneProblem("class E extends Error { get name() { for (;;) {} } } throw new E('hello')", "hello");
  ExpectOneProblem("\nfunction defineRule() {\n  throw new Error('no');\n}", "rules.js:3:9: defineRule: Error: no");
  ExpectOneProblem("function defineRule() { return {get objective() { throw new Error('no'); }}; }",
                   "rules.js:1:57: defineRule: Error: no");
  ExpectOneProblem("export default undefinedName", "ReferenceError: undefinedName is not defined");
}

TEST(Sandbox, SyntaxErrorsHaveTheirPlace) {
  ExpectOneProblem("function defineRule() {\n  return {;\n}", "rules.js:2:11: SyntaxError:");
  ExpectOneProblem("export default [\n  {,}\n]", "rules.js:2:4: SyntaxError:");
  ExpectOneProblem("/* \xF0\x9F\x98\x80 */ return {;", "rules.js:1:10: SyntaxError: return not in function");
}

TEST(Sandbox, ThereIsNoClockNoChanceNoLocaleAndNoWayOut) {
  const char* missing[] = {
      "Date",
      "Intl",
      "eval",
      "WebAssembly",
      "SharedArrayBuffer",
      "Atomics",
      "ArrayBuffer",
      "Uint8Array",
      "DataView",
      "WeakRef",
      "FinalizationRegistry",
      "console",
      "print",
      "require",
      "process",
      "fetch",
      "setTimeout",
      "performance",
      "load",
      "read",
      "quit",
      "gc",
      "Reflect.parse",
      "Math.random",
      "''.localeCompare",
      "(1).toLocaleString",
      "[].toLocaleString",
      "({}).toLocaleString",
      "(1n).toLocaleString",
      "''.toLocaleUpperCase",
  };
  for (const char* name : missing) {
    const std::string source = fmt::format(
        "let there; try {{ there = typeof ({}); }} catch (e) {{ there = 'undefined'; }}\n"
        "if (there !== 'undefined') throw new Error('there is {}');\n{}",
        name, std::string(name) == "''.localeCompare" ? "localeCompare" : "it", kGoodRule);
    EXPECT_THAT(Problems(source), ElementsAre()) << name;
  }
}

TEST(Sandbox, CodeIsNotMadeFromText) {
  ExpectOneProblem("Function('return 1')()", "code cannot be made from text");
  ExpectOneProblem("(function () {}).constructor('return 1')()", "code cannot be made from text");
  ExpectOneProblem("(async function () {}).constructor('return 1')()", "code cannot be made from text");
}

TEST(Sandbox, NothingIsAwaitedAndNothingIsImportedLater) {
  ExpectOneProblem("await new Promise(() => {});\nexport default []", "rules cannot wait");
  ExpectOneProblem("async function defineRule() { return {}; }", "got a Promise");
  ExpectOneProblem("function defineRule() { return import('x'); }", "import() is not possible in rules");
  ExpectOneProblem("\nimport {x} from './other.js';\nexport default [x]",
                   "rules.js:2:17: import: there is no file './other.js'");
}

TEST(Sandbox, AFileThatIsNoTextIsRefused) {
  ExpectOneProblem("const a = '\xFF';", "rules.js:1:12: byte 0xff is no UTF-8");
  ExpectOneProblem(std::string("const a = 1;\n\0const b = 2;", 26), "rules.js:2:1: a NUL byte");
  ExpectOneProblem("// \xED\xA0\x80", "rules.js:1:4: byte 0xed is no UTF-8");
  ExpectOneProblem("", "declares no rule");
}

TEST(Sandbox, AHugeFileIsRefusedByItsSizeBeforeItIsRead) {
  TestFolder folder;
  const std::string path = folder.File("huge.js");
  std::ofstream(path).close();
  std::filesystem::resize_file(path, 100U << 20);
  const size_t before = PeakMegabytes(/*reset=*/true);
  const auto files = ReadSourceFiles({path, folder.File("missing.js")});
  EXPECT_EQ(files.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(files.status().message()), HasSubstr("huge.js: 104857600 bytes, the limit is 4194304"));
  EXPECT_THAT(std::string(files.status().message()), HasSubstr("missing.js"));
  EXPECT_LT(PeakMegabytes(/*reset=*/false), before + 20);
}

TEST(Sandbox, FilesSeeNothingOfEachOther) {
  const std::vector<SourceFile> files = {
      {"a.js", std::string("var shared = 1; Array.prototype.map = null; Object.prototype.polluted = 1;\n") + kGoodRule},
      {"b.js",
       "if (typeof shared !== 'undefined' || [].map === null || ({}).polluted) throw new Error('leak');\n"
       "function defineOtherRule() { return {objective: Objectives.Other, defaultModel: {name: 'm'}}; }"}};
  EXPECT_THAT(Problems(files), ElementsAre());
}

TEST(Sandbox, ManyThreadsEvaluateAtOnce) {
  std::vector<std::thread> threads;
  std::vector<std::vector<std::string>> problems(12);
  for (size_t i = 0; i < problems.size(); ++i) {
    threads.emplace_back([&problems, i] {
      const std::string sources[] = {kGoodRule, "for (;;) {}",
                                     "const a = []; for (;;) a.push(new Array(1000).fill(1));"};
      problems[i] = Problems(sources[i % 3], i % 3 == 1 ? ShortTime() : Limits{});
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < problems.size(); i += 3) {
    EXPECT_THAT(problems[i], ElementsAre());
    EXPECT_THAT(problems[i + 1], ElementsAre(HasSubstr("CPU time")));
    EXPECT_THAT(problems[i + 2], ElementsAre(HasSubstr("memory")));
  }
}

// Last, because the thread burns until the process ends: searching a text in a text is one step of the engine.
TEST(Sandbox, AThreadThatNeverComesBackIsLeftBehind) {
  ExpectOneProblem("'a'.repeat(12e6).indexOf('a'.repeat(6e6) + 'b')", "CPU time", ShortTime());
  EXPECT_THAT(Problems(kGoodRule), ElementsAre());
}

}  // namespace
}  // namespace signalbox::rules
