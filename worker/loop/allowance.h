// What the work of one turn may use, in units and time (law 13). Whoever works off something that a client,
// an application or an operator can make large asks before each piece, and leaves the rest for the next turn
// when the answer is no. A worker has one; its loop begins a share of it for each part of a turn: input,
// closes, output. What a piece costs in units is said by whoever takes it; a unit is about a microsecond.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "worker/loop/clock.h"

namespace limpet::loop {

/// Of work that goes over so many bytes: what copying and looking at them costs.
[[nodiscard]] constexpr std::uint32_t units_of_bytes(std::size_t bytes) noexcept {
  return static_cast<std::uint32_t>(bytes / 4096);
}

class Allowance {
 public:
  using Now = TimePoint (*)() noexcept;

  /// Nothing is left until the first begin(). `now`: where time is read, every kUnitsBetweenLooks units.
  explicit Allowance(Now now = &steady_now) noexcept : now_(now) {}

  /// A new share: as many units, and not more than this time. The first piece is always granted.
  void begin(std::uint32_t units, std::chrono::microseconds time) noexcept {
    units_left_ = units;
    until_look_ = kUnitsBetweenLooks;
    began_at_ = now_();
    deadline_ = began_at_ + time;
    fresh_ = true;
    denied_ = false;
  }
  /// True: do the piece of work, which costs `units`, one at least. False: leave it for the next turn.
  [[nodiscard]] bool take(std::uint32_t units = 1) noexcept {
    if (units == 0) units = 1;
    if (fresh_) {
      fresh_ = false;
    } else if (units_left_ < units || is_late(units)) {
      units_left_ = 0;
      denied_ = true;
      return false;
    }
    units_left_ -= units < units_left_ ? units : units_left_;
    return true;
  }
  /// Of all allowances: a piece has taken much longer than its units say (a handler of the application can
  /// take any time), so time is looked at before the next one.
  static void note_long_piece() noexcept { ++long_pieces_; }
  [[nodiscard]] TimePoint began_at() const noexcept { return began_at_; }
  /// Nothing more will be granted in this share. May say false before the next take() does.
  [[nodiscard]] bool exhausted() const noexcept { return units_left_ == 0 && !fresh_; }
  /// Somebody was told to wait since begin().
  [[nodiscard]] bool denied() const noexcept { return denied_; }

  /// For tests, and for the end of a worker, where nobody waits for the next turn.
  [[nodiscard]] static Allowance unlimited() noexcept {
    Allowance allowance;
    allowance.begin(UINT32_MAX, std::chrono::hours(1));
    return allowance;
  }

 private:
  static constexpr std::uint32_t kUnitsBetweenLooks = 16;

  static TimePoint steady_now() noexcept { return std::chrono::steady_clock::now(); }
  [[nodiscard]] bool is_late(std::uint32_t units) noexcept {
    if (units < until_look_ && seen_long_pieces_ == long_pieces_) {
      until_look_ -= units;
      return false;
    }
    seen_long_pieces_ = long_pieces_;
    until_look_ = kUnitsBetweenLooks;
    return now_() >= deadline_;
  }

  inline static std::uint32_t long_pieces_ = 0;  // a worker has one thread

  Now now_;
  TimePoint began_at_{};
  TimePoint deadline_{};
  std::uint32_t units_left_ = 0;
  std::uint32_t until_look_ = kUnitsBetweenLooks;
  std::uint32_t seen_long_pieces_ = 0;
  bool fresh_ = false;
  bool denied_ = false;
};

}  // namespace limpet::loop
