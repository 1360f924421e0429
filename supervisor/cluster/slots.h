// All slots of a cluster and who is in them: which there are, which of them are open, who is seated where.
// And the seats of bridges, which get no clients and no buckets. Owns them and, through them, the workers.
// Starts, tells and ends nobody.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "supervisor/cluster/slot.h"
#include "supervisor/cluster/totals.h"

namespace limpet::supervisor {

/// Two slots, between which sessions move: from the first to the second.
using SlotPair = std::pair<std::uint16_t, std::uint16_t>;

class Slots {
 public:
  /// All of them open, nobody in them.
  Slots(Loop& loop, std::uint16_t open);

  /// What an upgrade carries over. `programs`: those that the state numbers.
  Slots(Loop& loop, const upgrade::SupervisorState& state, const std::vector<SharedProgram>& programs);
  /// Adds to `programs` those of workers that are not there yet; the state has their numbers.
  void save(upgrade::SupervisorState* into, std::vector<SharedProgram>* programs) const;

  // ---- which there are ----
  /// Those below have buckets, and get clients.
  [[nodiscard]] std::uint16_t open() const noexcept { return open_; }
  /// Those below have ever been open.
  [[nodiscard]] std::uint16_t used() const noexcept { return used_; }
  [[nodiscard]] bool is_closing() const noexcept { return slots_.size() > open_; }
  /// There are slots up to `slots` at least; nobody in the new ones, no client and no bucket yet.
  void grow(std::uint16_t slots);
  /// Those below `slots`, which are there, are the open ones; the others close.
  void set_open(std::uint16_t slots);
  /// Nobody follows there; each goes with its last worker (remove_closed()).
  void close_from(std::uint16_t first);
  void remove_closed();
  /// A new seat beside the slots, for workers of that program.
  Slot& add_bridge(SharedProgram program);
  [[nodiscard]] bool has_bridges() const noexcept { return !bridges_.empty(); }
  /// Nobody follows anywhere.
  void stop();
  [[nodiscard]] bool stopping() const noexcept { return stopping_; }

  // ---- who is in them ----
  /// Of a slot, or of a bridge.
  [[nodiscard]] Slot& at(std::uint16_t number) const {
    return ipc::is_bridge(number) ? *bridges_.at(number) : *slots_.at(number);
  }
  /// Null: there is none of that number by now, or yet.
  [[nodiscard]] Slot* find(std::uint16_t number) const noexcept;
  /// Who has the seat of a slot that may be closed already.
  [[nodiscard]] Worker* tenant(std::uint16_t number) const noexcept {
    const Slot* const slot = find(number);
    return slot != nullptr ? slot->seated() : nullptr;
  }
  /// Nobody sits there or is about to, and somebody should.
  [[nodiscard]] bool wants_worker(const Slot& slot) const noexcept {
    return !stopping_ && !slot.closing && !slot.has_prospect();
  }
  [[nodiscard]] bool are_empty() const noexcept;
  [[nodiscard]] bool are_all_seated() const noexcept;
  [[nodiscard]] std::vector<std::uint16_t> all_open() const;
  /// The open slots in which one of these generations is seated.
  [[nodiscard]] std::vector<std::uint16_t> seats_of(const std::set<std::uint64_t>& generations) const;
  /// The same of bridges.
  [[nodiscard]] std::vector<const Slot*> bridges_of(const std::set<std::uint64_t>& generations) const;
  [[nodiscard]] bool has_process(pid_t pid) const noexcept;
  [[nodiscard]] std::vector<ipc::SlotStatus> statuses() const;
  [[nodiscard]] std::vector<Totals::Living> living() const;
  /// It has ended: from now on it is in no list.
  [[nodiscard]] std::unique_ptr<Worker> take_out(const Worker& worker);

  /// The slots alone.
  [[nodiscard]] auto begin() const noexcept { return slots_.begin(); }
  [[nodiscard]] auto end() const noexcept { return slots_.end(); }
  /// Of slots and bridges.
  template <class Visit>
  void each_worker(Visit visit) const {
    // A copy: a visit may end a worker's membership.
    std::vector<Worker*> workers;
    each_seat([&workers](Slot& seat) {
      for (const auto& worker : seat.workers) workers.push_back(worker.get());
    });
    for (Worker* worker : workers) visit(*worker);
  }

 private:
  template <class Visit>
  void each_seat(Visit visit) const {
    for (const auto& slot : slots_) visit(*slot);
    for (const auto& [number, bridge] : bridges_) visit(*bridge);
  }

  Loop& loop_;
  std::vector<std::unique_ptr<Slot>> slots_;  ///< those with a worker, or about to have one
  std::map<std::uint16_t, std::unique_ptr<Slot>> bridges_;
  std::uint16_t open_;
  std::uint16_t used_;
  bool stopping_ = false;
};

}  // namespace limpet::supervisor
