// Names that all have one std::hash with libstdc++ (MurmurHash64A with a known seed): what a client can send
// who knows that a table is not seeded.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

namespace limpet::growth {

/// The `number`th of them, 16 bytes. Of its two words the first is the number, and the second makes good for
/// it: each step of the hash can be undone.
inline std::string colliding_name(std::uint64_t number) {
  constexpr std::uint64_t kMultiplier = 0xc6a4a7935bd1e995u;
  constexpr std::uint64_t kUndo = 0x5f7a0ea7e59b19bdu;  // kMultiplier * kUndo == 1
  static_assert(kMultiplier * kUndo == 1);
  constexpr std::uint64_t kSeed = 0xc70f6907u;
  constexpr std::uint64_t kWanted = 0x6c696d706574u;                              // any number
  const auto shift_mix = [](std::uint64_t word) { return word ^ (word >> 47); };  // its own inverse
  const std::uint64_t first = shift_mix(number * kMultiplier) * kMultiplier;
  const std::uint64_t state = ((kSeed ^ (16 * kMultiplier)) ^ first) * kMultiplier;
  const std::uint64_t second = shift_mix((kWanted ^ state) * kUndo) * kUndo;
  std::string name(16, '\0');
  std::memcpy(name.data(), &number, sizeof number);
  std::memcpy(name.data() + sizeof number, &second, sizeof second);
  return name;
}

}  // namespace limpet::growth
