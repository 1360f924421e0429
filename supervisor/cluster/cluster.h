// The slots and their workers: who is started, seated, drained, put down; who is told of whom; where the
// kernel sends new clients. Owns the workers and the listening sockets; never touches a client's connection,
// runs no application code. A worker's fault never ends it; a contradiction in its own books always does
// (CHECK).
//
// Reload and stop are sequences of these steps, kept elsewhere: Rollout and Supervisor watch through the
// callbacks.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "ipc/messages/codec.h"
#include "supervisor/cluster/births.h"
#include "supervisor/cluster/heartbeat_policy.h"
#include "supervisor/cluster/program.h"
#include "supervisor/cluster/slot.h"
#include "supervisor/cluster/totals.h"
#include "supervisor/listen/listeners.h"

namespace limpet::supervisor {

class Cluster {
 public:
  using Milliseconds = std::chrono::milliseconds;

  /// `slots` of the `capacity` that `listeners` has sockets for.
  Cluster(Loop& loop, Listeners listeners, std::uint16_t slots, std::uint16_t capacity, std::vector<int> cpus,
          SharedProgram program);

  /// What an upgrade carries over. `state` has passed objection_to().
  Cluster(Loop& loop, Listeners listeners, std::vector<int> cpus, const ipc::SupervisorState& state);

  // ---- steps ----
  void start_all();
  /// Instead, after an upgrade.
  void go_on();
  void save(ipc::SupervisorState* into) const;
  /// What the supervisor knows (ipc/messages/messages.h), to those workers that can hear it.
  void tell_level(std::uint32_t level);
  /// "" or what would be lost by an exec now.
  [[nodiscard]] std::string obstacle_to_exec() const;
  /// Of a program that may be another than the cluster's. Null, with the reason in `*why`, if it could not be
  /// started; that is told and counted.
  Worker* start_worker(std::uint16_t slot, const SharedProgram& program, std::string* why);
  /// The worker is ready. Who had the seat gives it up; its sessions move, or are drained.
  void seat(Worker& worker);
  void drain(Worker& worker, std::string_view why);
  /// Ends it: so now, by SIGKILL a second later.
  void put_down(Worker& worker, Ending ending, Cause cause, std::string why);
  /// From now on: no new worker, no new connection; everybody drains. `at_once`: SIGKILL for all. May be
  /// called again.
  void stop(bool at_once);
  /// SIGCHLD came: a debugger may have given the status of a worker free.
  void take_held_ends();
  /// From now on whoever dies is replaced by a worker of this program.
  void adopt(SharedProgram program);
  /// Unix sockets whose files were swept: for the workers that start from now on. Says so in the log.
  void restore_listeners();
  /// None has started.
  void withdraw_restored_listeners() noexcept { listeners_.withdraw_restored(); }

  // ---- steps of another number of slots (supervisor/operations/scaling.h), in cluster_slots.cpp ----
  /// Slots up to `slots` get workers; no client and no bucket yet.
  void open_slots(std::uint16_t slots);
  /// Undoes that.
  void close_slots(std::uint16_t slots);
  /// Slots below `slots` get all buckets and all new clients; those above close: nobody follows there.
  /// Sessions begin to move. Gives each pair (from, to) of slots that have some, and whether both were told.
  [[nodiscard]] std::map<std::pair<std::uint16_t, std::uint16_t>, bool> deal_buckets(std::uint16_t slots);
  /// Once more for one pair, whose taker has died. False if one of them has no worker.
  [[nodiscard]] bool move_buckets(std::uint16_t from, std::uint16_t to);

  // ---- callbacks, all optional ----
  /// True: the caller seats it, in its own time.
  std::function<bool(Worker&)> on_ready;
  /// After its peers were told; it is in no list any more.
  std::function<void(const Worker&, Cause, const std::string& obituary)> on_gone;
  std::function<void(const Worker&)> on_drain_progress;
  /// Somebody wants it replaced.
  std::function<void(const Worker&)> on_signalled;
  std::function<void(const Worker&)> on_seated;
  std::function<void(const Worker&, const ipc::BucketsMoved&)> on_buckets_moved;
  /// A worker does not end whatever was done: a sentence that names it, and why.
  std::function<void(const std::string& line)> on_held;
  std::function<void()> on_all_seated;  ///< once
  std::function<void()> on_empty;       ///< after stop(): nobody is left

  // ---- books ----
  /// Those that have buckets, and get clients.
  [[nodiscard]] std::uint16_t slots() const noexcept { return open_; }
  [[nodiscard]] bool is_closing_slots() const noexcept { return slots_.size() > open_; }
  [[nodiscard]] std::uint16_t capacity() const noexcept { return births_.capacity(); }
  [[nodiscard]] std::uint64_t placement_seed() const noexcept { return listeners_.placement_seed(); }
  [[nodiscard]] std::uint16_t listener_count() const noexcept { return listeners_.count(); }
  [[nodiscard]] Slot& slot(std::uint16_t number) { return *slots_.at(number); }
  /// Who has the seat of a slot that may be closed already.
  [[nodiscard]] Worker* tenant(std::uint16_t number) const {
    return number < slots_.size() ? slots_[number]->seated() : nullptr;
  }
  [[nodiscard]] const Program& program() const noexcept { return *program_; }
  [[nodiscard]] const SharedProgram& shared_program() const noexcept { return program_; }
  [[nodiscard]] std::vector<std::uint16_t> all_slots() const;
  /// The open slots in which one of these generations is seated.
  [[nodiscard]] std::vector<std::uint16_t> slots_of(const std::set<std::uint64_t>& generations) const;
  [[nodiscard]] bool has_process(pid_t pid) const;
  [[nodiscard]] const std::vector<std::string>& addresses() const noexcept { return addresses_; }
  [[nodiscard]] bool stopping() const noexcept { return stopping_; }
  [[nodiscard]] std::vector<ipc::SlotStatus> slot_statuses() const;
  [[nodiscard]] ipc::StatsReply stats() const;

 private:
  // control_messages.cpp: what workers say
  void read_messages(Worker& worker);
  void take_message(Worker& worker, ipc::Datagram& datagram);
  template <class Message>
  struct Row;
  struct Messages;
  template <class Message>
  void take(Worker& worker, const Message& message, ipc::Datagram& datagram);
  void welcome(Worker& worker, const ipc::Hello& hello, ipc::Datagram& datagram);
  void introduce(const Worker& known, Worker& to);
  void take_ready(Worker& worker, const ipc::Ready& ready, ipc::Datagram& datagram);
  void take_failure(Worker& worker, const ipc::Failed& failed, ipc::Datagram& datagram);
  void take_progress(Worker& worker, const ipc::DrainProgress& progress, ipc::Datagram& datagram);
  void take_leaving(Worker& worker, const ipc::Leaving& leaving, ipc::Datagram& datagram);
  void take_buckets_moved(Worker& worker, const ipc::BucketsMoved& moved, ipc::Datagram& datagram);
  void take_signalled(Worker& worker, const ipc::Signalled& signalled, ipc::Datagram& datagram);
  void note_own_drain(Worker& worker);
  void channel_closed(Worker& worker, std::string_view why);

  // deaths.cpp: how they end
  void take_end(Worker& worker);
  void read_last_words(Worker& worker);
  [[nodiscard]] Cause cause_of(const Worker& worker, const ipc::ExitStatus& status) const;
  void bury(std::unique_ptr<Worker> worker, const ipc::ExitStatus& status);
  /// Starts a worker now or, after a death, when the policy says so.
  void ensure_tenant(Slot& slot, Milliseconds served);
  void schedule_start(Slot& slot, Milliseconds delay);
  void note_failed_start(Slot& slot, const std::string& why);

  // watching.cpp: heartbeats and routes
  void tick();
  void take_pulse(Worker& worker);
  void update_routes();
  void write_board();
  void count_sessions();

  Cluster(Loop& loop, Listeners listeners, std::vector<int> cpus, const ipc::SupervisorState& state,
          const std::vector<SharedProgram>& programs);
  void watch(Worker& worker);
  [[nodiscard]] base::Descriptor expect_sessions(std::uint16_t from, std::uint16_t to);
  bool tell_to_move(std::uint16_t from, std::uint16_t to, const base::Descriptor& giver_end);
  /// What arrives at the sockets of a closed slot is served by an heir.
  void lend_closed_slots();
  void remove_closed_slots();
  void limit_boot(Worker& worker, Milliseconds left);
  void limit_end(Worker& worker);
  void watch_end(Worker& worker, const std::string& told);
  void limit_drain(Worker& worker, Milliseconds left, Milliseconds whole);
  void move_sessions(Worker& from, Worker& to);
  void limit_drain(Worker& worker, Milliseconds deadline);
  void announce_if_all_seated();
  template <class Visit>
  void each_worker(Visit visit) {
    for (const auto& slot : slots_) {
      // A copy: a visit may end a worker's membership.
      std::vector<Worker*> workers;
      for (const auto& worker : slot->workers) workers.push_back(worker.get());
      for (Worker* worker : workers) visit(*worker);
    }
  }

  Loop& loop_;
  Listeners listeners_;
  std::vector<std::string> addresses_;
  Births births_;
  SharedProgram program_;
  std::vector<std::unique_ptr<Slot>> slots_;  ///< those with a worker, or about to have one
  std::uint16_t open_;
  std::uint16_t used_;                           ///< those below have ever been open
  std::map<std::uint16_t, std::uint64_t> lent_;  ///< closed slot -> generation of its heir
  Totals totals_;
  HeartbeatPolicy heartbeat_;
  Timer ticks_;
  std::vector<bool> routes_;
  std::minstd_rand chance_{std::random_device{}()};
  bool announced_ = false;
  bool stopping_ = false;
};

}  // namespace limpet::supervisor
