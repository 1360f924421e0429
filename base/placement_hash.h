// Which slot gets the new clients of an address, as a hash: the kernel's program
// (supervisor/listen/routing_program.h) and the workers (worker/slot/placement.h) compute the same from these
// numbers. Rendezvous hashing: the slot that weighs most, the lowest of those that weigh the same. So a slot
// more takes its share from all others, and a slot less gives only its own away.
//
// Seeded for each cluster, or whoever has many addresses (an IPv6 /64 has 2^64) could look for those that all
// go to one worker. The seed is in every step, for 32 bits are soon guessed: before each word of the address
// is mixed, and in both numbers by which a slot weighs. Seed 0 is the hash that there was before there was a
// seed; it places the clients of a cluster that was upgraded from there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace limpet::base {

class PlacementHash {
 public:
  explicit constexpr PlacementHash(std::uint64_t seed) noexcept : seed_(seed) {}

  // A permutation of 32-bit words in which each bit of the input sways each of the result: x ^= x >> shift,
  // then times the factor, three times; the third has no factor.
  static constexpr std::uint32_t kShifts[] = {16, 15, 15};
  static constexpr std::uint32_t kFactors[] = {0x21f0aaad, 0x735a2d97};

  /// Joined to word `index` of an IPv6 address. IPv4 has one word, which is like the last one, 3.
  [[nodiscard]] constexpr std::uint32_t key_of_word(std::uint32_t index) const noexcept {
    return secret(index);
  }
  /// What an address is for a slot: (hash ^ joined) × factor; the factor is odd.
  struct Weight {
    std::uint32_t joined;
    std::uint32_t factor;
  };
  [[nodiscard]] constexpr Weight weight_of(std::uint32_t slot) const noexcept {
    return {scatter(2 * slot) ^ secret(4 + 2 * slot), (scatter(2 * slot + 1) ^ secret(5 + 2 * slot)) | 1};
  }

  /// 4 or 16 bytes in network order; an IPv4-mapped IPv6 address has to be given as IPv4.
  [[nodiscard]] constexpr std::uint32_t of_address(std::span<const std::uint8_t> bytes) const noexcept {
    const std::size_t words = bytes.size() / 4;
    std::uint32_t hash = 0;
    for (std::size_t word = 0; word < words; ++word) {
      const std::size_t at = 4 * word;
      hash ^= std::uint32_t{bytes[at]} << 24 | std::uint32_t{bytes[at + 1]} << 16 |
              std::uint32_t{bytes[at + 2]} << 8 | bytes[at + 3];
      hash = mix(hash ^ key_of_word(static_cast<std::uint32_t>(4 - words + word)));
    }
    return hash;
  }
  [[nodiscard]] constexpr std::uint32_t weigh(std::uint32_t slot, std::uint32_t address) const noexcept {
    const Weight weight = weight_of(slot);
    return (address ^ weight.joined) * weight.factor;
  }

 private:
  static constexpr std::uint32_t mix(std::uint32_t word) noexcept {
    word = (word ^ (word >> kShifts[0])) * kFactors[0];
    word = (word ^ (word >> kShifts[1])) * kFactors[1];
    return word ^ (word >> kShifts[2]);
  }
  /// The mixing step of splitmix32.
  static constexpr std::uint32_t scatter(std::uint32_t value) noexcept {
    value += 0x9e3779b9;
    value = (value ^ (value >> 16)) * 0x85ebca6b;
    value = (value ^ (value >> 13)) * 0xc2b2ae35;
    return value ^ (value >> 16);
  }
  /// Number `index` of splitmix64 (Steele, Lea, Flood 2014), begun with the seed; 0 without one.
  [[nodiscard]] constexpr std::uint32_t secret(std::uint32_t index) const noexcept {
    if (seed_ == 0) return 0;
    std::uint64_t value = seed_ + (std::uint64_t{index} + 1) * 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return static_cast<std::uint32_t>((value ^ (value >> 31)) >> 32);
  }

  std::uint64_t seed_;
};

}  // namespace limpet::base
