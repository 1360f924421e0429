// The CPU time of long turns. Asking the kernel for it costs as much as a short turn, so it is asked only
// when turns of a millisecond altogether have passed; what the others among them took is known by ticks.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace limpet::process {

class TurnMeter {
 public:
  TurnMeter();

  /// Only what comes from now on counts: the worker has started, and begins to serve.
  void restart() noexcept;
  void begin_turn() noexcept;
  /// `in_handlers`: ticks (socketio/handler_clock.h) that handlers of the application ran in this turn. The
  /// thread's CPU time of this turn without them, if it may have been a long one. It may be too much by what
  /// the waits since the last question took, some tenths of a millisecond.
  [[nodiscard]] std::optional<std::chrono::microseconds> end_turn(std::uint64_t in_handlers) noexcept;

 private:
  using Nanoseconds = std::chrono::duration<double, std::nano>;

  void learn_pace() noexcept;

  std::chrono::steady_clock::time_point began_at_;
  std::uint64_t ticks_at_begin_;
  double nanoseconds_per_tick_ = 1;  ///< until it is known: more than any
  std::uint64_t turn_began_ = 0;
  std::uint64_t in_turns_ = 0;  ///< ticks of the turns since the last question
  Nanoseconds cpu_;             ///< at the last question
};

}  // namespace limpet::process
