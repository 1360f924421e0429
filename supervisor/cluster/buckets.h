// Whose the buckets are, and how their sessions move when that changes: the new owner is told to expect them,
// the old one gets the other end of a stream and gives them away. The table itself is among what the births
// share (supervisor/cluster/births.h).
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "supervisor/cluster/births.h"
#include "supervisor/cluster/lending.h"
#include "supervisor/cluster/routes.h"
#include "supervisor/cluster/slots.h"

namespace limpet::supervisor {

class Buckets {
 public:
  /// All are borrowed for life. `program`: the cluster's, as it is at the time.
  Buckets(Slots& slots, Births& births, Lending& lending, Routes& routes, const SharedProgram& program);

  /// Of the start: no worker is there.
  void assign_all();
  /// Slots below `slots` get all buckets and all new clients; those above close: nobody follows there.
  /// Sessions begin to move. Gives each pair of slots that have some, and whether both were told.
  [[nodiscard]] std::map<SlotPair, bool> deal(std::uint16_t slots);
  /// Once more for one pair, whose taker has died. False if one of them has no worker.
  [[nodiscard]] bool move(std::uint16_t from, std::uint16_t to);

 private:
  [[nodiscard]] std::map<SlotPair, base::Descriptor> prepare(const std::vector<std::uint16_t>& owners);
  [[nodiscard]] base::Descriptor expect_sessions(std::uint16_t from, std::uint16_t to);
  bool tell_to_move(std::uint16_t from, std::uint16_t to, const base::Descriptor& giver_end);

  Slots& slots_;
  Births& births_;
  Lending& lending_;
  Routes& routes_;
  const SharedProgram& program_;
};

}  // namespace limpet::supervisor
