// Which slot gets a new session (law 4), where the kernel has not decided it by the address of the client:
// pure but for what the slot board says. The worker that has the handshake asks; another slot than its own
// means a handover that says "placed", so that the taker keeps it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/placement_hash.h"
#include "worker/client/peer_address.h"

namespace limpet::ipc {
class SlotBoard;
}

namespace limpet::slot {

/// How a new session is placed: by its client's address, or where the fewest sessions are.
enum class PlacementRule : std::uint8_t { Address, LeastConnections };

/// The slot that weighs most for this address, of those that take part: the same that the kernel's program
/// chooses. Port and IPv4-mapping do not matter. `takes_part` may be false for all: then any slot may be the
/// one.
[[nodiscard]] std::uint16_t rendezvous_slot(const client::PeerAddress& client,
                                            const base::PlacementHash& hash, std::uint16_t slots,
                                            const std::function<bool(std::uint16_t slot)>& takes_part);

class Placement {
 public:
  /// `board` may be null (a supervisor that has none): every slot takes part, and by connections nothing
  /// moves. Borrowed for life. `seed`: the cluster's.
  Placement(const ipc::SlotBoard* board, std::uint16_t own_slot, std::uint16_t slots, std::uint64_t seed,
            PlacementRule rule = PlacementRule::Address);

  [[nodiscard]] PlacementRule rule() const noexcept { return rule_; }
  [[nodiscard]] std::uint16_t own_slot() const noexcept { return own_slot_; }
  [[nodiscard]] bool takes_part(std::uint16_t slot) const noexcept;
  [[nodiscard]] std::uint16_t by_address(const client::PeerAddress& client) const;
  /// The same for a slot that may have no new session: another one.
  [[nodiscard]] std::uint16_t another_by_address(const client::PeerAddress& client) const;
  /// The slot with the fewest sessions; the own one unless another has fewer by two at least, so that equals
  /// do not pass sessions to and fro. `own_sessions`: right now. What this worker has sent elsewhere counts
  /// there until the board knows of it, and as if every other worker had done the same.
  [[nodiscard]] std::uint16_t by_connections(std::uint64_t own_sessions);

 private:
  const ipc::SlotBoard* board_;
  base::PlacementHash hash_;
  PlacementRule rule_;
  std::uint16_t own_slot_;
  std::uint16_t slots_;
  std::vector<std::uint64_t> sent_;  ///< by slot, since the board's edition
  std::uint64_t edition_ = 0;
};

}  // namespace limpet::slot
