#include "supervisor/cluster/heartbeats.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "supervisor/cluster/process_status.h"
#include "supervisor/system/log.h"

namespace limpet::supervisor {
namespace {

using std::chrono::steady_clock;

}  // namespace

Heartbeats::Heartbeats(Loop& loop, const Slots& slots, Endings& endings, Routes& routes,
                       std::chrono::milliseconds interval)
    : slots_(slots), endings_(endings), routes_(routes), policy_(interval), ticks_(loop) {}

void Heartbeats::tick() {
  if (policy_.tick(steady_clock::now())) {
    log(Level::Warning, "supervisor: did not run for a while; every worker gets a fresh deadline");
  }
  slots_.each_worker([this](Worker& worker) { take_pulse(worker); });
  routes_.update();
  routes_.publish_sessions();
  ticks_.start(policy_.tick_period(), [this] { tick(); });
}

void Heartbeats::take_pulse(Worker& worker) {
  if (!worker.is_up() || worker.has_ended()) return;
  const auto now = steady_clock::now();
  const auto last_beat = worker.counters->last_beat();
  const Pulse pulse = policy_.judge(last_beat, std::max(worker.ready_since, worker.traced_at), now,
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
    endings_.put_down(worker, Ending::Aborted, Cause::Hung,
                      fmt::format("hung: no heartbeat for {:.1f} s", silence));
  } else if (worker.silent && !was_silent) {
    log(Level::Warning,
        fmt::format("{}: no heartbeat for {:.1f} s; it is routed around", worker.name(), silence));
  } else if (!worker.silent && was_silent) {
    log(Level::Info, fmt::format("{}: beats again", worker.name()));
  }
}

}  // namespace limpet::supervisor
