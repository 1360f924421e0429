#include "supervisor/cluster/slots.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace limpet::supervisor {

using std::chrono::steady_clock;

Slots::Slots(Loop& loop, std::uint16_t open) : loop_(loop), open_(open), used_(open) {
  for (std::uint16_t number = 0; number < open; ++number)
    slots_.push_back(std::make_unique<Slot>(loop, number));
}

Slots::Slots(Loop& loop, const upgrade::SupervisorState& state, const std::vector<SharedProgram>& programs)
    : loop_(loop), open_(state.open_slots), used_(state.used_slots) {
  for (std::uint16_t number = 0; number < open_; ++number) {
    const upgrade::SlotState& from = state.slots[number];
    auto slot = std::make_unique<Slot>(loop, number);
    slot->policy = RespawnPolicy(from.deaths_in_a_row);
    slot->next_start = upgrade::time_of(from.next_start);
    slot->vacant_since = upgrade::time_of(from.vacant_since);
    slot->deaths = from.deaths;
    slot->last_obituary = from.last_obituary;
    slots_.push_back(std::move(slot));
  }
  for (const upgrade::WorkerState& each : state.workers) {
    slots_.at(each.who.slot)
        ->workers.push_back(std::make_unique<Worker>(loop, programs.at(each.program), each));
  }
}

void Slots::save(upgrade::SupervisorState* into, std::vector<SharedProgram>* programs) const {
  into->open_slots = open_;
  into->used_slots = used_;
  for (const auto& slot : slots_) {
    upgrade::SlotState& state = into->slots.at(slot->number);
    state.deaths_in_a_row = slot->policy.deaths_in_a_row();
    if (slot->respawn.running()) state.next_start = upgrade::moment_of(slot->next_start);
    state.vacant_since = upgrade::moment_of(slot->vacant_since);
    state.deaths = slot->deaths;
    state.last_obituary = slot->last_obituary;
    for (const auto& worker : slot->workers) {
      auto place = std::find(programs->begin(), programs->end(), worker->program);
      if (place == programs->end()) place = programs->insert(place, worker->program);
      into->workers.push_back(worker->save());
      into->workers.back().program = static_cast<std::uint16_t>(place - programs->begin());
    }
  }
}

void Slots::grow(std::uint16_t slots) {
  used_ = std::max(used_, slots);
  for (auto number = static_cast<std::uint16_t>(slots_.size()); number < slots; ++number) {
    slots_.push_back(std::make_unique<Slot>(loop_, number));
    slots_.back()->vacant_since = steady_clock::now();
  }
}

void Slots::set_open(std::uint16_t slots) {
  open_ = slots;
  close_from(slots);
}

void Slots::close_from(std::uint16_t first) {
  for (std::size_t number = first; number < slots_.size(); ++number) {
    slots_[number]->closing = true;
    slots_[number]->respawn.cancel();
  }
}

void Slots::remove_closed() {
  const auto is_over = [](const Slot& seat) { return seat.closing && seat.workers.empty(); };
  while (slots_.size() > open_ && is_over(*slots_.back())) slots_.pop_back();
  std::erase_if(bridges_, [&is_over](const auto& bridge) { return is_over(*bridge.second); });
}

Slot& Slots::add_bridge(SharedProgram program) {
  std::uint16_t number = base::kFirstBridge;
  while (bridges_.contains(number)) ++number;
  CHECK(number < base::kSlotLimit, "no number is left for another bridge");
  auto seat = std::make_unique<Slot>(loop_, number, std::move(program));
  return *bridges_.emplace(number, std::move(seat)).first->second;
}

Slot* Slots::find(std::uint16_t number) const noexcept {
  if (!ipc::is_bridge(number)) return number < slots_.size() ? slots_[number].get() : nullptr;
  const auto bridge = bridges_.find(number);
  return bridge == bridges_.end() ? nullptr : bridge->second.get();
}

void Slots::stop() {
  stopping_ = true;
  each_seat([](Slot& seat) { seat.respawn.cancel(); });
}

bool Slots::are_empty() const noexcept {
  bool empty = true;
  each_seat([&empty](Slot& seat) { empty = empty && seat.workers.empty(); });
  return empty;
}

bool Slots::are_all_seated() const noexcept {
  return std::all_of(slots_.begin(), slots_.end(),
                     [](const auto& slot) { return slot->seated() != nullptr; });
}

std::vector<std::uint16_t> Slots::all_open() const {
  std::vector<std::uint16_t> result(open_);
  std::iota(result.begin(), result.end(), std::uint16_t{0});
  return result;
}

std::vector<std::uint16_t> Slots::seats_of(const std::set<std::uint64_t>& generations) const {
  std::vector<std::uint16_t> result = all_open();
  std::erase_if(result, [&](std::uint16_t slot) {
    const Worker* const seated = at(slot).seated();
    return seated == nullptr || !generations.contains(seated->who().generation);
  });
  return result;
}

std::vector<const Slot*> Slots::bridges_of(const std::set<std::uint64_t>& generations) const {
  std::vector<const Slot*> result;
  for (const auto& [number, bridge] : bridges_) {
    const Worker* const seated = bridge->seated();
    if (seated != nullptr && generations.contains(seated->who().generation)) result.push_back(bridge.get());
  }
  return result;
}

bool Slots::has_process(pid_t pid) const noexcept {
  bool found = false;
  each_worker([&found, pid](const Worker& worker) { found = found || worker.pid() == pid; });
  return found;
}

std::vector<ipc::SlotStatus> Slots::statuses() const {
  std::vector<ipc::SlotStatus> result;
  for (const auto& slot : slots_) result.push_back(slot->status(steady_clock::now()));
  return result;
}

std::vector<Totals::Living> Slots::living() const {
  std::vector<Totals::Living> result;
  for (const auto& slot : slots_) {
    for (const auto& worker : slot->workers) {
      if (worker->counters) result.push_back({slot->number, &*worker->counters});
    }
  }
  return result;
}

std::unique_ptr<Worker> Slots::take_out(const Worker& worker) {
  auto& workers = at(worker.who().slot).workers;
  const auto place =
      std::find_if(workers.begin(), workers.end(), [&](const auto& each) { return each.get() == &worker; });
  CHECK(place != workers.end(), worker.name() + " ended and is in no slot");
  std::unique_ptr<Worker> owned = std::move(*place);
  workers.erase(place);
  return owned;
}

}  // namespace limpet::supervisor
