#include "supervisor/cluster/endings.h"

#include <fmt/format.h>

#include "supervisor/cluster/process_status.h"
#include "supervisor/system/log.h"

namespace limpet::supervisor {
namespace {

/// Between what asks a worker to end and SIGKILL.
constexpr std::chrono::milliseconds kEndGrace{1000};
/// Between SIGKILL and the word that it has not helped; then between two looks at why.
constexpr std::chrono::milliseconds kEndPatience{2000};
/// Between the deadline that a draining worker keeps by itself and the signal for one that does not.
constexpr std::chrono::milliseconds kDrainGrace{500};
/// A worker that closed its channel, or says that it failed, is about to exit; one that does not is helped.
constexpr std::chrono::milliseconds kExitGrace{2000};

}  // namespace

Endings::Endings(Watcher& watcher, Routes& routes, ClusterEvents& events)
    : watcher_(watcher), routes_(routes), events_(events) {}

void Endings::put_down(Worker& worker, Ending ending, Cause cause, std::string why) {
  if (!worker.cause) {
    worker.cause = cause;
    worker.cause_text = std::move(why);
    worker.ended_while = worker.state();
  }
  worker.happen(WorkerEvent::IsToStop, worker.cause_text);
  worker.end(ending);
  limit_end(worker);
  routes_.update();
}

void Endings::limit_boot(Worker& worker, Milliseconds left) {
  worker.deadline.start(left, [this, &worker] {
    // It may have been ready for long, unread, while the supervisor itself was stopped.
    watcher_.read_messages(worker);
    if (worker.is_booting() && !worker.has_ended()) {
      put_down(worker, Ending::Aborted, Cause::BootDeadline,
               fmt::format("not ready after {} ms", worker.program->options.boot_deadline.count()));
    }
  });
}

void Endings::limit_drain(Worker& worker, Milliseconds left, Milliseconds whole) {
  worker.deadline.start(left + kDrainGrace, [this, &worker, whole] {
    watcher_.read_messages(worker);
    if (worker.has_ended()) return;
    put_down(worker, Ending::ByMessage, Cause::DrainDeadline,
             fmt::format("has not left after {} ms, {} sessions left", whole.count(),
                         worker.progress ? worker.progress->sessions_left : 0));
  });
}

void Endings::limit_exit(Worker& worker, std::string why) {
  // One that drains keeps its own deadline.
  if (worker.state() == WorkerState::Draining || worker.state() == WorkerState::Stopping) return;
  worker.deadline.start(kExitGrace, [this, &worker, text = std::move(why)] {
    if (!worker.has_ended()) put_down(worker, Ending::Aborted, Cause::Misbehaved, text + " and did not exit");
  });
}

void Endings::limit_end(Worker& worker) {
  worker.deadline.start(kEndGrace, [this, &worker] {
    worker.end(Ending::Killed);
    watch_end(worker);
  });
}

/// `told`: the reason that was told before.
void Endings::watch_end(Worker& worker, const std::string& told) {
  worker.deadline.start(kEndPatience, [this, &worker, told] {
    const std::string why = what_holds(process_status(worker.pid()));
    if (why != told) {
      const std::string line = fmt::format("{}: waiting for its end: {}", worker.name(), why);
      log(Level::Warning, line);
      events_.on_held(line);
    }
    watch_end(worker, why);
  });
}

}  // namespace limpet::supervisor
