// bucket -> slot, the one table of ownership. 4,096 buckets; the first two characters of a sid name its
// bucket (12 bits of base64url). The supervisor writes it, every worker reads it (kClusterPage). Invariant
// B1: only the supervisor's process writes. B2: a read during a change gives the old or the new slot.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/limits.h"

namespace limpet::ipc {

inline constexpr std::uint16_t kBuckets = 4096;
static_assert(kBuckets == base::kSlotLimit);

/// The owner of each bucket if they are dealt to slots 0 to `slots` - 1 by rendezvous hashing: another number
/// of slots moves only what the slots that come win, or those that go had.
[[nodiscard]] std::vector<std::uint16_t> deal_buckets(std::uint16_t slots);

class BucketTable {
 public:
  /// The supervisor's: creates the page with all buckets dealt to `slots` slots, by deal_buckets(). Throws
  /// std::system_error.
  static BucketTable create(std::uint16_t slots);
  /// A worker's, from the inherited descriptor. nullopt, with the reason, if it is not such a page.
  static std::optional<BucketTable> map(const base::Descriptor& memory, std::string* why);
  BucketTable(BucketTable&&) noexcept;
  BucketTable& operator=(BucketTable&&) noexcept;
  ~BucketTable();

  /// For inheritance by workers: read-only.
  [[nodiscard]] int descriptor() const noexcept;
  [[nodiscard]] std::uint16_t slots() const noexcept;
  [[nodiscard]] std::uint16_t owner(std::uint16_t bucket) const noexcept;
  /// The supervisor's only.
  void assign(std::uint16_t bucket, std::uint16_t slot) noexcept;

 private:
  BucketTable() = default;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace limpet::ipc
