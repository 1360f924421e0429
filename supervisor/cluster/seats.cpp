#include "supervisor/cluster/seats.h"

#include <algorithm>

namespace limpet::supervisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

}  // namespace

Seats::Seats(const Slots& slots, Lending& lending, Routes& routes, Endings& endings, ClusterEvents& events,
             const SharedProgram& program, bool announced)
    : slots_(slots),
      lending_(lending),
      routes_(routes),
      endings_(endings),
      events_(events),
      program_(program),
      announced_(announced) {}

void Seats::seat(Worker& worker) {
  Slot& slot = slots_.at(worker.who().slot);
  if (slot.program) slot.program = worker.program;
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
  lending_.update();
  routes_.update();
  if (!announced_ && slots_.are_all_seated()) {
    announced_ = true;
    events_.on_all_seated();
  }
  events_.on_seated(worker);
}

void Seats::drain(Worker& worker, std::string_view why) {
  if (worker.is_seated()) worker.tell(ipc::GiveUpSeat{});
  worker.happen(WorkerEvent::IsToDrain, why);
  const Options& options = program_->options;
  worker.tell(ipc::Drain{options.drain_window, options.drain_deadline});
  limit_drain(worker, options.drain_deadline);
}

void Seats::note_drain(Worker& worker, std::string_view why) {
  worker.happen(WorkerEvent::IsToDrain, why);
  limit_drain(worker, program_->options.drain_deadline);
}

void Seats::move_sessions(Worker& from, Worker& to) {
  const Options& options = to.program->options;
  if (from.is_seated()) {
    from.tell(ipc::GiveUpSeat{});
    from.happen(WorkerEvent::IsToDrain, "reload; its sessions move");
    from.is_moving = true;
    limit_drain(from, options.drain_deadline);
  }
  // A second successor brings no second deadline.
  const milliseconds left = left_until(from.drained_by);
  from.tell(ipc::Migrate{std::min(options.drain_window, left), left}, {to.giver_end.get()});
}

void Seats::stop_moving(Worker& worker) {
  worker.is_moving = false;
  const milliseconds left = left_until(worker.drained_by);
  worker.tell(ipc::Drain{std::min(program_->options.drain_window, left), left});
}

void Seats::limit_drain(Worker& worker, milliseconds deadline) {
  worker.drained_by = steady_clock::now() + deadline;
  endings_.limit_drain(worker, deadline, deadline);
}

}  // namespace limpet::supervisor
