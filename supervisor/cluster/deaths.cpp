// How workers end, what is said and counted about it, and who comes next.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "ipc/messages/codec.h"
#include "supervisor/cluster/cluster.h"
#include "supervisor/system/log.h"

namespace limpet::supervisor {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

double seconds(steady_clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

milliseconds time_served(const Worker& worker) {
  if (worker.ready_since == Worker::TimePoint{}) return milliseconds(0);
  return duration_cast<milliseconds>(steady_clock::now() - worker.ready_since);
}

/// "died: exit status 1 (it said: no such file) after 0.3 s, while attaching"
std::string how_it_ended(const Worker& worker, WorkerState last_state, Cause cause,
                         const ipc::ExitStatus& status) {
  std::string text = cause == Cause::Left ? "left: "
                     : worker.cause       ? "killed: " + worker.cause_text + ": "
                                          : "died: ";
  text += to_text(status);
  if (!worker.last_words.empty()) text += fmt::format(" (it said: {})", worker.last_words);
  text += fmt::format(", {:.1f} s old, while {}", seconds(steady_clock::now() - worker.born),
                      to_text(last_state));
  const bool said_nothing = worker.level == 0 && last_state == WorkerState::Spawned;
  return text + (said_nothing ? " (it has not called limpet::run)" : "");
}

void ring(const base::Descriptor& doorbell) {
  const std::uint64_t one = 1;
  // A full eventfd is rung already; any other failure is the fault of the worker that sent the descriptor.
  [[maybe_unused]] const ssize_t written = ::write(doorbell.get(), &one, sizeof one);
}

}  // namespace

void Cluster::take_end(Worker& worker) {
  const auto status = worker.child.try_reap();
  if (!status) {
    // Its debugger gets the status first, and the descriptor stays readable until it has taken it.
    if (std::exchange(worker.on_end, nullptr)) watch_end(worker, "");
    return;
  }
  read_last_words(worker);
  auto& workers = slots_.at(worker.who().slot)->workers;
  const auto place =
      std::find_if(workers.begin(), workers.end(), [&](const auto& each) { return each.get() == &worker; });
  CHECK(place != workers.end(), worker.name() + " ended and is in no slot");
  auto owned = std::move(*place);
  workers.erase(place);
  bury(std::move(owned), *status);
}

void Cluster::take_held_ends() {
  each_worker([this](Worker& worker) {
    if (!worker.on_end) take_end(worker);
  });
}

void Cluster::read_last_words(Worker& worker) {
  ipc::Datagram datagram;
  std::string ignored;
  // Twice: the first answer may be the reset that follows what we sent and it never read; its words come
  // after.
  // Also if nobody listens to it any more, which may be because of that reset.
  for (int closed = 0; closed < 2;) {
    const auto received = worker.channel.receive(&datagram);
    if (received != ipc::ReceiveStatus::Message) {
      ++closed;
      continue;
    }
    const auto message = ipc::decode_worker_message(datagram, &ignored);
    if (!message) continue;
    if (const auto* failed = std::get_if<ipc::Failed>(&*message)) worker.last_words = failed->reason;
    if (const auto* progress = std::get_if<ipc::DrainProgress>(&*message)) worker.progress = *progress;
    if (const auto* leaving = std::get_if<ipc::Leaving>(&*message))
      worker.progress = ipc::DrainProgress{0, leaving->moved, leaving->drained};
  }
}

Cause Cluster::cause_of(const Worker& worker, const ipc::ExitStatus& status) const {
  if (worker.cause) return *worker.cause;
  if (worker.state() == WorkerState::Draining && status.clean()) return Cause::Left;
  return status.by_signal ? Cause::Signal : Cause::Exit;
}

void Cluster::bury(std::unique_ptr<Worker> worker, const ipc::ExitStatus& status) {
  Slot& slot = *slots_.at(worker->who().slot);
  const WorkerState last_state = worker->state();
  const Cause cause = cause_of(*worker, status);
  const milliseconds served = time_served(*worker);
  const WorkerState ended_while = worker->cause ? worker->ended_while : last_state;
  const std::string obituary =
      fmt::format("{}: {}", worker->name(), how_it_ended(*worker, ended_while, cause, status));
  worker->happen(WorkerEvent::HasEnded, to_text(status));
  worker->on_end.reset();
  worker->on_message.reset();
  worker->on_writable.reset();
  worker->deadline.cancel();

  if (worker->counters) totals_.retire(slot.number, *worker->counters);
  totals_.count_end(slot.number, cause);
  if (cause != Cause::Left) {
    ++slot.deaths;
    slot.last_obituary = obituary;
  }
  // Its clients wait in the accept queue for the next one. Those of a worker that hung have waited enough:
  // its slot stays routed around until somebody sits there.
  if (last_state == WorkerState::Serving) slot.vacant_since = steady_clock::now();
  if (worker->memory)
    each_worker([&](Worker& peer) {
      if (!peer.memory) return;
      peer.tell(ipc::PeerLeft{worker->who()});
      // It may have died between publishing a record and ringing: then only this wakes a reader that sleeps.
      ring(peer.memory->doorbell);
    });
  births_.bury(*worker);

  const bool next = !stopping_ && !slot.closing && !slot.has_prospect();
  if (next) ensure_tenant(slot, served);
  const auto level = cause == Cause::Left ? Level::Info : Level::Warning;
  log(level, fmt::format("{}; {}", obituary,
                         stopping_      ? "nobody follows: everything stops"
                         : slot.closing ? "nobody follows: its slot closes"
                         : next         ? fmt::format("next start in {:.2f} s",
                                                      seconds(slot.next_start - steady_clock::now()))
                                        : "the slot has another worker"));
  if (!stopping_) update_routes();
  remove_closed_slots();
  if (on_gone) on_gone(*worker, cause, obituary);
  const bool empty =
      std::all_of(slots_.begin(), slots_.end(), [](const auto& each) { return each->workers.empty(); });
  if (stopping_ && empty && on_empty) on_empty();
}

void Cluster::ensure_tenant(Slot& slot, milliseconds served) {
  if (stopping_ || slot.closing || slot.has_prospect()) return;
  const bool first = totals_.starts(slot.number) == 0;
  if (!first) {
    const double chance = std::uniform_real_distribution<double>(0, 1)(chance_);
    return schedule_start(slot, slot.policy.delay_after_death(served, chance));
  }
  std::string why;
  (void)start_worker(slot.number, program_, &why);
}

void Cluster::schedule_start(Slot& slot, milliseconds delay) {
  slot.next_start = steady_clock::now() + delay;
  slot.respawn.start(delay, [this, &slot] {
    std::string why;
    (void)start_worker(slot.number, program_, &why);
    update_routes();
  });
}

void Cluster::note_failed_start(Slot& slot, const std::string& why) {
  totals_.count_start(slot.number);
  totals_.count_end(slot.number, Cause::NotStarted);
  ++slot.deaths;
  slot.last_obituary = fmt::format("slot {}: start a worker: {}", slot.number, why);
  const bool next = !slot.has_prospect();
  if (next) ensure_tenant(slot, milliseconds(0));
  log(Level::Error,
      fmt::format("{}; {}", slot.last_obituary,
                  next ? fmt::format("next start in {:.2f} s", seconds(slot.next_start - steady_clock::now()))
                       : "the slot has another worker"));
}

}  // namespace limpet::supervisor
