// What a worker is born with: descriptor numbers, environment, generation. The supervisor (giver) and the
// worker (taker) include these lines; there is no other description of the contract.
//
// A worker finds, open and without close-on-exec:
//   kControlChannel   SOCK_SEQPACKET to the supervisor (ipc/messages/channel.h)
//   kClusterPage      read-only memfd: bucket -> slot (ipc/shared/bucket_table.h)
//   kSettings         sealed memfd: one JSON object (keys below)
//   kInbox            SOCK_SEQPACKET, the receiving end of its slot's inbox (ipc/messages/inbox.h); to that
//                     of a bridge nobody sends
//   kSlotBoard        read-only memfd: which slots take part, and how full they are (ipc/shared/slot_board.h)
//   kFirstListener …  its slot's listening sockets, non-blocking, one per address, in configured order; a
//                     bridge has none
//   behind those      the sending ends of every slot's inbox, in slot order, its own included
// and the environment variable kVariable. Everything else it had is closed. stdin is /dev/null, stdout and
// stderr are the supervisor's. Its process group is its own; its parent-death signal is SIGTERM.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace limpet::ipc {

inline constexpr int kControlChannel = 3;
inline constexpr int kClusterPage = 4;
inline constexpr int kSettings = 5;
inline constexpr int kInbox = 6;
inline constexpr int kSlotBoard = 7;
inline constexpr int kFirstListener = 16;

inline constexpr const char* kHeritageVariable = "LIMPET_HERITAGE";
/// Grows when a taker of the older number could not live with what is given.
inline constexpr std::uint32_t kHeritageVersion = 1;

/// Numbers of one worker incarnation. `slot`: or the number of a bridge (ipc/birth/incarnation.h). `slots`:
/// that there can be (max_workers); the table of buckets says which are open, and that changes while a worker
/// lives. `lane` < `lanes` = 2 × slots + 1, a pool for all.
struct Heritage {
  std::uint16_t slot = 0;
  std::uint16_t slots = 1;
  std::uint16_t lane = 0;
  std::uint16_t lanes = 3;
  std::uint16_t listeners = 0;
  std::uint64_t generation = 1;

  [[nodiscard]] int first_inbox_sender() const noexcept { return kFirstListener + listeners; }
  [[nodiscard]] int inbox_sender(std::uint16_t to_slot) const noexcept {
    return first_inbox_sender() + to_slot;
  }
  bool operator==(const Heritage&) const = default;
};

/// `version=1 slot=0 slots=4 lane=0 lanes=9 listeners=1 generation=1`
[[nodiscard]] std::string to_environment(const Heritage& heritage);

/// The inverse. nullopt, with the reason in `*why`, if the text is of another version or not as above.
[[nodiscard]] std::optional<Heritage> heritage_from_environment(std::string_view text, std::string* why);

}  // namespace limpet::ipc

// The settings object (kSettings). All keys are always present when the supervisor wrote it:
//   "listen":   ["tcp://0.0.0.0:3000", …]   for messages; the sockets are inherited
//   "listeners": [{"header_timeout_ms": 10000, "body_timeout_ms": 30000, "idle_timeout_ms": 60000,
//                  "proxy_protocol": false, "trusted": ["10.0.0.0/8", …],
//                  "address_header": "x-forwarded-for"}, …]   one for each of "listen", in its order
//   "placement": "address"                  or "least-connections"
//   "placement_seed": 0                     of the hash that places addresses (base/placement_hash.h)
//   "heartbeat_interval_ms": 2500
//   "socketio": {"path": "/socket.io", "ping_interval_ms": 25000, "ping_timeout_ms": 20000,
//                "upgrade_timeout_ms": 10000, "connect_timeout_ms": 45000, "max_payload_bytes": 1000000,
//                "transports": ["polling","websocket"]}
//   "limits":   {"header_bytes": 16384, "header_timeout_ms": 10000, "body_timeout_ms": 30000,
//                "idle_timeout_ms": 60000, "send_queue_bytes": 16777216, "send_stall_ms": 5000,
//                "min_rate_bytes": 500, "memory_bytes": 3221225472, "connections": 100000,
//                "sessions": 200000, "connections_per_address": 0, "handshakes_per_second": 0}
//   "ring":     {"capacity_bytes": 16777216, "lap_after_ms": 100, "deferred_bytes": 67108864}
//   "app":      {…}   table [app] of limpet.toml, as it stands there
