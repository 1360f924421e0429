// How a worker of this cluster is born: gathers its heritage and spawns it. Owns what slots last by, beside
// the listening sockets: inboxes and the table of buckets. Says nothing about when.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ipc/birth/incarnation.h"
#include "ipc/messages/inbox.h"
#include "ipc/shared/bucket_table.h"
#include "ipc/shared/slot_board.h"
#include "supervisor/cluster/lanes.h"
#include "supervisor/cluster/program.h"
#include "supervisor/cluster/worker.h"
#include "supervisor/listen/listeners.h"
#include "supervisor/system/loop.h"
#include "supervisor/upgrade/state.h"

namespace limpet::supervisor {

/// The stream on which sessions move: {giver's end, taker's end}. Throws std::system_error.
[[nodiscard]] std::pair<base::Descriptor, base::Descriptor> migration_stream();

class Births {
 public:
  /// `capacity`: slots that there can be. `cpus`: slot n's worker runs on cpus[n % size] only; empty:
  /// anywhere. Throws std::system_error.
  Births(Loop& loop, const Listeners& listeners, std::uint16_t capacity, std::vector<int> cpus);

  /// Those of an upgrade.
  Births(Loop& loop, const Listeners& listeners, std::vector<int> cpus,
         const upgrade::SupervisorState& state);
  void save(upgrade::SupervisorState* into) const;

  /// Takes a lane and a new generation. `seat`: of a slot, or of a bridge. `succeeds`: it is told so, and
  /// gets its end of a migration stream. Null, with the reason in `*why`, if no process can be had.
  [[nodiscard]] std::unique_ptr<Worker> start(std::uint16_t seat, const SharedProgram& program, bool succeeds,
                                              std::string* why);
  /// The table of buckets. Workers see the change at once.
  [[nodiscard]] std::uint16_t owner(std::uint16_t bucket) const { return buckets_.owner(bucket); }
  void assign(const std::vector<std::uint16_t>& owners);
  [[nodiscard]] int inbox(std::uint16_t slot) const { return inboxes_.at(slot).receiving.get(); }

  [[nodiscard]] bool has_free_lane() const noexcept { return lanes_.has_free(); }
  /// The worker is dead and its peers were told.
  void bury(const Worker& worker) { lanes_.give_back(worker.who().lane); }
  /// What the workers are told of all slots.
  [[nodiscard]] ipc::SlotBoard& board() noexcept { return board_; }
  /// That there can be: each has its sockets, its lanes and its place in every heritage.
  [[nodiscard]] std::uint16_t capacity() const noexcept {
    return static_cast<std::uint16_t>(inboxes_.size());
  }

 private:
  [[nodiscard]] ipc::SpawnRequest request_for(const ipc::Incarnation& who, const Program& program,
                                              int control, int settings) const;

  Loop& loop_;
  const Listeners& listeners_;
  std::vector<ipc::Inbox> inboxes_;
  ipc::Inbox bridge_inbox_ = ipc::make_inbox();  ///< of all bridges; nobody is given its sending end
  ipc::BucketTable buckets_;
  ipc::SlotBoard board_;
  Lanes lanes_;
  std::vector<int> cpus_;
  std::uint64_t last_generation_ = 0;
};

}  // namespace limpet::supervisor
