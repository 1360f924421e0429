// Law 14: what clients make a worker hold, in bytes, and who holds most. One total for the worker; a list of
// accounts for each kind of holder (connections, sessions), in which the largest is found without a scan.
// Frames are not charged to those who have them queued but once to the worker (Buffer::live_bytes()): a frame
// may be queued at thousands. For the question who is to be closed first they do count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>

#include "worker/loop/buffer.h"

namespace limpet::loop {

/// What is known of one holder: kept by it, written by Accounts only.
struct Noted {
  std::uint32_t own_kib = 0;   ///< in the total
  std::uint32_t rank_kib = 0;  ///< its place among the large ones; 0: it is none
};

/// Of all kinds of holders of one worker.
class MemoryTotal {
 public:
  [[nodiscard]] std::uint64_t bytes() const noexcept { return own_bytes_ + Buffer::live_bytes(); }
  /// What a holder costs as such, from its first to its last moment.
  void add(std::ptrdiff_t bytes) noexcept { own_bytes_ += static_cast<std::uint64_t>(bytes); }

 private:
  std::uint64_t own_bytes_ = 0;
};

template <class Holder>
class Accounts {
 public:
  /// Whoever holds less is not looked at when somebody has to go.
  static constexpr std::uint32_t kLargeKib = 64;

  explicit Accounts(MemoryTotal& total) noexcept : total_(total) {}

  /// `own_bytes`: held for it alone, but for frames. `queued_bytes`: of its frames that are unsent. Counted
  /// in steps of 1 KiB. O(1), and O(log n) when a large one has changed by a step.
  void note(Holder& holder, Noted& noted, std::size_t own_bytes, std::size_t queued_bytes) {
    const auto own = static_cast<std::uint32_t>(own_bytes >> 10);
    if (own != noted.own_kib) {
      total_.add((static_cast<std::ptrdiff_t>(own) - static_cast<std::ptrdiff_t>(noted.own_kib)) * 1024);
      noted.own_kib = own;
    }
    const auto all = static_cast<std::uint32_t>((own_bytes + queued_bytes) >> 10);
    rank(holder, noted, all < kLargeKib ? 0 : all - all % kLargeKib);
  }
  void forget(Holder& holder, Noted& noted) { note(holder, noted, 0, 0); }

  [[nodiscard]] std::size_t largest_bytes() const noexcept {
    return by_size_.empty() ? 0 : std::size_t{by_size_.rbegin()->first} << 10;
  }
  /// Null: none is large.
  [[nodiscard]] Holder* largest() const noexcept {
    return by_size_.empty() ? nullptr : by_size_.rbegin()->second;
  }

 private:
  void rank(Holder& holder, Noted& noted, std::uint32_t kib) {
    if (kib == noted.rank_kib) return;
    if (noted.rank_kib != 0) by_size_.erase({noted.rank_kib, &holder});
    if (kib != 0) by_size_.emplace(kib, &holder);
    noted.rank_kib = kib;
  }

  MemoryTotal& total_;
  std::set<std::pair<std::uint32_t, Holder*>> by_size_;
};

}  // namespace limpet::loop
