// The CPU time of long turns, each with the wait before it, for there the supervisor's messages are worked
// off. Asking the kernel for it costs as much as a short turn, so it is asked only behind a wait that is not
// short, and when turns of a millisecond altogether have passed; what the others took is known by ticks.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace limpet::loop {

class TurnMeter {
 public:
  TurnMeter();

  /// Only what comes from now on counts: the process has started, or its application has been set up.
  void restart() noexcept;
  /// Before its wait.
  void begin_turn() noexcept;
  /// Its wait is over.
  void wake_up() noexcept;
  /// `in_handlers`: ticks (handler_clock.h) that handlers of the application ran in this turn. The
  /// thread's CPU time of this turn without them, if it may have been a long one.
  [[nodiscard]] std::optional<std::chrono::microseconds> end_turn(std::uint64_t in_handlers) noexcept;

 private:
  using Nanoseconds = std::chrono::duration<double, std::nano>;

  void learn_pace() noexcept;
  /// CPU time since the last question that is not of the turns before this one.
  [[nodiscard]] Nanoseconds ask() noexcept;
  [[nodiscard]] Nanoseconds nanoseconds(std::uint64_t ticks) const noexcept {
    return Nanoseconds(static_cast<double>(ticks) * nanoseconds_per_tick_);
  }

  std::chrono::steady_clock::time_point began_at_;
  std::uint64_t ticks_at_begin_;
  double nanoseconds_per_tick_ = 1;  ///< until it is known: more than any
  std::uint64_t turn_began_ = 0;
  std::uint64_t in_turns_ = 0;  ///< ticks of the turns since the last question, and of their short waits
  Nanoseconds in_wait_{0};      ///< CPU time of this turn's wait, if it was not short
  Nanoseconds cpu_;             ///< at the last question
};

}  // namespace limpet::loop
