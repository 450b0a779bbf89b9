#include "tests/support/separate_machines.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "tests/support/real_processes.h"

namespace signalbox {
namespace {

constexpr char kRouter[] = "10.77.0.254";
constexpr char kIp[] = "/sbin/ip";
constexpr char kEnter[] = "/usr/bin/nsenter";
constexpr size_t kMachinesMax = 250;  // in the last byte of an address, beside the router's

absl::Status Missing(const std::string& what) {
  return absl::FailedPreconditionError(
      fmt::format("cannot make a network of its own: {}; run scripts/setup, then this test as root, or where user "
                  "namespaces are allowed",
                  what));
}

// In the user namespace that was just entered, whoever runs this is root.
void BecomeRoot(uid_t user, gid_t group) {
  std::ofstream("/proc/self/setgroups") << "deny";
  std::ofstream("/proc/self/uid_map") << "0 " << user << " 1";
  std::ofstream("/proc/self/gid_map") << "0 " << group << " 1";
}

}  // namespace

absl::Status SeparateMachines::EnterPrivateNetwork() {
  for (const char* program : {kIp, kEnter}) {
    if (access(program, X_OK) != 0) return Missing(fmt::format("{}: {}", program, strerror(errno)));
  }
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0) {
      return Missing(fmt::format("unshare: {}", strerror(errno)));
    }
    BecomeRoot(user, group);
  }
  // `ip netns` keeps its names in /run/netns, which others must not see.
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("none", "/run", "tmpfs", 0, nullptr) != 0) {
    return Missing(fmt::format("mount: {}", strerror(errno)));
  }
  const CommandResult made = RunShell(fmt::format(
      "{0} link set lo up && {0} address add {1}/32 dev lo && echo 1 > /proc/sys/net/ipv4/ip_forward", kIp, kRouter));
  return made.exit_code == 0 ? absl::OkStatus() : Missing(made.output);
}

SeparateMachines::SeparateMachines(const std::vector<std::string>& names) : names_(names) {
  EXPECT_LE(names.size(), kMachinesMax);
  std::string script = "set -e\n";
  for (size_t i = 0; i < names_.size(); ++i) {
    // Names of links have 15 characters at most: they have numbers.
    script += fmt::format(
        "{0} netns add {1}\n"
        "{0} link add v{2} type veth peer name eth0 netns {1}\n"
        "{0} link set v{2} up\n"
        "{0} route add {3}/32 dev v{2} src {4}\n"
        "{0} -n {1} link set lo up\n"
        "{0} -n {1} address add {3}/32 dev eth0\n"
        "{0} -n {1} link set eth0 up\n"
        "{0} -n {1} route add default via {4} dev eth0 onlink\n",
        kIp, names_[i], i, AddressOf(names_[i]), kRouter);
  }
  const CommandResult made = RunShell(fmt::format("true; {}", script));
  EXPECT_EQ(made.exit_code, 0) << made.output;
}

std::string SeparateMachines::AddressOf(const std::string& name) const {
  const auto found = std::find(names_.begin(), names_.end(), name);
  EXPECT_NE(found, names_.end()) << "no machine " << name;
  return fmt::format("10.77.0.{}", found - names_.begin() + 1);
}

std::vector<std::string> SeparateMachines::CommandPrefix(const std::string& name) const {
  return {kEnter, "--net=/run/netns/" + name};
}

void SeparateMachines::Change(const std::string& verb, const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string script = "set -e\n";
  for (const auto& [from, to] : pairs) {
    script += fmt::format("{} rule {} from {} to {} blackhole\n", kIp, verb, AddressOf(from), AddressOf(to));
  }
  const CommandResult changed = RunShell(fmt::format("true; {}", script));
  EXPECT_EQ(changed.exit_code, 0) << changed.output;
}

void SeparateMachines::Cut(const std::vector<std::string>& from, const std::vector<std::string>& to) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& one : from) {
    for (const std::string& other : to) pairs.emplace_back(one, other);
  }
  Change("add", pairs);
  cuts_.insert(cuts_.end(), pairs.begin(), pairs.end());
}

void SeparateMachines::CutApart(const std::vector<std::string>& some, const std::vector<std::string>& others) {
  Cut(some, others);
  Cut(others, some);
}

void SeparateMachines::Heal() {
  Change("del", cuts_);
  cuts_.clear();
}

}  // namespace signalbox
