// When a slot's next worker is started: 0.1 s after the first death, doubling to 30 s, with jitter, until a
// worker has lived well. Policy only: it starts nothing and asks no clock.
#pragma once

#include <chrono>

namespace limpet::supervisor {

class RespawnPolicy {
 public:
  using Milliseconds = std::chrono::milliseconds;

  static constexpr Milliseconds kFirstDelay{100};
  static constexpr Milliseconds kLongestDelay{30'000};
  /// Behind a worker that served for this long the back-off starts again.
  static constexpr Milliseconds kLivedWell{10'000};
  /// Each delay is stretched by up to this share, so that slots that died together do not start together.
  static constexpr double kJitter = 0.2;

  RespawnPolicy() = default;
  explicit RespawnPolicy(unsigned deaths_in_a_row) noexcept : deaths_in_a_row_(deaths_in_a_row) {}

  /// A worker ended that should not have. `served`: how long it was ready. `chance`: in [0, 1), a new one
  /// each time.
  [[nodiscard]] Milliseconds delay_after_death(Milliseconds served, double chance) noexcept;

  /// Deaths in a row without a worker that lived well.
  [[nodiscard]] unsigned deaths_in_a_row() const noexcept { return deaths_in_a_row_; }
  /// A reload brings another program, perhaps a better one.
  void forget() noexcept { deaths_in_a_row_ = 0; }

 private:
  unsigned deaths_in_a_row_ = 0;
};

}  // namespace limpet::supervisor
