// The supervisor's regular look at every worker: one that misses a beat is routed around, one that misses two
// is ended, unless a debugger holds it. When is for supervisor/cluster/heartbeat_policy.h to say.
#pragma once

#include <chrono>

#include "supervisor/cluster/endings.h"
#include "supervisor/cluster/heartbeat_policy.h"
#include "supervisor/cluster/routes.h"
#include "supervisor/cluster/slots.h"
#include "supervisor/system/loop.h"

namespace limpet::supervisor {

class Heartbeats {
 public:
  /// All are borrowed for life. Looks at nobody before start().
  Heartbeats(Loop& loop, const Slots& slots, Endings& endings, Routes& routes,
             std::chrono::milliseconds interval);

  /// Once now, then for ever.
  void start() { tick(); }
  void change_interval(std::chrono::milliseconds interval) { policy_.change_interval(interval); }

 private:
  void tick();
  void take_pulse(Worker& worker);

  const Slots& slots_;
  Endings& endings_;
  Routes& routes_;
  HeartbeatPolicy policy_;
  Timer ticks_;
};

}  // namespace limpet::supervisor
