// How many lines an output could not get rid of: in all, and since that was last told. Shared by an output
// and its thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace limpet::base {

class LineDrops {
 public:
  void add() noexcept {
    total_.fetch_add(1, std::memory_order_relaxed);
    untold_.fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t total() const noexcept { return total_.load(std::memory_order_relaxed); }

  /// The number for a line that tells it. If that line is lost as well, `put_back` it: it is no line of the
  /// log, but what it would have told is still untold.
  [[nodiscard]] std::uint64_t take_untold() noexcept {
    return untold_.exchange(0, std::memory_order_relaxed);
  }
  void put_back(std::uint64_t untold) noexcept { untold_.fetch_add(untold, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> total_{0};
  std::atomic<std::uint64_t> untold_{0};
};

}  // namespace limpet::base
