#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/unix_time.h"
#include "cli/published_rules.h"
#include "cli/top/admin_pages.h"
#include "cli/top/terminal.h"
#include "cli/top/view_text.h"
#include "cli/top_command.h"
#include "fleet/address.h"

namespace signalbox::cli {
namespace {

using std::chrono::milliseconds;
using Clock = AdminPages::Clock;

struct TopOptions {
  std::string admin = "127.0.0.1:9090";
  double interval_s = 2;
  bool once = false;
  int64_t samples_max = 0;  // 0: no end
  bool json = false;
  std::string sort = "rate";
  std::string objective;
};

// Signals as something to wait for together with answers and keys. Made before the first thread is started.
class SignalFile {
 public:
  explicit SignalFile(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals) sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    file_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  }
  ~SignalFile() { close(file_); }
  SignalFile(const SignalFile&) = delete;
  SignalFile& operator=(const SignalFile&) = delete;

  int file() const { return file_; }
  // The next one that came; 0 when there is none.
  int Take() const {
    signalfd_siginfo info{};
    return read(file_, &info, sizeof(info)) == sizeof(info) ? static_cast<int>(info.ssi_signo) : 0;
  }

 private:
  int file_ = -1;
};

// One run: asks, shows, waits for the interval or for a key, and asks again.
class Top {
 public:
  Top(const TopOptions& options, const std::vector<std::string>& addresses, SortBy sort, bool is_interactive)
      : options_(options),
        interval_(static_cast<int64_t>(options.interval_s * 1000)),
        is_interactive_(is_interactive),
        signals_(is_interactive ? std::initializer_list<int>{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP}
                                : std::initializer_list<int>{SIGINT, SIGTERM}),
        pages_(addresses) {
    frame_.sort = sort;
    frame_.objective = options.objective;
  }

  // Whether a proxy answered at the end.
  absl::StatusOr<bool> Run() {
    if (is_interactive_) {
      terminal_.emplace(WantsColours());
      TakeRound();
      Draw();
    }
    while (true) {
      const Clock::time_point next = Clock::now() + interval_;
      pages_.Start(AnswerTimeout());
      while (!is_over_ && !pages_.Work()) WaitFor(kLookInterval);
      if (is_over_) return true;
      TakeRound();
      RETURN_IF_ERROR(Show());
      while (!is_over_ && Clock::now() < next) {
        WaitFor(std::chrono::ceil<milliseconds>(next - Clock::now()));
      }
      if (is_over_) return is_interactive_ || Answers();
    }
  }

 private:
  // While answers are awaited; curl's own timers are within it.
  static constexpr milliseconds kLookInterval{250};

  milliseconds AnswerTimeout() const {
    return std::clamp<milliseconds>(2 * interval_, milliseconds(2000), milliseconds(10'000));
  }

  bool Answers() const {
    return std::any_of(frame_.proxies.begin(), frame_.proxies.end(),
                       [](const ProxyState& proxy) { return proxy.error.empty(); });
  }

  void WaitFor(milliseconds timeout) {
    const int files[] = {signals_.file(), STDIN_FILENO};
    pages_.Wait(timeout, std::span(files, is_interactive_ ? 2U : 1U));
    while (const int signal = signals_.Take()) OnSignal(signal);
    if (is_interactive_ && !is_over_) ReadKeys();
  }

  void OnSignal(int signal) {
    if (signal == SIGWINCH) {
      Draw();
    } else if (signal == SIGTSTP) {
      terminal_->Leave();
      kill(getpid(), SIGSTOP);
      terminal_->Enter();
      Draw();
    } else {
      is_over_ = true;
    }
  }

  void ReadKeys() {
    char bytes[256];
    const ssize_t count = read(STDIN_FILENO, bytes, sizeof(bytes));  // does not wait: see Terminal
    if (count <= 0) return;
    const std::vector<Key> keys = keys_.Read({bytes, static_cast<size_t>(count)});
    for (const Key key : keys) OnKey(key);
    if (!keys.empty() && !is_over_) Draw();
  }

  void OnKey(Key key) {
    const size_t page = std::max<size_t>(SizeOfTerminal().rows / 2, 1);
    switch (key) {
      case Key::kQuit:
        is_over_ = true;
        break;
      case Key::kSort:
        frame_.sort = static_cast<SortBy>((static_cast<size_t>(frame_.sort) + 1) % kSortNames.size());
        break;
      case Key::kObjective:
        ToNextObjective();
        break;
      case Key::kUp:
        scroll_ -= std::min<size_t>(scroll_, 1);
        break;
      case Key::kDown:
        scroll_ += 1;
        break;
      case Key::kPageUp:
        scroll_ -= std::min(scroll_, page);
        break;
      case Key::kPageDown:
        scroll_ += page;
        break;
      case Key::kHome:
        scroll_ = 0;
        break;
      case Key::kEnd:
        scroll_ = kScrollMax;
        break;
    }
    scroll_ = std::min(scroll_, kScrollMax);
  }

  // One after the other, and all after the last.
  void ToNextObjective() {
    const std::vector<std::string> names = ObjectivesOf(rates_);  // in order
    const auto next =
        frame_.objective.empty() ? names.begin() : std::upper_bound(names.begin(), names.end(), frame_.objective);
    frame_.objective = next == names.end() ? "" : *next;
    scroll_ = 0;
  }

  // What came of the round that is over.
  void TakeRound() {
    rates_ = {};
    frame_.proxies.clear();
    frame_.unix_ms = NowUnixMs();
    for (const AdminPages::Proxy& proxy : pages_.proxies()) {
      const auto silent = std::chrono::duration_cast<milliseconds>(Clock::now() - proxy.good_at);
      frame_.proxies.push_back({proxy.address, std::string(Message(proxy.status)), silent});
      if (proxy.status.ok()) Join(proxy.rates, rates_);
    }
    ++rounds_;
  }

  absl::Status Show() {
    if (is_interactive_) {
      Draw();
      return absl::OkStatus();
    }
    // The first round is what the second is compared with.
    if (rounds_ == 1) {
      if (Answers()) return absl::OkStatus();
      std::string errors;
      for (const ProxyState& proxy : frame_.proxies) {
        errors += fmt::format("{}proxy {} does not answer: {}", errors.empty() ? "" : "\n", proxy.address, proxy.error);
      }
      return absl::UnavailableError(errors);
    }
    frame_.view = ViewOf(rates_, frame_.sort, frame_.objective);
    Print();
    if (options_.samples_max > 0 && static_cast<int64_t>(rounds_) > options_.samples_max) is_over_ = true;
    return absl::OkStatus();
  }

  void Print() const {
    if (options_.json) {
      fmt::print("{}\n", ToJson(frame_).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    } else {
      const size_t width = isatty(STDOUT_FILENO) == 1 ? SizeOfTerminal().columns : 0;
      if (rounds_ > 2) fmt::print("\n");
      for (const auto& lines : {HeadLines(frame_, width), TableLines(frame_, width)}) {
        for (const ViewLine& line : lines) fmt::print("{}\n", line.text);
      }
    }
    std::fflush(stdout);
  }

  void Draw() {
    const TerminalSize size = SizeOfTerminal();
    frame_.view = ViewOf(rates_, frame_.sort, frame_.objective);
    if (!terminal_->Draw(ScreenLines(frame_, size.columns, size.rows, scroll_), size)) is_over_ = true;
  }

  static constexpr size_t kScrollMax = 1'000'000;  // beyond any table; ScreenLines brings it within bounds

  const TopOptions& options_;
  const milliseconds interval_;
  const bool is_interactive_;
  SignalFile signals_;
  AdminPages pages_;
  std::optional<Terminal> terminal_;
  KeyReader keys_;
  TrafficValues rates_;
  ViewFrame frame_;
  size_t rounds_ = 0;
  size_t scroll_ = 0;
  bool is_over_ = false;
};

absl::StatusOr<bool> Run(TopOptions options) {
  ASSIGN_OR_RETURN(const std::vector<std::string> addresses, fleet::ReadAddresses("--admin", options.admin));
  if (std::set(addresses.begin(), addresses.end()).size() < addresses.size()) {
    return absl::InvalidArgumentError(
        fmt::format("--admin {}: an address stands there twice, expected each proxy once", options.admin));
  }
  const auto sort = std::find(kSortNames.begin(), kSortNames.end(), options.sort);
  if (options.once) options.samples_max = 1;
  const bool is_interactive = !options.json && options.samples_max == 0 && IsDrawable();
  return Top(options, addresses, static_cast<SortBy>(sort - kSortNames.begin()), is_interactive).Run();
}

}  // namespace

void AddTop(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<TopOptions>();
  CLI::App* command = app.add_subcommand("top",
                                         "What proxies do now: rates, shares, latency, limits, refusals, fallbacks, "
                                         "shadows, by Objective and model; hosts");
  command->add_option("--admin", options->admin, "HOST:PORT[,HOST:PORT...] of proxies' --admin; several are summed")
      ->capture_default_str();
  command->add_option("--interval", options->interval_s, "Seconds between two looks")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  CLI::Option* once = command->add_flag("--once", options->once, "Print one table, of one interval, and end");
  command
      ->add_option("--count", options->samples_max,
                   "Print so many and end; without it, and where there is no terminal, until stopped")
      ->check(CLI::PositiveNumber)
      ->excludes(once);
  command->add_flag("--json", options->json, "Print JSON: one object a line for each interval; also for errors");
  command->add_option("--sort", options->sort, "What stands first: the most of this, or name")
      ->capture_default_str()
      ->check(CLI::IsMember(std::vector<std::string>(kSortNames.begin(), kSortNames.end())));
  command->add_option("--objective", options->objective, "Only this Objective; hosts are shown all the same");
  command->footer(
      "In a terminal it goes on until q or Ctrl-C; s sorts by the next column, o shows one Objective after the other, "
      "arrows and page keys scroll. NO_COLOR is respected.\n"
      "open: requests under way; limit: the fullest adaptive concurrency limit; ref/s: refused; fallb/s: fallbacks; "
      "lost/s: shadow copies not sent or given up. '-': the proxy does not say.\n"
      "Exit code 2 when no proxy answers at the start or at the end.");
  command->callback([options, &outcome] {
    const absl::StatusOr<bool> answered = Run(*options);
    if (!answered.ok()) {
      outcome.exit_code = Fail("top", answered.status(), options->json);
    } else if (!*answered) {
      outcome.exit_code = 2;
    }
  });
}

}  // namespace signalbox::cli
