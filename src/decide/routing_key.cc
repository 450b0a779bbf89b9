#include "decide/routing_key.h"

#include <cstdint>

#include "base/hash.h"

namespace signalbox::decide {
namespace {

// Fixed for ever: keys of snapshots that are on disk and in proxies' tables must not change. ASCII "routekey".
constexpr uint64_t kSeed = 0x726f7574656b6579;
constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
// 64 bits at 5 bits a character.
constexpr int kCharacters = 13;

}  // namespace

std::string RoutingKey(std::string_view model_id) {
  uint64_t hash = StableHash64(model_id, kSeed);
  std::string key = "rk-";
  for (int i = 0; i < kCharacters; ++i) {
    key.push_back(kAlphabet[hash & 31]);
    hash >>= 5;
  }
  return key;
}

}  // namespace signalbox::decide
