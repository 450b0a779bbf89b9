#include "rules/rule_tests.h"

#include <memory>
#include <optional>

#include "rules/engine.h"
#include "rules/expectation_functions.h"
#include "rules/rule_modules.h"
#include "rules/source_check.h"

namespace signalbox::rules {
namespace {

// What the engine's thread works on. Shared with it, because a thread that does not end is left behind.
struct Job {
  std::vector<SourceFile> files;
  std::vector<RuleTest> tests;
  std::vector<Diagnostic> problems;
};

void RunTestFile(JSContext* context, Job& job) {
  const SourceTexts texts(job.files);
  TestRecorder recorder(context, texts, job.files[0].path);
  RuleModules modules(context, job.files, texts, job.problems, &recorder);
  modules.Run();
  if (IsStopped(context) || modules.StateOf(0) != RuleModules::State::kReady) return;
  JSAutoRealm realm(context, modules.global());
  recorder.RunTests();
  job.tests = recorder.TakeTests();
}

}  // namespace

TestFile EvaluateTests(std::span<const SourceFile> files, const Limits& limits) {
  TestFile result{.path = files[0].path, .tests = {}, .problems = CheckSources(files, limits)};
  if (!result.problems.empty()) return result;
  auto job = std::make_shared<Job>();
  job->files.assign(files.begin(), files.end());
  if (std::optional<Diagnostic> ended =
          RunWithEngine(limits, [job](JSContext* context) { RunTestFile(context, *job); })) {
    // The job may belong to a thread that was left behind.
    result.problems.push_back(Placed(*std::move(ended), files));
    return result;
  }
  result.tests = std::move(job->tests);
  result.problems = std::move(job->problems);
  SortAndShorten(result.problems);
  if (result.tests.empty() && result.problems.empty())
    result.problems.push_back(
        {result.path, 1, 1, "has no test; add test('...', () => { expect({...}).model('...'); })"});
  return result;
}

}  // namespace signalbox::rules
