// What of a cluster goes through an upgrade, and how it goes on behind it.

#include <algorithm>

#include "supervisor/cluster/cluster.h"
#include "supervisor/upgrade/state.h"

namespace limpet::supervisor {

using std::chrono::steady_clock;

Cluster::Cluster(Loop& loop, Listeners listeners, std::vector<int> cpus, const ipc::SupervisorState& state)
    : Cluster(loop, std::move(listeners), std::move(cpus), state, restore_programs(state)) {}

Cluster::Cluster(Loop& loop, Listeners listeners, std::vector<int> cpus, const ipc::SupervisorState& state,
                 const std::vector<SharedProgram>& programs)
    : loop_(loop),
      listeners_(std::move(listeners)),
      addresses_(listeners_.names()),
      births_(loop, listeners_, std::move(cpus), state),
      program_(programs.front()),
      open_(state.open_slots),
      used_(state.used_slots),
      totals_(state.used_slots),
      heartbeat_(program_->options.heartbeat_interval),
      ticks_(loop),
      announced_(state.announced) {
  for (std::uint16_t number = 0; number < used_; ++number) totals_.restore(number, state.slots[number]);
  for (std::uint16_t number = 0; number < open_; ++number) {
    const ipc::SlotState& from = state.slots[number];
    auto slot = std::make_unique<Slot>(loop, number);
    slot->policy = RespawnPolicy(from.deaths_in_a_row);
    slot->next_start = ipc::time_of(from.next_start);
    slot->vacant_since = ipc::time_of(from.vacant_since);
    slot->deaths = from.deaths;
    slot->last_obituary = from.last_obituary;
    slots_.push_back(std::move(slot));
  }
  for (const ipc::WorkerState& each : state.workers) {
    slots_.at(each.who.slot)
        ->workers.push_back(std::make_unique<Worker>(loop, programs.at(each.program), each));
  }
}

void Cluster::go_on() {
  const auto left_until = [](Worker::TimePoint time) {
    return std::max(std::chrono::duration_cast<Milliseconds>(time - steady_clock::now()), Milliseconds(0));
  };
  each_worker([&](Worker& worker) {
    watch(worker);
    const Milliseconds boot = worker.program->options.boot_deadline;
    if (worker.is_booting()) limit_boot(worker, left_until(worker.born + boot));
    if (worker.state() == WorkerState::Draining)
      limit_drain(worker, left_until(worker.drained_by), program_->options.drain_deadline);
    if (worker.state() == WorkerState::Stopping) limit_end(worker);
    if (worker.is_up() && !worker.counters)
      put_down(worker, Ending::ByMessage, Cause::Misbehaved,
               "its counters are of a layout that this build does not read");
  });
  for (const auto& slot : slots_) {
    if (slot->next_start > steady_clock::now() && !slot->has_prospect()) {
      schedule_start(*slot, left_until(slot->next_start));
    } else {
      ensure_tenant(*slot, Milliseconds(0));
    }
  }
  // The kernel still has the program of the image before: whatever that says, ours holds.
  listeners_.route(routes_ = std::vector<bool>(open_, true));
  write_board();
  lend_closed_slots();
  tick();
}

void Cluster::save(ipc::SupervisorState* into) const {
  std::vector<SharedProgram> programs = {program_};
  into->announced = announced_;
  into->open_slots = open_;
  into->used_slots = used_;
  into->slots.resize(capacity());
  for (std::uint16_t slot = 0; slot < used_; ++slot) totals_.save(slot, &into->slots[slot]);
  into->listeners = listeners_.save();
  into->placement_seed = listeners_.placement_seed();
  for (const auto& slot : slots_) {
    ipc::SlotState& state = into->slots.at(slot->number);
    state.deaths_in_a_row = slot->policy.deaths_in_a_row();
    if (slot->respawn.running()) state.next_start = ipc::moment_of(slot->next_start);
    state.vacant_since = ipc::moment_of(slot->vacant_since);
    state.deaths = slot->deaths;
    state.last_obituary = slot->last_obituary;
    for (const auto& worker : slot->workers) {
      auto place = std::find(programs.begin(), programs.end(), worker->program);
      if (place == programs.end()) place = programs.insert(place, worker->program);
      into->workers.push_back(worker->save());
      into->workers.back().program = static_cast<std::uint16_t>(place - programs.begin());
    }
  }
  births_.save(into);
  for (const SharedProgram& each : programs) into->programs.push_back(supervisor::save(*each));
}

void Cluster::tell_level(std::uint32_t level) {
  each_worker([level](Worker& worker) {
    if (worker.level > 0) worker.tell(ipc::Knows{level});
  });
}

std::string Cluster::obstacle_to_exec() const {
  if (is_closing_slots()) return "slots are still closing";
  for (const auto& slot : slots_) {
    for (const auto& worker : slot->workers)
      if (worker->channel.wants_write()) return worker->name() + " does not read its control channel";
  }
  return "";
}

}  // namespace limpet::supervisor
