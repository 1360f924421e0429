#include "supervisor/cluster/respawn_policy.h"

#include <algorithm>

namespace limpet::supervisor {

RespawnPolicy::Milliseconds RespawnPolicy::delay_after_death(Milliseconds served, double chance) noexcept {
  if (served >= kLivedWell) deaths_in_a_row_ = 0;
  // 2^9 × 0.1 s is beyond the longest delay already.
  const unsigned doublings = std::min(deaths_in_a_row_, 9U);
  ++deaths_in_a_row_;
  const Milliseconds delay = std::min(kFirstDelay * (1 << doublings), kLongestDelay);
  return delay +
         Milliseconds(static_cast<Milliseconds::rep>(static_cast<double>(delay.count()) * kJitter * chance));
}

}  // namespace limpet::supervisor
