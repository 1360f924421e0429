// Which lanes are free, of the one pool from which all have theirs: workers of slots and bridges, old ones
// and their successors. A freed lane comes last: peers may still be reading the ring of its last tenant.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace limpet::supervisor {

class Lanes {
 public:
  explicit Lanes(std::uint16_t slots) : count_(count_for(slots)) {
    for (std::uint16_t lane = 0; lane < count_; ++lane) free_.push_back(lane);
  }
  /// Of the image before an upgrade. `taken`: by the workers that live. A lane that is in neither list (older
  /// builds kept the last one for themselves) is free.
  Lanes(std::uint16_t slots, const std::vector<std::uint16_t>& free, const std::vector<std::uint16_t>& taken)
      : count_(count_for(slots)), free_(free.begin(), free.end()) {
    const auto is_in = [](const auto& lanes, std::uint16_t lane) {
      return std::find(lanes.begin(), lanes.end(), lane) != lanes.end();
    };
    for (std::uint16_t lane = 0; lane < count_; ++lane)
      if (!is_in(free, lane) && !is_in(taken, lane)) free_.push_back(lane);
  }
  /// As every worker is told at its birth, by whichever build: two for each slot, and one more.
  [[nodiscard]] static constexpr std::uint16_t count_for(std::uint16_t slots) noexcept {
    return static_cast<std::uint16_t>(2 * slots + 1);
  }
  [[nodiscard]] std::uint16_t count() const noexcept { return count_; }
  [[nodiscard]] std::vector<std::uint16_t> free() const { return {free_.begin(), free_.end()}; }
  [[nodiscard]] bool has_free() const noexcept { return !free_.empty(); }
  [[nodiscard]] std::optional<std::uint16_t> take() {
    if (free_.empty()) return std::nullopt;
    const std::uint16_t lane = free_.front();
    free_.pop_front();
    return lane;
  }
  void give_back(std::uint16_t lane) { free_.push_back(lane); }

 private:
  std::uint16_t count_;
  std::deque<std::uint16_t> free_;
};

}  // namespace limpet::supervisor
