#include "supervisor/cluster/starts.h"

#include <fmt/format.h>

#include "base/check.h"
#include "supervisor/system/log.h"

namespace limpet::supervisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

}  // namespace

Starts::Starts(const Slots& slots, Births& births, Totals& totals, Routes& routes, Endings& endings,
               Watcher& watcher, const SharedProgram& program)
    : slots_(slots),
      births_(births),
      totals_(totals),
      routes_(routes),
      endings_(endings),
      watcher_(watcher),
      program_(program) {}

Worker* Starts::start(std::uint16_t number, const SharedProgram& program, std::string* why) {
  CHECK(!slots_.stopping(), "a worker is started while everything stops");
  Slot& slot = slots_.at(number);
  // A bridge has no sessions.
  const bool succeeds = program->options.move && slot.giver() != nullptr && !ipc::is_bridge(number);
  auto worker = births_.start(number, program, succeeds, why);
  if (worker == nullptr) {
    note_failure(slot, *why);
    return nullptr;
  }
  totals_.count_start(number);
  log(Level::Info, fmt::format("{}: spawned {}", worker->name(), to_text(program->file)));
  slot.respawn.cancel();
  watcher_.watch(*worker);
  endings_.limit_boot(*worker, program->options.boot_deadline);
  slot.workers.push_back(std::move(worker));
  return slot.workers.back().get();
}

void Starts::start(const Slot& slot) {
  std::string why;
  (void)start(slot.number, slot.program ? slot.program : program_, &why);
}

void Starts::ensure_tenant(Slot& slot, milliseconds served) {
  if (!slots_.wants_worker(slot)) return;
  const bool first = !ipc::is_bridge(slot.number) && totals_.starts(slot.number) == 0;
  if (first) return start(slot);
  const double chance = std::uniform_real_distribution<double>(0, 1)(chance_);
  schedule(slot, slot.policy.delay_after_death(served, chance));
}

void Starts::schedule(Slot& slot, milliseconds delay) {
  slot.next_start = steady_clock::now() + delay;
  slot.respawn.start(delay, [this, &slot] {
    start(slot);
    routes_.update();
  });
}

void Starts::note_failure(Slot& slot, const std::string& why) {
  totals_.count_start(slot.number);
  totals_.count_end(slot.number, Cause::NotStarted);
  ++slot.deaths;
  slot.last_obituary = fmt::format("{}: start a worker: {}", ipc::seat_name(slot.number), why);
  const bool next = !slot.has_prospect();
  if (next) ensure_tenant(slot, milliseconds(0));
  log(Level::Error, fmt::format("{}; {}", slot.last_obituary,
                                next ? slot.next_start_text() : "the slot has another worker"));
}

}  // namespace limpet::supervisor
