// Which lanes are free. A freed lane comes last: peers may still be reading the ring of its last tenant.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace limpet::supervisor {

class Lanes {
 public:
  /// 2 × slots for workers; the last of ipc::Heritage::lanes is the bridge's.
  explicit Lanes(std::uint16_t slots) {
    for (std::uint16_t lane = 0; lane < 2 * slots; ++lane) free_.push_back(lane);
  }
  explicit Lanes(const std::vector<std::uint16_t>& free) : free_(free.begin(), free.end()) {}
  [[nodiscard]] std::vector<std::uint16_t> free() const { return {free_.begin(), free_.end()}; }
  [[nodiscard]] std::optional<std::uint16_t> take() {
    if (free_.empty()) return std::nullopt;
    const std::uint16_t lane = free_.front();
    free_.pop_front();
    return lane;
  }
  void give_back(std::uint16_t lane) { free_.push_back(lane); }

 private:
  std::deque<std::uint16_t> free_;
};

}  // namespace limpet::supervisor
