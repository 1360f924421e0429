// The workloads of docs/RESULTS.md. Each checks that every client received exactly what it was due, byte for
// byte, and throws std::runtime_error if not: a server that sends less must not look faster.
#pragma once

#include <cstdint>

#include "tests/bench/load_generator/crowd.h"
#include "tests/bench/load_generator/meter.h"

namespace limpet::bench {

/// One client emits `queued` events `b` in one write and all wait until each client has received all of them;
/// then the next client does. Unit: a delivered message. `crowd` has joined.
Figure measure_broadcast(Crowd& crowd, unsigned queued, Meter& meter);

/// Each client sends `in_flight` events `e` in one write and, once all are acknowledged, again. Unit: an
/// acknowledgement. `crowd` has joined.
Figure measure_echo(Crowd& crowd, unsigned in_flight, Meter& meter);

/// Each client connects, shakes hands (WebSocket, Engine.IO, Socket.IO), ends its sending direction, waits
/// for the server's close, and starts again. Unit: a connection. No client has connected.
Figure measure_connect(Crowd& crowd, Meter& meter);

struct MemoryGrowth {
  std::uint64_t before_bytes = 0;
  std::uint64_t after_bytes = 0;
};
/// PSS of the tree before any client and when all have joined and stay silent. No client has connected.
MemoryGrowth measure_idle(Crowd& crowd, const ServerTree& tree);

}  // namespace limpet::bench
