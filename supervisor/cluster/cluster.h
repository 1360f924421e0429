// The slots and their workers: who is started, seated, drained, put down; who is told of whom; where the
// kernel sends new clients. Owns the workers and the listening sockets; never touches a client's connection,
// runs no application code. A worker's fault never ends it; a contradiction in its own books always does
// (CHECK).
//
// What it does is in its parts, each of which has a header of its own and gets the others that it needs; here
// they are put together. Reload and scale are sequences of the steps, kept elsewhere
// (supervisor/operations/); what comes of a step is reported (supervisor/cluster/events.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "supervisor/cluster/births.h"
#include "supervisor/cluster/buckets.h"
#include "supervisor/cluster/control_messages.h"
#include "supervisor/cluster/deaths.h"
#include "supervisor/cluster/endings.h"
#include "supervisor/cluster/events.h"
#include "supervisor/cluster/heartbeats.h"
#include "supervisor/cluster/lending.h"
#include "supervisor/cluster/program.h"
#include "supervisor/cluster/routes.h"
#include "supervisor/cluster/seats.h"
#include "supervisor/cluster/slots.h"
#include "supervisor/cluster/starts.h"
#include "supervisor/cluster/steps.h"
#include "supervisor/cluster/totals.h"
#include "supervisor/cluster/watcher.h"
#include "supervisor/listen/listeners.h"

namespace limpet::supervisor {

struct ClusterSize {
  std::uint16_t slots;
  std::uint16_t capacity;  ///< the most slots that there can be: the listeners have sockets for them
};

class Cluster final : public ClusterSteps, private Watcher {
 public:
  /// `events` hears nothing before start_all() or go_on().
  Cluster(Loop& loop, ClusterEvents& events, Listeners listeners, ClusterSize size, std::vector<int> cpus,
          SharedProgram program);

  /// What an upgrade carries over. `state` has passed objection_to().
  Cluster(Loop& loop, ClusterEvents& events, Listeners listeners, std::vector<int> cpus,
          const upgrade::SupervisorState& state);

  void start_all();
  /// Instead, after an upgrade.
  void go_on();
  void save(upgrade::SupervisorState* into) const;
  /// What the supervisor knows (ipc/messages/version.h), to those workers that can hear it.
  void tell_level(std::uint32_t level);
  /// "" or what would be lost by an exec now.
  [[nodiscard]] std::string obstacle_to_exec() const;
  /// From now on: no new worker, no new connection; everybody drains. `at_once`: SIGKILL for all. May be
  /// called again.
  void stop(bool at_once);
  /// Makes the seat of a bridge and starts a worker of that program there. If it dies another one follows,
  /// until close_bridge(). Gives the number of the seat (ipc/birth/incarnation.h). Not while everything
  /// stops.
  [[nodiscard]] std::uint16_t open_bridge(SharedProgram program);
  /// A worker of that program is started, takes the seat when it is ready, and the one before leaves; if it
  /// ends before that, that one stays. "" or why it could not be started; then nothing has changed.
  [[nodiscard]] std::string replace_bridge(std::uint16_t seat, const SharedProgram& program);
  /// The workers of that seat leave, and no new one is started.
  void close_bridge(std::uint16_t seat);
  /// SIGCHLD came: a debugger may have given the status of a worker free.
  void take_held_ends() { deaths_.take_held_ends(); }
  /// Unix sockets whose files were swept: for the workers that start from now on. Says so in the log.
  void restore_listeners();
  /// None has started.
  void withdraw_restored_listeners() noexcept { listeners_.withdraw_restored(); }

  // ---- the steps of operations ----
  Worker* start_worker(std::uint16_t slot, const SharedProgram& program, std::string* why) override;
  void seat(Worker& worker) override { seats_.seat(worker); }
  void drain(Worker& worker, std::string_view why) override { seats_.drain(worker, why); }
  void put_down(Worker& worker, Ending ending, Cause cause, std::string why) override;
  void adopt(SharedProgram program) override;
  void open_slots(std::uint16_t slots) override;
  void close_slots(std::uint16_t slots) override;
  [[nodiscard]] std::map<SlotPair, bool> deal_buckets(std::uint16_t slots) override;
  [[nodiscard]] bool move_buckets(std::uint16_t from, std::uint16_t to) override;

  // ---- books ----
  [[nodiscard]] bool has_free_lane() const noexcept override { return births_.has_free_lane(); }
  [[nodiscard]] const Slots& slots() const noexcept override { return slots_; }
  [[nodiscard]] std::uint16_t capacity() const noexcept override { return births_.capacity(); }
  [[nodiscard]] std::uint16_t listener_count() const noexcept override { return listeners_.count(); }
  [[nodiscard]] const Program& program() const noexcept override { return *program_; }
  [[nodiscard]] const SharedProgram& shared_program() const noexcept { return program_; }
  [[nodiscard]] std::uint64_t placement_seed() const noexcept { return listeners_.placement_seed(); }
  [[nodiscard]] const std::vector<std::string>& addresses() const noexcept { return addresses_; }
  [[nodiscard]] bool stopping() const noexcept { return slots_.stopping(); }
  [[nodiscard]] ipc::StatsReply stats() const { return totals_.report(slots_.living()); }

 private:
  Cluster(Loop& loop, ClusterEvents& events, Listeners listeners, std::vector<int> cpus,
          const upgrade::SupervisorState& state, const std::vector<SharedProgram>& programs);
  void watch(Worker& worker) override;
  void read_messages(Worker& worker) override { messages_.read(worker); }
  void go_on_with(Worker& worker);
  void stop(Worker& worker, bool at_once);

  Loop& loop_;
  ClusterEvents& events_;
  Listeners listeners_;
  std::vector<std::string> addresses_;
  Births births_;
  SharedProgram program_;
  Totals totals_;
  Slots slots_;
  // The parts; each has references to those before it.
  Routes routes_{slots_, listeners_, births_.board()};
  Lending lending_{slots_, births_, listeners_};
  Endings endings_{*this, routes_, events_};
  Starts starts_{slots_, births_, totals_, routes_, endings_, *this, program_};
  Seats seats_{slots_, lending_, routes_, endings_, events_, program_};
  Buckets buckets_{slots_, births_, lending_, routes_, program_};
  Deaths deaths_{slots_, births_, totals_, starts_, routes_, endings_, events_};
  ControlMessages messages_{slots_, seats_, starts_, endings_, routes_, events_};
  Heartbeats heartbeats_{loop_, slots_, endings_, routes_, program_->options.heartbeat_interval};
};

}  // namespace limpet::supervisor
