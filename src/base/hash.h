// The two hashes of the house: one for identity, one for spreading.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace signalbox {

// SHA-256 as 64 lower-case hex digits. For content that must be told apart for certain: rule sets, snapshots.
std::string Sha256Hex(std::string_view content);

// XXH3-64 of `text` under `seed`. The same in every process, release and platform; allocation and routing keys rest on
// it. Not for secrets, and not against an adversary who can choose many inputs.
uint64_t StableHash64(std::string_view text, uint64_t seed = 0);

// 16 lower-case hex digits, most significant first.
std::string Hex64(uint64_t value);
// The same into a buffer of at least 16 bytes, without a terminating zero. Allocation-free.
void WriteHex64(uint64_t value, char* out);

}  // namespace signalbox
