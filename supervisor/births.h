// How a worker of this cluster is born: gathers its heritage and spawns it. Owns what slots last by, beside
// the listening sockets: inboxes and the table of buckets. Says nothing about when.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ipc/bucket_table.h"
#include "ipc/inbox.h"
#include "ipc/slot_board.h"
#include "ipc/supervisor_state.h"
#include "supervisor/lanes.h"
#include "supervisor/listeners.h"
#include "supervisor/loop.h"
#include "supervisor/program.h"
#include "supervisor/worker.h"

namespace limpet::supervisor {

class Births {
 public:
  /// `cpus`: slot n's worker runs on cpus[n % size] only; empty: anywhere. Throws std::system_error.
  Births(Loop& loop, const Listeners& listeners, std::uint16_t slots, std::vector<int> cpus);

  /// Those of an upgrade.
  Births(Loop& loop, const Listeners& listeners, std::vector<int> cpus, const ipc::SupervisorState& state);
  void save(ipc::SupervisorState* into) const;

  /// Takes a lane and a new generation. `succeeds`: it is told so, and gets its end of a migration stream.
  /// Null, with the reason in `*why`, if no process can be had.
  [[nodiscard]] std::unique_ptr<Worker> start(std::uint16_t slot, const SharedProgram& program, bool succeeds,
                                              std::string* why);
  /// The worker is dead and its peers were told.
  void bury(const Worker& worker) { lanes_.give_back(worker.who().lane); }
  /// What the workers are told of all slots.
  [[nodiscard]] ipc::SlotBoard& board() noexcept { return board_; }
  [[nodiscard]] std::uint16_t slots() const noexcept { return static_cast<std::uint16_t>(inboxes_.size()); }

 private:
  [[nodiscard]] ipc::SpawnRequest request_for(const ipc::Incarnation& who, const Program& program,
                                              int control, int settings) const;

  Loop& loop_;
  const Listeners& listeners_;
  std::vector<ipc::Inbox> inboxes_;
  ipc::BucketTable buckets_;
  ipc::SlotBoard board_;
  Lanes lanes_;
  std::vector<int> cpus_;
  std::uint64_t last_generation_ = 0;
};

}  // namespace limpet::supervisor
