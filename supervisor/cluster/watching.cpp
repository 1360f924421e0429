// Heartbeats, and where the kernel sends new clients.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "supervisor/cluster/cluster.h"
#include "supervisor/cluster/process_status.h"
#include "supervisor/system/log.h"

namespace limpet::supervisor {
namespace {

using std::chrono::steady_clock;

std::string list_of(const std::vector<bool>& routes, bool wanted) {
  std::string result;
  for (std::size_t slot = 0; slot < routes.size(); ++slot) {
    if (routes[slot] == wanted) result += fmt::format("{}{}", result.empty() ? "" : ", ", slot);
  }
  return result;
}

}  // namespace

void Cluster::tick() {
  if (heartbeat_.tick(steady_clock::now())) {
    log(Level::Warning, "supervisor: did not run for a while; every worker gets a fresh deadline");
  }
  each_worker([this](Worker& worker) { take_pulse(worker); });
  update_routes();
  count_sessions();
  ticks_.start(heartbeat_.tick_period(), [this] { tick(); });
}

void Cluster::take_pulse(Worker& worker) {
  if (!worker.is_up() || worker.has_ended()) return;
  const auto now = steady_clock::now();
  const auto last_beat = worker.counters->last_beat();
  const Pulse pulse = heartbeat_.judge(last_beat, std::max(worker.ready_since, worker.traced_at), now,
                                       worker.program->options.heartbeat_interval);
  const bool was_silent =
      std::exchange(worker.silent, pulse != Pulse::Beating || last_beat < worker.traced_at);
  const double silence = std::chrono::duration<double>(now - std::max(last_beat, worker.ready_since)).count();
  if (const pid_t tracer = pulse == Pulse::Hung ? process_status(worker.child.pid()).tracer : 0;
      tracer != 0) {
    worker.traced_at = now;
    log(Level::Warning, fmt::format("{}: no heartbeat for {:.1f} s; process {} debugs it, so it is not ended",
                                    worker.name(), silence, tracer));
  } else if (pulse == Pulse::Hung) {
    put_down(worker, Ending::Aborted, Cause::Hung, fmt::format("hung: no heartbeat for {:.1f} s", silence));
  } else if (worker.silent && !was_silent) {
    log(Level::Warning,
        fmt::format("{}: no heartbeat for {:.1f} s; it is routed around", worker.name(), silence));
  } else if (!worker.silent && was_silent) {
    log(Level::Info, fmt::format("{}: beats again", worker.name()));
  }
}

void Cluster::count_sessions() {
  for (const auto& slot : slots_) {
    std::uint64_t sessions = 0;
    for (const auto& worker : slot->workers) {
      if (worker->counters) sessions += worker->counters->get(ipc::Counter::SessionsOpen);
    }
    births_.board().set_sessions(slot->number, sessions);
  }
  births_.board().publish();
}

/// Of every slot there can be: one that is closed takes no part.
void Cluster::write_board() {
  for (std::uint16_t slot = 0; slot < births_.board().slots(); ++slot)
    births_.board().set_takes_part(slot, slot < routes_.size() && routes_[slot]);
}

void Cluster::update_routes() {
  if (stopping_) return;
  const auto now = steady_clock::now();
  std::vector<bool> next;
  for (std::uint16_t slot = 0; slot < open_; ++slot) next.push_back(slots_[slot]->takes_part(now));
  // Nobody can take anything: their clients wait where they belong.
  const bool none = std::none_of(next.begin(), next.end(), [](bool each) { return each; });
  if (none) next.assign(next.size(), true);
  if (next == routes_) return;
  listeners_.route(next);
  routes_ = next;
  write_board();
  const std::string out = list_of(routes_, false);
  log(Level::Info,
      none          ? "routes: no slot serves; clients wait at their own"
      : out.empty() ? "routes: every slot gets its clients"
                    : fmt::format("routes: clients of slots {} go to slots {}", out, list_of(routes_, true)));
}

}  // namespace limpet::supervisor
