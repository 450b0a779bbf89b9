#include "cli/demo/hints.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace signalbox::cli {
namespace {

bool IsPlain(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("/._-+:=@%").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

// As one word for a POSIX shell.
std::string Quoted(const std::string& text) {
  if (IsPlain(text)) return text;
  std::string quoted = "'";
  for (char c : text) c == '\'' ? quoted.append("'\\''") : quoted.append(1, c);
  return quoted + "'";
}

}  // namespace

std::string Hints(const HintOptions& options, const DemoSystem& system) {
  const std::string program = Quoted(options.program);
  const std::string rules = Quoted(options.rules_folder) + "/*.js";
  const std::string canary = Quoted(options.canary_folder);
  const std::string store =
      fmt::format("--store {} --namespace {}", Quoted("sqlite:" + system.paths().store), kDemoNamespace);
  std::string text = "Try, in another terminal in this folder:\n";
  auto add = [&](std::string_view what, const std::string& command) {
    text += fmt::format("  {}\n    {}\n", what, command);
  };
  add("a canary: a tenth of HomePageRanking's users get title-ranker@3 (1, 10, 50 and 100 percent are there)",
      fmt::format("{} rules publish {} {}/10-percent.js {} --message 'canary at 10 %'", program, rules, canary, store));
  add("what was published, and, after the canary, a rollback to the version before it",
      fmt::format("{} rules history {} && {} rules rollback {}", program, store, program, store));
  add("an explanation: why this user gets this model",
      fmt::format("{} resolve --rules {} {}/10-percent.js --namespace {} --objective HomePageRanking "
                  "--user user-42 --country US --device tv --explain",
                  program, rules, canary, kDemoNamespace));
  add("how far the rollout of what was published is, and where its models are",
      fmt::format("{} rollout status {} && {} placement show --store {}", program, store, program,
                  Quoted("sqlite:" + system.paths().store)));
  add("the proxy's counters, and what it runs", fmt::format("curl -s http://{}/metrics && curl -s http://{}/snapshot",
                                                            system.admin_address(), system.admin_address()));
  add("the decisions, one JSON record a request", fmt::format("tail -n 3 {}", Quoted(system.paths().decision_log)));
  return text;
}

}  // namespace signalbox::cli
