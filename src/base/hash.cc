#include "base/hash.h"

#include <openssl/sha.h>
// Inlined: what is hashed has some ten bytes, and another call would take as long as the hash.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>

namespace signalbox {
namespace {
constexpr char kDigits[] = "0123456789abcdef";
}  // namespace

std::string Sha256Hex(std::string_view content) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(content.data()), content.size(), digest.data());
  std::string hex;
  hex.reserve(2 * digest.size());
  for (unsigned char byte : digest) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

uint64_t StableHash64(std::string_view text, uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

void WriteHex64(uint64_t value, char* out) {
  for (int i = 15; i >= 0; --i) {
    out[i] = kDigits[value & 15];
    value >>= 4;
  }
}

std::string Hex64(uint64_t value) {
  std::string hex(16, '0');
  WriteHex64(value, hex.data());
  return hex;
}

}  // namespace signalbox
