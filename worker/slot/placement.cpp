#include "worker/slot/placement.h"

#include <algorithm>

#include "ipc/shared/slot_board.h"

namespace limpet::slot {
std::uint16_t rendezvous_slot(const client::PeerAddress& client, const base::PlacementHash& hash,
                              std::uint16_t slots, const std::function<bool(std::uint16_t)>& takes_part) {
  const std::uint32_t address = hash.of_address(client.bytes());
  std::uint16_t best = 0;
  std::uint32_t heaviest = 0;
  bool best_takes_part = false;
  for (std::uint16_t slot = 0; slot < slots; ++slot) {
    const std::uint32_t weight = hash.weigh(slot, address);
    const bool takes = takes_part(slot);
    if (takes < best_takes_part || (takes == best_takes_part && slot > 0 && weight <= heaviest)) continue;
    best = slot;
    heaviest = weight;
    best_takes_part = takes;
  }
  return best;
}

Placement::Placement(const ipc::SlotBoard* board, std::uint16_t own_slot, std::uint16_t slots,
                     std::uint64_t seed, PlacementRule rule)
    : board_(board), hash_(seed), rule_(rule), own_slot_(own_slot), slots_(slots), sent_(slots, 0) {}

bool Placement::takes_part(std::uint16_t slot) const noexcept {
  return board_ == nullptr || slot >= board_->slots() || board_->takes_part(slot);
}

std::uint16_t Placement::by_address(const client::PeerAddress& client) const {
  return rendezvous_slot(client, hash_, slots_, [this](std::uint16_t slot) { return takes_part(slot); });
}

std::uint16_t Placement::another_by_address(const client::PeerAddress& client) const {
  return rendezvous_slot(client, hash_, slots_,
                         [this](std::uint16_t slot) { return slot != own_slot_ && takes_part(slot); });
}

std::uint16_t Placement::by_connections(std::uint64_t own_sessions) {
  if (board_ == nullptr) return own_slot_;
  if (const std::uint64_t edition = board_->edition(); edition != edition_) {
    edition_ = edition;
    std::fill(sent_.begin(), sent_.end(), 0);
  }
  std::uint16_t best = own_slot_;
  std::uint64_t fewest = own_sessions;
  std::uint64_t others = 0;
  for (std::uint16_t slot = 0; slot < std::min(slots_, board_->slots()); ++slot) {
    if (slot == own_slot_ || !takes_part(slot)) continue;
    ++others;
    const std::uint64_t sessions = board_->sessions(slot) + sent_[slot];
    if (sessions + (best == own_slot_ ? 1 : 0) >= fewest) continue;
    best = slot;
    fewest = sessions;
  }
  // The others look at the same board and do the same.
  if (best != own_slot_) sent_[best] += others;
  return best;
}

}  // namespace limpet::slot
