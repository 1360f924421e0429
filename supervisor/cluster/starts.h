// When workers are started, and what follows if none can be: at once, by an operation, or after the back-off
// of its slot. How one is born is in supervisor/cluster/births.h.
#pragma once

#include <chrono>
#include <random>
#include <string>

#include "supervisor/cluster/births.h"
#include "supervisor/cluster/endings.h"
#include "supervisor/cluster/routes.h"
#include "supervisor/cluster/slots.h"
#include "supervisor/cluster/totals.h"
#include "supervisor/cluster/watcher.h"

namespace limpet::supervisor {

class Starts {
 public:
  using Milliseconds = std::chrono::milliseconds;

  /// All are borrowed for life. `program`: the cluster's, as it is at the time of a start.
  Starts(const Slots& slots, Births& births, Totals& totals, Routes& routes, Endings& endings,
         Watcher& watcher, const SharedProgram& program);

  /// Of a program that may be another than the cluster's. Null, with the reason in `*why`, if it could not be
  /// started; that is told and counted.
  Worker* start(std::uint16_t slot, const SharedProgram& program, std::string* why);
  /// One of the cluster's program, or of the bridge's own, now. A failure is told and counted.
  void start(const Slot& slot);
  /// Unless the slot wants none: now, or after a death when the policy says so. `served`: by the one that has
  /// died.
  void ensure_tenant(Slot& slot, Milliseconds served);
  void schedule(Slot& slot, Milliseconds delay);

 private:
  void note_failure(Slot& slot, const std::string& why);

  const Slots& slots_;
  Births& births_;
  Totals& totals_;
  Routes& routes_;
  Endings& endings_;
  Watcher& watcher_;
  const SharedProgram& program_;
  std::minstd_rand chance_{std::random_device{}()};
};

}  // namespace limpet::supervisor
