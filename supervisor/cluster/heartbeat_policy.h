// What a silent worker gets: routed around after one missed beat, killed after two. And what nobody gets who
// was silent while the supervisor itself did not run. Policy only: the clock is an argument.
#pragma once

#include <chrono>

namespace limpet::supervisor {

enum class Pulse : std::uint8_t { Beating, Silent, Hung };

class HeartbeatPolicy {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Milliseconds = std::chrono::milliseconds;

  explicit HeartbeatPolicy(Milliseconds interval) : interval_(interval) {}

  /// How often `tick` is to be called.
  [[nodiscard]] Milliseconds tick_period() const noexcept { return interval_ / 5; }
  /// Once per tick, before any worker is judged. A tick that comes late grants everybody a fresh deadline: a
  /// supervisor that was stopped or starved has not listened. True if it did.
  bool tick(TimePoint now) noexcept;
  /// `last_beat`: of the worker. `since`: the moment from which it owes beats (it became ready). `interval`:
  /// what the worker itself was told, which during a reload may be another than ours.
  [[nodiscard]] Pulse judge(TimePoint last_beat, TimePoint since, TimePoint now,
                            Milliseconds interval) const noexcept;

  void change_interval(Milliseconds interval) noexcept { interval_ = interval; }

 private:
  Milliseconds interval_;
  TimePoint last_tick_{};
  TimePoint granted_{};
};

}  // namespace limpet::supervisor
