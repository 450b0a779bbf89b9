#include "decide/routing_key.h"

#include "base/hash.h"

namespace signalbox::decide {

std::string RoutingKey(std::string_view model_id) {
  constexpr uint64_t kSeed = 0x726f7574696e6731;  // "routing1": keys have nothing to do with buckets
  constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuv";
  uint64_t hash = StableHash64(model_id, kSeed);
  std::string key = "rk-";
  for (int shift = 60; shift >= 0; shift -= 5) key.push_back(kDigits[(hash >> shift) & 31]);
  return key;
}

}  // namespace signalbox::decide
