#include "supervisor/cluster/heartbeat_policy.h"

#include <algorithm>

namespace limpet::supervisor {

bool HeartbeatPolicy::tick(TimePoint now) noexcept {
  // Three periods: what a machine under load may delay a timer by does not count, what a worker could miss
  // half a beat in does.
  const bool late = last_tick_ != TimePoint{} && now - last_tick_ > 3 * tick_period();
  if (late) granted_ = now;
  last_tick_ = now;
  return late;
}

Pulse HeartbeatPolicy::judge(TimePoint last_beat, TimePoint since, TimePoint now,
                             Milliseconds interval) const noexcept {
  const auto silence = now - std::max({last_beat, since, granted_});
  if (silence > 2 * interval) return Pulse::Hung;
  return silence > interval ? Pulse::Silent : Pulse::Beating;
}

}  // namespace limpet::supervisor
