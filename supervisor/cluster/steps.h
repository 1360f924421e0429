// The steps of which an operation is made (supervisor/operations/), and what it may ask about the slots. The
// cluster's; an interface so that operations can be tested without a process.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "supervisor/cluster/causes.h"
#include "supervisor/cluster/program.h"
#include "supervisor/cluster/slots.h"
#include "supervisor/cluster/worker.h"

namespace limpet::supervisor {

class ClusterSteps {
 public:
  virtual ~ClusterSteps() = default;

  /// Of a program that may be another than the cluster's. Null, with the reason in `*why`, if it could not be
  /// started; that is told and counted.
  virtual Worker* start_worker(std::uint16_t slot, const SharedProgram& program, std::string* why) = 0;
  /// The worker is ready. Who had the seat gives it up; its sessions move, or are drained.
  virtual void seat(Worker& worker) = 0;
  virtual void drain(Worker& worker, std::string_view why) = 0;
  /// Ends it in that way; if it is still there a second later, by SIGKILL.
  virtual void put_down(Worker& worker, Ending ending, Cause cause, std::string why) = 0;
  /// From now on whoever dies is replaced by a worker of this program.
  virtual void adopt(SharedProgram program) = 0;

  /// Slots up to `slots` get workers; no client and no bucket yet.
  virtual void open_slots(std::uint16_t slots) = 0;
  /// Undoes that.
  virtual void close_slots(std::uint16_t slots) = 0;
  /// Slots below `slots` get all buckets and all new clients; those above close: nobody follows there.
  /// Sessions begin to move. Gives each pair of slots that have some, and whether both were told.
  [[nodiscard]] virtual std::map<SlotPair, bool> deal_buckets(std::uint16_t slots) = 0;
  /// Once more for one pair, whose taker has died. False if one of them has no worker.
  [[nodiscard]] virtual bool move_buckets(std::uint16_t from, std::uint16_t to) = 0;

  /// One more worker can be started: else those that leave have every lane.
  [[nodiscard]] virtual bool has_free_lane() const noexcept = 0;
  [[nodiscard]] virtual const Slots& slots() const noexcept = 0;
  /// The most slots that there can be.
  [[nodiscard]] virtual std::uint16_t capacity() const noexcept = 0;
  [[nodiscard]] virtual std::uint16_t listener_count() const noexcept = 0;
  [[nodiscard]] virtual const Program& program() const noexcept = 0;
};

}  // namespace limpet::supervisor
