#include "supervisor/cluster/cluster.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "base/check.h"
#include "supervisor/cluster/process_status.h"
#include "supervisor/system/log.h"

namespace limpet::supervisor {
namespace {

using std::chrono::steady_clock;

/// Between what asks a worker to end and SIGKILL.
constexpr std::chrono::milliseconds kEndGrace{1000};
/// Between SIGKILL and the word that it has not helped; then between two looks at why.
constexpr std::chrono::milliseconds kEndPatience{2000};
/// Between the deadline that a draining worker keeps by itself and the signal for one that does not.
constexpr std::chrono::milliseconds kDrainGrace{500};

}  // namespace

Cluster::Cluster(Loop& loop, Listeners listeners, std::uint16_t slots, std::uint16_t capacity,
                 std::vector<int> cpus, SharedProgram program)
    : loop_(loop),
      listeners_(std::move(listeners)),
      addresses_(listeners_.names()),
      births_(loop, listeners_, capacity, std::move(cpus)),
      program_(std::move(program)),
      open_(slots),
      used_(slots),
      totals_(slots),
      heartbeat_(program_->options.heartbeat_interval),
      ticks_(loop),
      routes_(slots, true) {
  births_.assign(ipc::deal_buckets(slots));
  listeners_.route(routes_);
  write_board();
  for (std::uint16_t slot = 0; slot < slots; ++slot) slots_.push_back(std::make_unique<Slot>(loop, slot));
}

void Cluster::start_all() {
  for (const auto& slot : slots_) slot->vacant_since = steady_clock::now();
  std::string why;
  // What not even one worker can be made of is no cluster: the operator looks at this terminal now.
  if (start_worker(0, program_, &why) == nullptr) throw std::runtime_error("start the first worker: " + why);
  for (const auto& slot : slots_) ensure_tenant(*slot, Milliseconds(0));
  tick();
}

Worker* Cluster::start_worker(std::uint16_t number, const SharedProgram& program, std::string* why) {
  CHECK(!stopping_, "a worker is started while everything stops");
  Slot& slot = *slots_.at(number);
  const bool succeeds = program->options.move && slot.giver() != nullptr;
  auto worker = births_.start(number, program, succeeds, why);
  if (worker == nullptr) {
    note_failed_start(slot, *why);
    return nullptr;
  }
  totals_.count_start(number);
  log(Level::Info, fmt::format("{}: spawned {}", worker->name(), to_text(program->file)));
  slot.respawn.cancel();
  watch(*worker);
  limit_boot(*worker, program->options.boot_deadline);
  slot.workers.push_back(std::move(worker));
  return slot.workers.back().get();
}

void Cluster::watch(Worker& worker) {
  using Kind = Readiness::Kind;
  worker.on_message = std::make_unique<Readiness>(loop_, worker.channel.descriptor(), Kind::Read,
                                                  [this, &worker] { read_messages(worker); });
  worker.on_end = std::make_unique<Readiness>(loop_, worker.child.descriptor(), Kind::Read,
                                              [this, &worker] { take_end(worker); });
}

void Cluster::limit_boot(Worker& worker, Milliseconds left) {
  worker.deadline.start(left, [this, &worker] {
    // It may have been ready for long, unread, while the supervisor itself was stopped.
    read_messages(worker);
    if (worker.is_booting() && !worker.has_ended()) {
      put_down(worker, Ending::Aborted, Cause::BootDeadline,
               fmt::format("not ready after {} ms", worker.program->options.boot_deadline.count()));
    }
  });
}

void Cluster::seat(Worker& worker) {
  Slot& slot = *slots_.at(worker.who().slot);
  Worker* const predecessor = slot.seated();
  Worker* const giver = slot.giver();
  worker.happen(WorkerEvent::IsSeated, predecessor == nullptr ? "the seat is free" : "reload");
  // The new one first: between the two lines both accept; the other way round, nobody would.
  worker.tell(ipc::TakeSeat{});
  if (giver != nullptr && worker.giver_end) {
    move_sessions(*giver, worker);
  } else if (predecessor != nullptr) {
    drain(*predecessor, "reload");
  }
  // The giver has its own. With this one open it would never see the end of a taker that died.
  worker.giver_end = {};
  lend_closed_slots();
  update_routes();
  announce_if_all_seated();
  if (on_seated) on_seated(worker);
}

void Cluster::drain(Worker& worker, std::string_view why) {
  if (worker.is_seated()) worker.tell(ipc::GiveUpSeat{});
  worker.happen(WorkerEvent::IsToDrain, why);
  const Options& options = program_->options;
  worker.tell(ipc::Drain{options.drain_window, options.drain_deadline});
  limit_drain(worker, options.drain_deadline);
}

void Cluster::move_sessions(Worker& from, Worker& to) {
  const Options& options = to.program->options;
  if (from.is_seated()) {
    from.tell(ipc::GiveUpSeat{});
    from.happen(WorkerEvent::IsToDrain, "reload; its sessions move");
    from.is_moving = true;
    limit_drain(from, options.drain_deadline);
  }
  // A second successor brings no second deadline.
  const auto left = std::max(std::chrono::duration_cast<Milliseconds>(from.drained_by - steady_clock::now()),
                             Milliseconds(0));
  from.tell(ipc::Migrate{std::min(options.drain_window, left), left}, {to.giver_end.get()});
}

void Cluster::limit_drain(Worker& worker, Milliseconds deadline) {
  worker.drained_by = steady_clock::now() + deadline;
  limit_drain(worker, deadline, deadline);
}

void Cluster::limit_drain(Worker& worker, Milliseconds left, Milliseconds whole) {
  worker.deadline.start(left + kDrainGrace, [this, &worker, whole] {
    read_messages(worker);
    if (worker.has_ended()) return;
    put_down(worker, Ending::ByMessage, Cause::DrainDeadline,
             fmt::format("has not left after {} ms, {} sessions left", whole.count(),
                         worker.progress ? worker.progress->sessions_left : 0));
  });
}

void Cluster::put_down(Worker& worker, Ending ending, Cause cause, std::string why) {
  if (!worker.cause) {
    worker.cause = cause;
    worker.cause_text = std::move(why);
    worker.ended_while = worker.state();
  }
  worker.happen(WorkerEvent::IsToStop, worker.cause_text);
  worker.end(ending);
  limit_end(worker);
  update_routes();
}

void Cluster::limit_end(Worker& worker) {
  worker.deadline.start(kEndGrace, [this, &worker] {
    worker.end(Ending::Killed);
    watch_end(worker, "");
  });
}

/// Nothing more can be done, but whoever waits for its end is told. `told`: the reason that was told before.
void Cluster::watch_end(Worker& worker, const std::string& told) {
  worker.deadline.start(kEndPatience, [this, &worker, told] {
    const std::string why = what_holds(process_status(worker.pid()));
    if (why != told) {
      const std::string line = fmt::format("{}: waiting for its end: {}", worker.name(), why);
      log(Level::Warning, line);
      if (on_held) on_held(line);
    }
    watch_end(worker, why);
  });
}

void Cluster::stop(bool at_once) {
  stopping_ = true;
  // Our copies: a socket is closed for new clients when its worker has closed the other.
  listeners_.close();
  for (const auto& slot : slots_) slot->respawn.cancel();
  each_worker([&](Worker& worker) {
    if (at_once) {
      put_down(worker, Ending::Killed, Cause::Left, "stop at once");
    } else if (worker.is_moving && worker.state() == WorkerState::Draining) {
      // To whom? Its successor drains as well.
      worker.is_moving = false;
      const auto left = std::max(
          std::chrono::duration_cast<Milliseconds>(worker.drained_by - steady_clock::now()), Milliseconds(0));
      worker.tell(ipc::Drain{std::min(program_->options.drain_window, left), left});
    } else if (worker.is_up()) {
      if (worker.state() != WorkerState::Draining) drain(worker, "stop");
    } else {
      put_down(worker, Ending::ByMessage, Cause::Left, "stop");
    }
  });
  const bool empty =
      std::all_of(slots_.begin(), slots_.end(), [](const auto& slot) { return slot->workers.empty(); });
  if (empty && on_empty) on_empty();
}

void Cluster::restore_listeners() {
  for (const std::string& line : listeners_.restore(addresses_of(program_->options)))
    log(Level::Warning, "listener: " + line);
}

void Cluster::adopt(SharedProgram program) {
  heartbeat_.change_interval(program->options.heartbeat_interval);
  program_ = std::move(program);
}

void Cluster::announce_if_all_seated() {
  if (announced_ ||
      !std::all_of(slots_.begin(), slots_.end(), [](const auto& slot) { return slot->seated() != nullptr; }))
    return;
  announced_ = true;
  if (on_all_seated) on_all_seated();
}

std::vector<ipc::SlotStatus> Cluster::slot_statuses() const {
  std::vector<ipc::SlotStatus> result;
  for (const auto& slot : slots_) result.push_back(slot->status(steady_clock::now()));
  return result;
}

std::vector<std::uint16_t> Cluster::all_slots() const {
  std::vector<std::uint16_t> result(open_);
  std::iota(result.begin(), result.end(), std::uint16_t{0});
  return result;
}

std::vector<std::uint16_t> Cluster::slots_of(const std::set<std::uint64_t>& generations) const {
  std::vector<std::uint16_t> result = all_slots();
  std::erase_if(result, [&](std::uint16_t slot) {
    const Worker* const seated = slots_.at(slot)->seated();
    return seated == nullptr || !generations.contains(seated->who().generation);
  });
  return result;
}

bool Cluster::has_process(pid_t pid) const {
  return std::any_of(slots_.begin(), slots_.end(), [pid](const auto& slot) {
    return std::any_of(slot->workers.begin(), slot->workers.end(),
                       [pid](const auto& worker) { return worker->pid() == pid; });
  });
}

ipc::StatsReply Cluster::stats() const {
  std::vector<Totals::Living> living;
  for (const auto& slot : slots_) {
    for (const auto& worker : slot->workers) {
      if (worker->counters) living.push_back({slot->number, &*worker->counters});
    }
  }
  return totals_.report(living);
}

}  // namespace limpet::supervisor
