// What every worker may know of each slot, beside whose the buckets are: does it take part, and how many
// sessions has it? One page that the supervisor writes at every tick and every change of routes, and every
// worker reads (kSlotBoard). Gossip that is up to a tick old: good for placing a new session, never for
// ownership. Invariant S1: only the supervisor's process writes. S2: each word stands for itself.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/descriptor.h"

namespace limpet::ipc {

class SlotBoard {
 public:
  /// The supervisor's; every slot takes part and has no session. Throws std::system_error.
  static SlotBoard create(std::uint16_t slots);
  /// A worker's, from the inherited descriptor. nullopt, with the reason, if it is not such a page.
  static std::optional<SlotBoard> map(const base::Descriptor& memory, std::string* why);
  SlotBoard(SlotBoard&&) noexcept;
  SlotBoard& operator=(SlotBoard&&) noexcept;
  ~SlotBoard();

  /// For inheritance by workers: read-only.
  [[nodiscard]] int descriptor() const noexcept;
  [[nodiscard]] std::uint16_t slots() const noexcept;
  /// Somebody sits there who beats, or will within moments: it may get clients.
  [[nodiscard]] bool takes_part(std::uint16_t slot) const noexcept;
  [[nodiscard]] std::uint64_t sessions(std::uint16_t slot) const noexcept;
  /// Grows with each publish(): what a reader has added up since the last one is in the numbers now.
  [[nodiscard]] std::uint64_t edition() const noexcept;

  /// The supervisor's only.
  void set_takes_part(std::uint16_t slot, bool takes_part) noexcept;
  void set_sessions(std::uint16_t slot, std::uint64_t sessions) noexcept;
  /// Behind the set_sessions() of all slots.
  void publish() noexcept;

 private:
  SlotBoard() = default;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace limpet::ipc
