// How long the application's handlers have run, in ticks of a counter that costs some nanoseconds to read:
// the loop takes it off a turn's CPU time, so that the rest is what the server itself needed. A handler that
// runs inside another counts once.
#pragma once

#include <chrono>
#include <cstdint>

#include "worker/loop/allowance.h"

namespace limpet::loop {

/// The processor's time-stamp counter where there is one, else nanoseconds.
inline std::uint64_t ticks_now() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

class HandlerClock {
 public:
  /// A handler runs as long as this lives.
  class Running {
   public:
    explicit Running(HandlerClock& clock) noexcept : clock_(clock) {
      if (clock_.depth_++ == 0) clock_.since_ = ticks_now();
    }
    ~Running() {
      if (--clock_.depth_ != 0) return;
      const std::uint64_t ran = ticks_now() - clock_.since_;
      clock_.ticks_ += ran;
      if (ran > kLongTicks) Allowance::note_long_piece();
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    HandlerClock& clock_;
  };

  /// Since the start.
  [[nodiscard]] std::uint64_t ticks() const noexcept { return ticks_; }

 private:
  /// Some tens of microseconds, up to a hundred.
  static constexpr std::uint64_t kLongTicks = 100'000;

  std::uint64_t ticks_ = 0;
  std::uint64_t since_ = 0;
  unsigned depth_ = 0;
};

}  // namespace limpet::loop
