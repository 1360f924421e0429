// One life of one worker, by the three numbers that its heritage gives it. A value: rings, counters, messages
// and records of moved sessions all name a worker by it.
#pragma once

#include <cstdint>

namespace limpet::ipc {

/// `generation` only grows, over all slots.
struct Incarnation {
  std::uint16_t slot = 0;
  std::uint16_t lane = 0;
  std::uint64_t generation = 0;
  bool operator==(const Incarnation&) const = default;
};

}  // namespace limpet::ipc
