#include "supervisor/cluster/slot.h"

#include <fmt/format.h>

#include <algorithm>

namespace limpet::supervisor {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

/// A seat that is empty for longer, or will be, is routed around.
constexpr milliseconds kVacancyTolerated{1000};

ipc::WorkerStatus status_of(const Worker& worker, Slot::TimePoint now) {
  ipc::WorkerStatus status;
  status.slot = worker.who().slot;
  status.lane = worker.who().lane;
  status.generation = worker.who().generation;
  status.pid = static_cast<std::uint32_t>(worker.pid());
  status.state = to_text(worker.state());
  status.seated = worker.is_seated();
  status.age = duration_cast<milliseconds>(now - worker.born);
  if (worker.counters) {
    status.since_beat =
        duration_cast<milliseconds>(now - std::max(worker.counters->last_beat(), worker.born));
    status.sessions = worker.counters->get(ipc::Counter::SessionsOpen);
  }
  status.since_beat = std::max(status.since_beat, milliseconds(0));
  return status;
}

std::string_view state_of(const Slot& slot) {
  const Worker* seated = slot.seated();
  if (slot.closing) return "closing";
  if (seated != nullptr && seated->silent) return "routed around";
  if (seated != nullptr) return slot.workers.size() > 1 ? "reloading" : "serving";
  return slot.respawn.running() ? "back-off" : "starting";
}

}  // namespace

Worker* Slot::seated() const noexcept {
  const auto found =
      std::find_if(workers.begin(), workers.end(), [](const auto& each) { return each->is_seated(); });
  return found == workers.end() ? nullptr : found->get();
}

Worker* Slot::leaving() const noexcept {
  const auto found = std::find_if(workers.begin(), workers.end(), [](const auto& each) {
    return each->state() == WorkerState::Draining || each->state() == WorkerState::Stopping;
  });
  return found == workers.end() ? nullptr : found->get();
}

Worker* Slot::giver() const noexcept {
  if (Worker* tenant = seated()) return tenant;
  const auto found = std::find_if(workers.begin(), workers.end(), [](const auto& each) {
    return each->state() == WorkerState::Draining && each->is_moving && each->has_sessions_left();
  });
  return found == workers.end() ? nullptr : found->get();
}

bool Slot::has_prospect() const noexcept {
  return respawn.running() || std::any_of(workers.begin(), workers.end(), [](const auto& each) {
           return each->is_booting() || each->state() == WorkerState::Ready || each->is_seated();
         });
}

bool Slot::takes_part(TimePoint now) const noexcept {
  if (const Worker* worker = seated()) return !worker->silent;
  const TimePoint filled_at_best = respawn.running() ? std::max(next_start, now) : now;
  return filled_at_best - vacant_since <= kVacancyTolerated;
}

ipc::SlotStatus Slot::status(TimePoint now) const {
  ipc::SlotStatus result;
  result.slot = number;
  result.state = state_of(*this);
  result.deaths = deaths;
  if (respawn.running())
    result.next_start = std::max(duration_cast<milliseconds>(next_start - now), milliseconds(0));
  result.last_obituary = last_obituary;
  for (const auto& worker : workers) result.workers.push_back(status_of(*worker, now));
  return result;
}

std::string Slot::next_start_text() const {
  const std::chrono::duration<double> left = next_start - std::chrono::steady_clock::now();
  return fmt::format("next start in {:.2f} s", left.count());
}

}  // namespace limpet::supervisor
