#include "rules/engine.h"

#include <fmt/format.h>
#include <pthread.h>
#include <time.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/status.h"
#include "rules/engine_allocations.h"
#include "rules/engine_library.h"
#include "rules/engine_memory.h"
#include "rules/spidermonkey.h"

namespace signalbox::rules {
namespace {

// Scripts get the quota; the rest is for the engine's own work and for ours.
constexpr size_t kStackBytes = 4U << 20;
constexpr size_t kScriptStackBytes = 1U << 20;
// What a script makes goes here first, and what that holds outside of the heap is counted when it leaves.
constexpr uint32_t kNurseryBytes = 1U << 20;
// No single allocation takes more than this part of the memory.
constexpr size_t kAllocationsAtLeast = 4;
// How often the limits are looked at.
constexpr std::chrono::milliseconds kTick{5};
// A few operations inside the engine (searching a huge text for a huge text) do not look at interrupts. A thread that
// has used this much more than its time is left behind.
constexpr std::chrono::milliseconds kGrace{3000};
// Each may hold its heap and a core for as long as the process lives.
constexpr int kLeftBehindMax = 4;
std::atomic<int> left_behind{0};

enum class Stop { kNone, kTime, kMemory };

std::chrono::nanoseconds CpuTime(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// What the engine's thread and the one that waits for it both see.
struct Run {
  LibraryUse library;
  Limits limits;
  std::function<void(JSContext*)> work;
  // Of the engine's thread, until `done`.
  Stop stop = Stop::kNone;
  Diagnostic reached;  // where the script was when it was stopped
  bool started = false;
  const EngineMemory* memory = nullptr;
  // Where the script was when it last ran out of memory; with no file where no script ran.
  Diagnostic out_of_memory;

  std::mutex mutex;
  std::condition_variable changed;
  JSContext* context = nullptr;  // while it may be interrupted
  bool done = false;
};

void Describe(JSContext* context, Diagnostic& place) {
  JS::AutoFilename file;
  JS::DescribeScriptedCaller(context, &file, &place.line, &place.column);
  place.file = file.get() != nullptr ? file.get() : "";
}

// True as long as all is well. Called between two steps of a script.
bool CheckLimits(JSContext* context, Run& run) {
  if (run.stop != Stop::kNone) return false;
  if (run.memory->HeldBytes() > run.limits.heap_bytes_max) {
    JS_GC(context);  // garbage is no reason to end a script
    if (run.memory->HeldBytes() > run.limits.heap_bytes_max) run.stop = Stop::kMemory;
  }
  if (CpuTime(CLOCK_THREAD_CPUTIME_ID) > run.limits.time_max) run.stop = Stop::kTime;
  if (run.stop == Stop::kNone) return true;
  Describe(context, run.reached);
  return false;
}

// Called by the engine soon after it was asked to. False ends the script, and no `catch` sees it.
bool OnInterrupt(JSContext* context) { return CheckLimits(context, *static_cast<Run*>(JS_GetContextPrivate(context))); }

// The exception that comes of it knows no place.
void OnOutOfMemory(JSContext* context, void* run) { Describe(context, static_cast<Run*>(run)->out_of_memory); }

struct DestroyContext {
  void operator()(JSContext* context) const { JS_DestroyContext(context); }
};

bool Prepare(JSContext* context, Run& run) {
  JS_SetContextPrivate(context, &run);
  JS_SetNativeStackQuota(context, kScriptStackBytes);
  JS_SetGCParameter(context, JSGC_MAX_NURSERY_BYTES, kNurseryBytes);
  JS::SetOutOfMemoryCallback(context, OnOutOfMemory, &run);
  JS::ContextOptionsRef(context).setAsmJS(false).setWasm(false).setSourcePragmas(false);
  return js::UseInternalJobQueues(context) && JS::InitSelfHostedCode(context) &&
         JS_AddInterruptCallback(context, OnInterrupt);
}

void SetContext(Run& run, JSContext* context) {
  std::lock_guard lock(run.mutex);
  run.context = context;
}

void RunOnThisThread(Run& run) {
  const AllocationLimit limit(run.limits.heap_bytes_max / kAllocationsAtLeast);
  std::unique_ptr<JSContext, DestroyContext> context(JS_NewContext(static_cast<uint32_t>(run.limits.heap_bytes_max)));
  if (context == nullptr || !Prepare(context.get(), run)) return;
  const EngineMemory memory(context.get());
  if (!memory.is_ready()) return;
  run.memory = &memory;
  run.started = true;
  SetContext(run, context.get());
  run.work(context.get());
  SetContext(run, nullptr);
  run.work = nullptr;
}

void* ThreadMain(void* argument) {
  const std::unique_ptr<std::shared_ptr<Run>> owned(static_cast<std::shared_ptr<Run>*>(argument));
  const std::shared_ptr<Run> run = *owned;
  RunOnThisThread(*run);
  std::lock_guard lock(run->mutex);
  run->done = true;
  run->changed.notify_one();
  return nullptr;
}

absl::StatusOr<pthread_t> Start(const std::shared_ptr<Run>& run) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  auto* argument = new std::shared_ptr<Run>(run);
  pthread_t thread{};
  const int error = pthread_create(&thread, &attributes, ThreadMain, argument);
  pthread_attr_destroy(&attributes);
  if (error == 0) return thread;
  delete argument;
  return absl::ErrnoToStatus(error, "start a thread for rules");
}

// True when the thread has ended, false when it had to be left behind.
bool Wait(Run& run, pthread_t thread) {
  clockid_t clock{};
  const bool has_clock = pthread_getcpuclockid(thread, &clock) == 0;
  std::unique_lock lock(run.mutex);
  while (!run.changed.wait_for(lock, kTick, [&] { return run.done; })) {
    if (run.context != nullptr) JS_RequestInterruptCallback(run.context);
    if (has_clock && CpuTime(clock) > run.limits.time_max + kGrace) return false;
  }
  return true;
}

Diagnostic Because(std::string message) { return {"", 0, 0, std::move(message)}; }

std::string TimeIsUp(const Limits& limits) {
  return fmt::format(
      "the rules take more than {} ms of CPU time, the limit of a whole rule set; look for a loop that does not end",
      limits.time_max.count());
}

std::string MemoryIsUsedUp(const Limits& limits) {
  return fmt::format("the rules need more than {} bytes of memory, the limit of a whole rule set",
                     limits.heap_bytes_max);
}

}  // namespace

bool IsStopped(JSContext* context) { return static_cast<Run*>(JS_GetContextPrivate(context))->stop != Stop::kNone; }

OutOfMemory LastOutOfMemory(JSContext* context) {
  const Run& run = *static_cast<Run*>(JS_GetContextPrivate(context));
  return {.place = run.out_of_memory, .heap_bytes_max = run.limits.heap_bytes_max};
}

std::optional<Diagnostic> RunWithEngine(const Limits& limits, std::function<void(JSContext*)> work) {
  if (left_behind >= kLeftBehindMax) {
    return Because(fmt::format(
        "{} earlier rule sets do not end and still run; restart the process to check rules again", left_behind.load()));
  }
  auto run = std::make_shared<Run>();
  if (absl::Status status = run->library.Start(); !status.ok()) return Because(std::string(Message(status)));
  run->limits = limits;
  run->work = std::move(work);
  const absl::StatusOr<pthread_t> thread = Start(run);
  if (!thread.ok()) return Because(std::string(Message(thread.status())));
  if (!Wait(*run, *thread)) {
    ++left_behind;
    pthread_detach(*thread);
    return Because(TimeIsUp(limits));
  }
  pthread_join(*thread, nullptr);
  if (!run->started) return Because("the JavaScript engine could not be started: not enough memory");
  if (run->stop == Stop::kNone) return std::nullopt;
  run->reached.message = run->stop == Stop::kTime ? TimeIsUp(limits) : MemoryIsUsedUp(limits);
  return run->reached;
}

}  // namespace signalbox::rules
