// The counters of all workers, living and dead, folded so that totals never decrease: what a worker had
// counted when it died is added to its slot. Gauges die with their worker. Of slots alone: what becomes
// of a bridge is told in the log.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "ipc/messages/ctl.h"
#include "ipc/shared/counters.h"
#include "supervisor/cluster/causes.h"
#include "supervisor/upgrade/state.h"

namespace limpet::supervisor {

class Totals {
 public:
  explicit Totals(std::uint16_t slots) : slots_(slots) {}
  /// A slot that was ever open stays in the report.
  void grow(std::uint16_t slots) { slots_.resize(std::max<std::size_t>(slots_.size(), slots)); }

  /// Once per worker, when its process is gone (its block is final) and before it leaves the list of the
  /// living.
  void retire(std::uint16_t seat, const ipc::CounterView& counters);
  void count_start(std::uint16_t seat) {
    if (!ipc::is_bridge(seat)) ++slots_.at(seat).starts;
  }
  [[nodiscard]] std::uint64_t starts(std::uint16_t slot) const { return slots_.at(slot).starts; }
  void count_end(std::uint16_t seat, Cause cause) {
    if (!ipc::is_bridge(seat)) ++slots_.at(seat).ends[static_cast<std::size_t>(cause)];
  }

  /// What an upgrade carries over, by names; a name that this build does not know is passed over.
  void save(std::uint16_t slot, upgrade::SlotState* into) const;
  void restore(std::uint16_t slot, const upgrade::SlotState& from);

  struct Living {
    std::uint16_t slot;
    const ipc::CounterView* counters;
  };
  [[nodiscard]] ipc::StatsReply report(const std::vector<Living>& living) const;

 private:
  struct Slot {
    std::array<std::uint64_t, ipc::kCounterCount> retired{};
    std::array<std::uint64_t, kCauses> ends{};
    std::uint64_t starts = 0;
  };
  std::vector<Slot> slots_;
};

}  // namespace limpet::supervisor
