// One incarnation of a worker, as the supervisor knows it: its process, its control channel, the descriptors
// of the memory that it made, its state. Owns all of them; decides nothing. State changes only through
// happen(), by the life-cycle table.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/log_gate.h"
#include "ipc/birth/spawn.h"
#include "ipc/messages/channel.h"
#include "ipc/messages/control.h"
#include "ipc/shared/counters.h"
#include "supervisor/cluster/causes.h"
#include "supervisor/cluster/lifecycle.h"
#include "supervisor/cluster/program.h"
#include "supervisor/system/loop.h"
#include "supervisor/upgrade/state.h"

namespace limpet::supervisor {

/// How a worker is ended. Never by SIGTERM, which is what strangers send: it asks to be replaced then.
enum class Ending : std::uint8_t {
  ByMessage,  ///< it is well, and not wanted
  Aborted,    ///< SIGABRT: it does not answer; a core dump may say why
  Killed,     ///< SIGKILL
};

class Worker {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// What a worker made, for its peers.
  struct Memory {
    base::Descriptor ring;
    base::Descriptor reader_page;
    base::Descriptor counters;
    base::Descriptor doorbell;
  };

  Worker(Loop& loop, const ipc::Incarnation& who, SharedProgram program, ipc::Child child,
         base::Descriptor control);
  /// One that an upgrade carries over. `state` has passed objection_to().
  Worker(Loop& loop, SharedProgram program, const upgrade::WorkerState& state);
  /// Without its program.
  [[nodiscard]] upgrade::WorkerState save() const;

  [[nodiscard]] const ipc::Incarnation& who() const noexcept { return who_; }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] std::string name() const;  ///< "slot 3 gen 7 pid 1234"

  [[nodiscard]] WorkerState state() const noexcept { return state_; }
  [[nodiscard]] bool is_booting() const noexcept {
    return state_ == WorkerState::Spawned || state_ == WorkerState::Attaching;
  }
  /// Runs the application: it beats, and can be asked to drain.
  [[nodiscard]] bool is_up() const noexcept {
    return state_ == WorkerState::Ready || state_ == WorkerState::Serving || state_ == WorkerState::Draining;
  }
  [[nodiscard]] bool is_seated() const noexcept { return state_ == WorkerState::Serving; }
  /// Its process is over, although its status may not have been taken yet.
  [[nodiscard]] bool has_ended() const noexcept;
  /// The one place that assigns a state; logs `slot 3 gen 7: ready -> draining (reload)`. Stops the
  /// supervisor if the event is impossible.
  void happen(WorkerEvent event, std::string_view why);

  /// A datagram that cannot be delivered is of no use any more: the worker is dead, or will be found out to
  /// be.
  void tell(const ipc::SupervisorMessage& message, std::initializer_list<int> descriptors = {});
  void tell(const ipc::SupervisorMessage& message, std::span<const int> descriptors);
  /// Makes its process end, which is known only when it has ended. What does not help is followed by another.
  void end(Ending ending);

  const SharedProgram program;  ///< what it runs, and the options that it was told
  ipc::Child child;
  ipc::Channel channel;
  std::string build;             ///< of Limpet's library, since its hello
  std::uint32_t level = 0;       ///< what that build knows (ipc/messages/version.h), since its hello
  std::optional<Memory> memory;  ///< since its hello
  std::optional<ipc::CounterView> counters;  ///< since its hello
  std::unique_ptr<Readiness> on_message;
  std::unique_ptr<Readiness> on_writable;
  std::unique_ptr<Readiness> on_end;
  Timer deadline;  ///< of what it is about: to boot, to drain, to end

  const TimePoint born;
  TimePoint ready_since{};
  bool silent = false;         ///< missed a beat
  TimePoint traced_at{};       ///< when it would have been taken for hung, and a debugger held it
  bool has_old_table = false;  ///< of buckets: from before an upgrade, which nobody can write any more
  /// Why it ends, when that is known before its status: what we decided, and what it said itself.
  std::optional<Cause> cause;
  std::string cause_text;
  WorkerState ended_while = WorkerState::Dead;  ///< what it was when `cause` was decided
  std::string last_words;

  /// Of a successor until it is seated: the giver's end of the stream on which sessions will come to it.
  base::Descriptor giver_end;
  /// Since it drains: its sessions move to whoever follows, instead of being closed.
  bool is_moving = false;
  TimePoint drained_by{};  ///< its own deadline
  std::optional<ipc::DrainProgress> progress;

  /// Something may still be there to move, or to close.
  [[nodiscard]] bool has_sessions_left() const noexcept { return !progress || progress->sessions_left > 0; }

 private:
  void flush_when_writable();

  Loop& loop_;
  ipc::Incarnation who_;
  pid_t pid_;
  base::LogGate untold_;
  WorkerState state_ = WorkerState::Spawned;
};

}  // namespace limpet::supervisor
