#include "supervisor/cluster/deaths.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "ipc/messages/control.h"
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

void read_last_words(Worker& worker) {
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

Cause cause_of(const Worker& worker, const ipc::ExitStatus& status) {
  if (worker.cause) return *worker.cause;
  if (worker.state() == WorkerState::Draining && status.clean()) return Cause::Left;
  return status.by_signal ? Cause::Signal : Cause::Exit;
}

}  // namespace

Deaths::Deaths(Slots& slots, Births& births, Totals& totals, Starts& starts, Routes& routes, Endings& endings,
               ClusterEvents& events)
    : slots_(slots),
      births_(births),
      totals_(totals),
      starts_(starts),
      routes_(routes),
      endings_(endings),
      events_(events) {}

void Deaths::take_end(Worker& worker) {
  const auto status = worker.child.try_reap();
  if (!status) {
    // Its debugger gets the status first, and the descriptor stays readable until it has taken it.
    if (std::exchange(worker.on_end, nullptr)) endings_.watch_end(worker);
    return;
  }
  read_last_words(worker);
  bury(slots_.take_out(worker), *status);
}

void Deaths::take_held_ends() {
  slots_.each_worker([this](Worker& worker) {
    if (!worker.on_end) take_end(worker);
  });
}

void Deaths::bury(std::unique_ptr<Worker> worker, const ipc::ExitStatus& status) {
  Slot& slot = slots_.at(worker->who().slot);
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
  tell_peers(*worker);
  births_.bury(*worker);

  const bool next = slots_.wants_worker(slot);
  if (next) starts_.ensure_tenant(slot, served);
  const auto level = cause == Cause::Left ? Level::Info : Level::Warning;
  log(level, fmt::format("{}; {}", obituary,
                         slots_.stopping() ? "nobody follows: everything stops"
                         : slot.closing    ? "nobody follows: its slot closes"
                         : next            ? slot.next_start_text()
                                           : "the slot has another worker"));
  routes_.update();
  slots_.remove_closed();
  events_.on_gone(*worker, cause, obituary);
  if (slots_.stopping() && slots_.are_empty()) events_.on_empty();
}

void Deaths::tell_peers(const Worker& dead) {
  if (!dead.memory) return;
  slots_.each_worker([&](Worker& peer) {
    if (!peer.memory) return;
    peer.tell(ipc::PeerLeft{dead.who()});
    // It may have died between publishing a record and ringing: then only this wakes a reader that sleeps.
    ring(peer.memory->doorbell);
  });
}

}  // namespace limpet::supervisor
