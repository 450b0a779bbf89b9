// A process that is gone as soon as its model is asked: crashing_host PORT-FILE. For tests only.
#include <unistd.h>

#include "base/file.h"
#include "fleet/test_host.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  signalbox::fleet::TestHost host;
  signalbox::fleet::TestModel model;
  model.infer = [](const auto&, auto&) -> grpc::Status { _exit(139); };
  host.Have("m@1", model);
  if (!signalbox::WriteFileAtomically(argv[1], fmt::format("{}\n", host.port())).ok()) return 2;
  pause();
  return 0;
}
