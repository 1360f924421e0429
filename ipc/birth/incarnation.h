// One life of one worker, by the three numbers that its heritage gives it. A value: rings, counters, messages
// and records of moved sessions all name a worker by it. A bridge is a worker without a slot: it takes part
// in the rings, and has neither listening sockets nor clients.
#pragma once

#include <cstdint>
#include <string>

#include "base/limits.h"

namespace limpet::ipc {

/// That is the number of a bridge, not of a slot.
[[nodiscard]] constexpr bool is_bridge(std::uint16_t seat) noexcept {
  return seat >= base::kFirstBridge && seat < base::kSlotLimit;
}

/// "slot 3", "bridge 0"
[[nodiscard]] inline std::string seat_name(std::uint16_t seat) {
  return is_bridge(seat) ? "bridge " + std::to_string(seat - base::kFirstBridge)
                         : "slot " + std::to_string(seat);
}

/// `slot`: or the number of a bridge. `generation` only grows, over all of them.
struct Incarnation {
  std::uint16_t slot = 0;
  std::uint16_t lane = 0;
  std::uint64_t generation = 0;
  bool operator==(const Incarnation&) const = default;
};

}  // namespace limpet::ipc
