// What follows the end of a worker: its status is taken, what it counted is kept, its peers are told, one
// line says how it ended and what comes next, and somebody follows if somebody should.
#pragma once

#include <memory>

#include "supervisor/cluster/births.h"
#include "supervisor/cluster/endings.h"
#include "supervisor/cluster/events.h"
#include "supervisor/cluster/routes.h"
#include "supervisor/cluster/slots.h"
#include "supervisor/cluster/starts.h"
#include "supervisor/cluster/totals.h"

namespace limpet::supervisor {

class Deaths {
 public:
  /// All are borrowed for life.
  Deaths(Slots& slots, Births& births, Totals& totals, Starts& starts, Routes& routes, Endings& endings,
         ClusterEvents& events);

  /// Its pidfd is readable. The worker is gone when this returns, unless a debugger has its status.
  void take_end(Worker& worker);
  /// SIGCHLD came: a debugger may have given a status free.
  void take_held_ends();

 private:
  void bury(std::unique_ptr<Worker> worker, const ipc::ExitStatus& status);
  void tell_peers(const Worker& dead);

  Slots& slots_;
  Births& births_;
  Totals& totals_;
  Starts& starts_;
  Routes& routes_;
  Endings& endings_;
  ClusterEvents& events_;
};

}  // namespace limpet::supervisor
