// Who takes a seat, and how the one before leaves it: its sessions move to the successor, or they drain. Says
// once that every slot has somebody.
#pragma once

#include <chrono>
#include <string_view>

#include "supervisor/cluster/endings.h"
#include "supervisor/cluster/events.h"
#include "supervisor/cluster/lending.h"
#include "supervisor/cluster/routes.h"
#include "supervisor/cluster/slots.h"

namespace limpet::supervisor {

class Seats {
 public:
  /// All are borrowed for life. `program`: the cluster's, as it is at the time; `announced`: it was said by
  /// the image before.
  Seats(const Slots& slots, Lending& lending, Routes& routes, Endings& endings, ClusterEvents& events,
        const SharedProgram& program, bool announced = false);

  /// The worker is ready. Who had the seat gives it up; its sessions move, or are drained.
  void seat(Worker& worker);
  void drain(Worker& worker, std::string_view why);
  /// It drains already, by itself.
  void note_drain(Worker& worker, std::string_view why);
  /// Of one whose sessions move: those that are left are drained, by the deadline that it has.
  void stop_moving(Worker& worker);
  [[nodiscard]] bool announced() const noexcept { return announced_; }

 private:
  using Milliseconds = std::chrono::milliseconds;

  void move_sessions(Worker& from, Worker& to);
  void limit_drain(Worker& worker, Milliseconds deadline);

  const Slots& slots_;
  Lending& lending_;
  Routes& routes_;
  Endings& endings_;
  ClusterEvents& events_;
  const SharedProgram& program_;
  bool announced_;
};

}  // namespace limpet::supervisor
