// A gRPC message as it stands in a body. For tests only.
#pragma once

#include <string>

namespace signalbox::testing {

// `message` behind its 5-byte prefix; `flag` 1 claims that it is compressed.
inline std::string GrpcFrame(const std::string& message, char flag = 0) {
  std::string out(1, flag);
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(message.size() >> shift));
  return out + message;
}

}  // namespace signalbox::testing
