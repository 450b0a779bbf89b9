// Machines for tests that cut them off from one another: each is a network namespace, on a link of its own to a router
// that forwards between them. A cut is a rule of the router, for packets from one machine to another: they vanish, as
// on a line that is broken, and nobody is told. It has a direction.
//
// The router is the network of the test itself, which is private to its process: nothing is seen or changed outside,
// and all of it ends with the process.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace signalbox {

class SeparateMachines {
 public:
  // Takes this process to a network of its own, which needs root, or user namespaces, and `ip` (package iproute2).
  // Before it has a second thread. The error says what is missing.
  static absl::Status EnterPrivateNetwork();

  // In that network. Fails the test when one cannot be made.
  explicit SeparateMachines(const std::vector<std::string>& names);
  SeparateMachines(const SeparateMachines&) = delete;
  SeparateMachines& operator=(const SeparateMachines&) = delete;

  std::string AddressOf(const std::string& name) const;
  // What a command on that machine begins with.
  std::vector<std::string> CommandPrefix(const std::string& name) const;

  // Nothing goes from any of these to any of those until Heal. All at once.
  void Cut(const std::vector<std::string>& from, const std::vector<std::string>& to);
  // In both directions.
  void CutApart(const std::vector<std::string>& some, const std::vector<std::string>& others);
  void Heal();

 private:
  void Change(const std::string& verb, const std::vector<std::pair<std::string, std::string>>& pairs);

  const std::vector<std::string> names_;
  std::vector<std::pair<std::string, std::string>> cuts_;
};

}  // namespace signalbox
