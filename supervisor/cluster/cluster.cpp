#include "supervisor/cluster/cluster.h"

#include <algorithm>
#include <stdexcept>

#include "supervisor/cluster/saved_program.h"
#include "supervisor/system/log.h"

namespace limpet::supervisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

}  // namespace

Cluster::Cluster(Loop& loop, ClusterEvents& events, Listeners listeners, ClusterSize size,
                 std::vector<int> cpus, SharedProgram program)
    : loop_(loop),
      events_(events),
      listeners_(std::move(listeners)),
      addresses_(listeners_.names()),
      births_(loop, listeners_, size.capacity, std::move(cpus)),
      program_(std::move(program)),
      totals_(size.slots),
      slots_(loop, size.slots) {
  buckets_.assign_all();
  routes_.begin();
}

Cluster::Cluster(Loop& loop, ClusterEvents& events, Listeners listeners, std::vector<int> cpus,
                 const upgrade::SupervisorState& state)
    : Cluster(loop, events, std::move(listeners), std::move(cpus), state, restore_programs(state)) {}

Cluster::Cluster(Loop& loop, ClusterEvents& events, Listeners listeners, std::vector<int> cpus,
                 const upgrade::SupervisorState& state, const std::vector<SharedProgram>& programs)
    : loop_(loop),
      events_(events),
      listeners_(std::move(listeners)),
      addresses_(listeners_.names()),
      births_(loop, listeners_, std::move(cpus), state),
      program_(programs.front()),
      totals_(state.used_slots),
      slots_(loop, state, programs),
      seats_(slots_, lending_, routes_, endings_, events_, program_, state.announced) {
  for (std::uint16_t number = 0; number < slots_.used(); ++number)
    totals_.restore(number, state.slots[number]);
}

void Cluster::start_all() {
  for (const auto& slot : slots_) slot->vacant_since = steady_clock::now();
  std::string why;
  // What not even one worker can be made of is no cluster: the operator looks at this terminal now.
  if (start_worker(0, program_, &why) == nullptr) throw std::runtime_error("start the first worker: " + why);
  for (const auto& slot : slots_) starts_.ensure_tenant(*slot, milliseconds(0));
  heartbeats_.start();
}

void Cluster::go_on() {
  slots_.each_worker([this](Worker& worker) { go_on_with(worker); });
  for (const auto& slot : slots_) {
    if (slot->next_start > steady_clock::now() && !slot->has_prospect()) {
      starts_.schedule(*slot, left_until(slot->next_start));
    } else {
      starts_.ensure_tenant(*slot, milliseconds(0));
    }
  }
  // The kernel still has the program of the image before: whatever that says, ours holds.
  routes_.begin();
  lending_.update();
  heartbeats_.start();
}

void Cluster::go_on_with(Worker& worker) {
  watch(worker);
  const milliseconds boot = worker.program->options.boot_deadline;
  if (worker.is_booting()) endings_.limit_boot(worker, left_until(worker.born + boot));
  if (worker.state() == WorkerState::Draining)
    endings_.limit_drain(worker, left_until(worker.drained_by), program_->options.drain_deadline);
  if (worker.state() == WorkerState::Stopping) endings_.limit_end(worker);
  if (worker.is_up() && !worker.counters)
    put_down(worker, Ending::ByMessage, Cause::Misbehaved,
             "its counters are of a layout that this build does not read");
}

void Cluster::save(upgrade::SupervisorState* into) const {
  std::vector<SharedProgram> programs = {program_};
  into->announced = seats_.announced();
  into->slots.resize(capacity());
  for (std::uint16_t slot = 0; slot < slots_.used(); ++slot) totals_.save(slot, &into->slots[slot]);
  into->listeners = listeners_.save();
  into->placement_seed = listeners_.placement_seed();
  slots_.save(into, &programs);
  births_.save(into);
  for (const SharedProgram& each : programs) into->programs.push_back(supervisor::save(*each));
}

void Cluster::tell_level(std::uint32_t level) {
  slots_.each_worker([level](Worker& worker) {
    if (ipc::is_known_at<ipc::Knows>(worker.level)) worker.tell(ipc::Knows{level});
  });
}

std::string Cluster::obstacle_to_exec() const {
  if (slots_.is_closing()) return "slots are still closing";
  if (slots_.has_bridges()) return "a bridge is there, which an upgrade does not carry over";
  for (const auto& slot : slots_) {
    for (const auto& worker : slot->workers)
      if (worker->channel.wants_write()) return worker->name() + " does not read its control channel";
  }
  return "";
}

void Cluster::stop(bool at_once) {
  slots_.stop();
  // Our copies: a socket is closed for new clients when its worker has closed the other.
  listeners_.close();
  slots_.each_worker([&](Worker& worker) { stop(worker, at_once); });
  if (slots_.are_empty()) events_.on_empty();
}

void Cluster::stop(Worker& worker, bool at_once) {
  const bool drains = worker.state() == WorkerState::Draining;
  if (at_once) {
    put_down(worker, Ending::Killed, Cause::Left, "stop at once");
  } else if (worker.is_moving && drains) {
    // To whom? Its successor drains as well.
    seats_.stop_moving(worker);
  } else if (worker.is_up()) {
    if (!drains) drain(worker, "stop");
  } else {
    put_down(worker, Ending::ByMessage, Cause::Left, "stop");
  }
}

std::uint16_t Cluster::open_bridge(SharedProgram program) {
  const Slot& seat = slots_.add_bridge(std::move(program));
  starts_.start(seat);
  return seat.number;
}

std::string Cluster::replace_bridge(std::uint16_t number, const SharedProgram& program) {
  Slot* const seat = slots_.find(number);
  if (seat == nullptr || seat->closing || stopping()) return ipc::seat_name(number) + " closes";
  if (!has_free_lane()) return "every lane is taken";
  for (const auto& worker : seat->workers) {
    if (worker->is_booting())
      put_down(*worker, Ending::ByMessage, Cause::Left, "withdrawn: another one follows");
  }
  // The back-off of a program that crashed is not that of the one that replaces it.
  seat->policy.forget();
  std::string why;
  (void)starts_.start(number, program, &why);
  return why;
}

void Cluster::close_bridge(std::uint16_t number) {
  Slot& seat = slots_.at(number);
  seat.closing = true;
  seat.respawn.cancel();
  for (const auto& worker : seat.workers) stop(*worker, false);
  slots_.remove_closed();
}

void Cluster::restore_listeners() {
  for (const std::string& line : listeners_.restore(addresses_of(program_->options)))
    log(Level::Warning, "listener: " + line);
}

Worker* Cluster::start_worker(std::uint16_t slot, const SharedProgram& program, std::string* why) {
  return starts_.start(slot, program, why);
}

void Cluster::put_down(Worker& worker, Ending ending, Cause cause, std::string why) {
  endings_.put_down(worker, ending, cause, std::move(why));
}

void Cluster::adopt(SharedProgram program) {
  heartbeats_.change_interval(program->options.heartbeat_interval);
  program_ = std::move(program);
}

void Cluster::open_slots(std::uint16_t slots) {
  totals_.grow(slots);
  slots_.grow(slots);
  for (std::uint16_t number = slots_.open(); number < slots; ++number) starts_.start(slots_.at(number));
}

void Cluster::close_slots(std::uint16_t slots) {
  slots_.close_from(slots);
  slots_.each_worker([&](Worker& worker) {
    if (worker.who().slot >= slots && !ipc::is_bridge(worker.who().slot))
      put_down(worker, Ending::ByMessage, Cause::Left, "withdrawn: its slot closes");
  });
  slots_.remove_closed();
}

std::map<SlotPair, bool> Cluster::deal_buckets(std::uint16_t slots) { return buckets_.deal(slots); }

bool Cluster::move_buckets(std::uint16_t from, std::uint16_t to) { return buckets_.move(from, to); }

void Cluster::watch(Worker& worker) {
  using Kind = Readiness::Kind;
  worker.on_message = std::make_unique<Readiness>(loop_, worker.channel.descriptor(), Kind::Read,
                                                  [this, &worker] { messages_.read(worker); });
  worker.on_end = std::make_unique<Readiness>(loop_, worker.child.descriptor(), Kind::Read,
                                              [this, &worker] { deaths_.take_end(worker); });
}

}  // namespace limpet::supervisor
