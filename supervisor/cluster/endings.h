// How a worker is brought to its end: an order, and the deadlines of what it was given time for. A worker has
// one deadline at a time (Worker::deadline): to boot, to drain, to exit, then to end; a later one replaces
// the one before. What follows its end is in supervisor/cluster/deaths.h.
#pragma once

#include <chrono>
#include <string>

#include "supervisor/cluster/events.h"
#include "supervisor/cluster/routes.h"
#include "supervisor/cluster/watcher.h"
#include "supervisor/cluster/worker.h"

namespace limpet::supervisor {

class Endings {
 public:
  using Milliseconds = std::chrono::milliseconds;

  /// All are borrowed for life.
  Endings(Watcher& watcher, Routes& routes, ClusterEvents& events);

  /// Ends it in that way; if it is still there a second later, by SIGKILL.
  void put_down(Worker& worker, Ending ending, Cause cause, std::string why);

  /// One that is not ready in `left` is put down.
  void limit_boot(Worker& worker, Milliseconds left);
  /// One that has not left then, with a grace. `whole`: what it was given when it began to drain.
  void limit_drain(Worker& worker, Milliseconds left, Milliseconds whole);
  /// `why` it is about to exit by itself. One that does not is helped.
  void limit_exit(Worker& worker, std::string why);
  /// It was told to end, or sent a signal: SIGKILL follows.
  void limit_end(Worker& worker);
  /// Nothing more can be done, but whoever waits for its end is told why it has not come.
  void watch_end(Worker& worker) { watch_end(worker, ""); }

 private:
  void watch_end(Worker& worker, const std::string& told);

  Watcher& watcher_;
  Routes& routes_;
  ClusterEvents& events_;
};

}  // namespace limpet::supervisor
