#include "rules/engine.h"

#include <fmt/format.h>
#include <js/Context.h>
#include <js/ContextOptions.h>
#include <js/GCAPI.h>
#include <js/Initialization.h>
#include <js/Interrupt.h>
#include <js/Stack.h>
#include <jsapi.h>
#include <jsfriendapi.h>
#include <pthread.h>
#include <time.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/status.h"
#include "rules/engine_library.h"

namespace signalbox::rules {
namespace {

// Scripts get the quota; the rest is for the engine's own work and for ours.
constexpr size_t kStackBytes = 4U << 20;
constexpr size_t kScriptStackBytes = 1U << 20;
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
  Stop stop = Stop::kNone;  // of the engine's thread until `done`
  bool started = false;     // the same

  std::mutex mutex;
  std::condition_variable changed;
  JSContext* context = nullptr;  // while it may be interrupted
  bool done = false;
};

// Garbage counts: what the engine holds, not what the script can reach.
size_t HeldBytes(JSContext* context) { return JS_GetGCParameter(context, JSGC_BYTES); }

// Called by the engine between two steps of a script, soon after it was asked to. False ends the script, and no `catch`
// sees it.
bool OnInterrupt(JSContext* context) {
  auto* run = static_cast<Run*>(JS_GetContextPrivate(context));
  if (run->stop == Stop::kNone && CpuTime(CLOCK_THREAD_CPUTIME_ID) > run->limits.time_max) run->stop = Stop::kTime;
  if (run->stop == Stop::kNone && HeldBytes(context) > run->limits.heap_bytes_max) run->stop = Stop::kMemory;
  return run->stop == Stop::kNone;
}

struct DestroyContext {
  void operator()(JSContext* context) const { JS_DestroyContext(context); }
};

void RunOnThisThread(Run& run) {
  std::unique_ptr<JSContext, DestroyContext> context(JS_NewContext(static_cast<uint32_t>(run.limits.heap_bytes_max)));
  if (context == nullptr) return;
  JS_SetContextPrivate(context.get(), &run);
  JS_SetNativeStackQuota(context.get(), kScriptStackBytes);
  JS::ContextOptionsRef(context.get()).setAsmJS(false).setWasm(false).setSourcePragmas(false);
  if (!js::UseInternalJobQueues(context.get()) || !JS::InitSelfHostedCode(context.get())) return;
  if (!JS_AddInterruptCallback(context.get(), OnInterrupt)) return;
  run.started = true;
  {
    std::lock_guard lock(run.mutex);
    run.context = context.get();
  }
  run.work(context.get());
  {
    std::lock_guard lock(run.mutex);
    run.context = nullptr;
  }
}

void* ThreadMain(void* argument) {
  const std::unique_ptr<std::shared_ptr<Run>> owned(static_cast<std::shared_ptr<Run>*>(argument));
  const std::shared_ptr<Run> run = *owned;
  RunOnThisThread(*run);
  run->work = nullptr;
  std::lock_guard lock(run->mutex);
  run->done = true;
  run->changed.notify_one();
  return nullptr;
}

absl::StatusOr<pthread_t> Start(const std::shared_ptr<Run>& run) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  auto argument = std::make_unique<std::shared_ptr<Run>>(run);
  pthread_t thread{};
  const int error = pthread_create(&thread, &attributes, ThreadMain, argument.get());
  pthread_attr_destroy(&attributes);
  if (error != 0) return absl::ErrnoToStatus(error, "start a thread for rules");
  argument.release();
  return thread;
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

absl::Status TimeIsUp(const Limits& limits) {
  return absl::ResourceExhaustedError(
      fmt::format("the rules take more than {} ms of CPU time, the limit of a whole rule set; look for a loop that "
                  "does not end",
                  limits.time_max.count()));
}

}  // namespace

bool IsStopped(JSContext* context) { return static_cast<Run*>(JS_GetContextPrivate(context))->stop != Stop::kNone; }

absl::Status RunWithEngine(const Limits& limits, std::function<void(JSContext*)> work) {
  if (left_behind >= kLeftBehindMax) {
    return absl::ResourceExhaustedError(fmt::format(
        "{} earlier rule sets do not end and still run; restart the process to check rules again", left_behind.load()));
  }
  auto run = std::make_shared<Run>();
  RETURN_IF_ERROR(run->library.Start());
  run->limits = limits;
  run->work = std::move(work);
  ASSIGN_OR_RETURN(const pthread_t thread, Start(run));
  if (!Wait(*run, thread)) {
    ++left_behind;
    pthread_detach(thread);
    return TimeIsUp(limits);
  }
  pthread_join(thread, nullptr);
  if (!run->started) return absl::InternalError("the JavaScript engine could not be started: not enough memory");
  if (run->stop == Stop::kTime) return TimeIsUp(limits);
  if (run->stop == Stop::kMemory) {
    return absl::ResourceExhaustedError(fmt::format(
        "the rules need more than {} bytes of memory, the limit of a whole rule set", limits.heap_bytes_max));
  }
  return absl::OkStatus();
}

}  // namespace signalbox::rules
