// Real members of etcd, on ports that are free. For tests only.
#pragma once

#include <signal.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/child_process.h"
#include "base/test_folder.h"
#include "store/etcd_store.h"

namespace signalbox::store {

// Where a member runs.
struct EtcdMachine {
  std::string address = "127.0.0.1";
  // What etcd is run by, as in {"nsenter", "--net=..."}; a program's full path first.
  std::vector<std::string> command_prefix = {};
};

// A cluster of its own, which ends with this object.
class TestEtcd {
 public:
  // Waits until it answers. Fails the test when it does not.
  explicit TestEtcd(int members = 1, std::vector<std::string> more_arguments = {});
  // A member on each machine.
  explicit TestEtcd(std::vector<EtcdMachine> machines, std::vector<std::string> more_arguments = {});

  const std::vector<std::string>& endpoints() const { return endpoints_; }
  // "HOST:PORT,..." of all members.
  std::string Endpoints() const;
  EtcdOptions Options(std::string prefix = "signalbox") const;

  // SIGKILL.
  void Kill(size_t member);
  // Starts a killed one again, with what it had stored, on the same port.
  void Restart(size_t member);
  // The same, without waiting until it answers: alone, one of several does not.
  void StartMember(size_t member);
  // SIGSTOP and SIGCONT: a member that says nothing, and does not close its connections.
  void Freeze(size_t member) { members_[member]->Signal(SIGSTOP); }
  void Thaw(size_t member) { members_[member]->Signal(SIGCONT); }
  // Which member leads; nullopt while none does.
  std::optional<size_t> Leader() const;

 private:
  bool Start();
  // False when one of these members has ended.
  bool WaitForLeader(size_t first, size_t end);

  TestFolder folder_;
  const std::vector<EtcdMachine> machines_;
  const std::vector<std::string> more_arguments_;
  std::vector<std::string> endpoints_;
  std::vector<std::string> peers_;
  std::vector<std::optional<ChildProcess>> members_;
};

}  // namespace signalbox::store
