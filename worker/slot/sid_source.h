// Makes sids: 20 characters of base64url = 120 bits. The first two characters name the bucket (12 bits), one
// of those that this slot owns; the other 108 bits are the system's randomness, so a sid cannot be guessed.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/limits.h"

namespace limpet::ipc {
class BucketTable;
}

namespace limpet::slot {

class SidSource {
 public:
  /// `table` may be null: an application that runs alone owns every bucket. Borrowed for life.
  SidSource(const ipc::BucketTable* table, std::uint16_t slot) : table_(table), slot_(slot) {}
  /// Fills in a fresh sid of a bucket that the slot owns now.
  void fill(std::span<char, base::kIdBytes> sid);

 private:
  [[nodiscard]] std::uint16_t own_bucket();
  void refill();

  const ipc::BucketTable* table_;
  std::uint16_t slot_;
  std::vector<std::uint8_t> random_;
};

/// The bucket that a sid names: `sid` is of a sid's form (engineio::sid_of).
[[nodiscard]] std::uint16_t bucket_of(std::string_view sid) noexcept;

}  // namespace limpet::slot
