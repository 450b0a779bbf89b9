// What shadow copies may take, so that live traffic never notices them.
#pragma once

#include <chrono>
#include <cstdint>

namespace signalbox::proxy {

struct ShadowLimits {
  // Copies under way, in each worker, and in each worker for one Objective. What is over it is not sent. 0: none is.
  uint32_t copies_max = 256;
  uint32_t objective_copies_max = 64;
  // Bodies and answers that are kept for them, the same way. A copy that needs more is given up.
  uint64_t bytes_max = 64 << 20;
  uint64_t objective_bytes_max = 16 << 20;
  // Of one answer, live or shadow. Longer ones are not compared.
  uint64_t answer_bytes_max = 256 << 10;
  // What a client has to complete the body, then the shadow to answer, then the live request to end.
  std::chrono::milliseconds timeout{10'000};
};

}  // namespace signalbox::proxy
