// How far a worker is in one writer's broadcasts.
#pragma once

#include <cstdint>

#include "ipc/birth/incarnation.h"

namespace limpet::adapter {

/// Everything up to `sequence` has been delivered to the sockets of this worker; of its own ring: was
/// published, which comes to the same.
struct RingPosition {
  ipc::Incarnation writer;
  std::uint64_t sequence = 0;
  bool ended = false;  ///< nothing more will come: the writer is gone, and this is where it ended
};

}  // namespace limpet::adapter
