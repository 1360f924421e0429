// Time-outs of one duration, of which some began in another process. Those that begin here are in order by
// themselves: one list, exact. Those that arrive with a part of their time left come in any order: each is
// due at the start of the next granule, a thousandth of the duration, so that all of one granule are due at
// the same time and need no order. Joining, arriving and leaving are O(1), finding the next nearly so.
//
// Owns nothing but the granules' lists (16 KiB), which are made for the first that arrives.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>

#include "worker/loop/timer_list.h"

namespace limpet::loop {

class TimerWheel {
 public:
  explicit TimerWheel(std::chrono::milliseconds duration)
      : granule_(std::max<Ticks>(std::chrono::milliseconds(1), Ticks(duration) / kGranulesOfDuration)) {}

  /// One that begins now. Leaves the list it was in. `due` must not lie before that of any who joined.
  void join(TimerHook& hook, TimePoint due) noexcept { in_order_.join(hook, due); }
  /// One that began elsewhere. Due at `due` or up to a granule later, at once if that has passed; but not
  /// later than a little more than the duration from `now` on, should it be longer where it comes from.
  void arrive(TimerHook& hook, TimePoint due, TimePoint now) {
    if (!wheel_) {
      wheel_ = std::make_unique<Wheel>();
      next_ = granule_at(now) + 1;
    }
    turn_to(now);
    if (due <= now) return due_arrivals_.join(hook, now);  // behind all of them: they were due before
    const std::int64_t wanted = granule_at(due - Ticks(1)) + 1;
    const std::int64_t granule = std::clamp(wanted, next_, next_ + kGranules - 1);
    const std::size_t place = place_of(granule);
    wheel_->lists[place].join(hook, TimePoint(granule * granule_));
    wheel_->occupied[place / kWordBits] |= std::uint64_t{1} << (place % kWordBits);
  }
  /// Who is due next; nullptr if nobody waits.
  [[nodiscard]] TimerHook* front() const noexcept {
    TimerHook* const arrived = due_arrivals_.empty() ? first_in_wheel() : due_arrivals_.front();
    return earlier(in_order_.front(), arrived);
  }
  /// The first one if it is due at `now`.
  [[nodiscard]] TimerHook* due(TimePoint now) noexcept {
    turn_to(now);
    TimerHook* const first = earlier(in_order_.front(), due_arrivals_.front());
    return first != nullptr && first->due <= now ? first : nullptr;
  }

 private:
  using Ticks = TimePoint::duration;
  static constexpr std::int64_t kGranulesOfDuration = 1000;
  static constexpr std::int64_t kGranules = 1024;
  static constexpr std::size_t kWordBits = 64;

  struct Wheel {
    std::array<TimerList, kGranules> lists;
    /// A list that everybody has left may still count as occupied until it is looked at.
    std::array<std::uint64_t, kGranules / kWordBits> occupied{};
  };

  static TimerHook* earlier(TimerHook* one, TimerHook* other) noexcept {
    if (one == nullptr || other == nullptr) return one == nullptr ? other : one;
    return other->due < one->due ? other : one;
  }
  static std::size_t place_of(std::int64_t granule) noexcept {
    return static_cast<std::size_t>(granule) % kGranules;
  }
  [[nodiscard]] std::int64_t granule_at(TimePoint time) const noexcept {
    return time.time_since_epoch() / granule_;
  }

  /// Those of granules that have begun leave the wheel, in their order. So the wheel never lags, however long
  /// those that are due have to wait, and one turn of it is all there is after any time.
  void turn_to(TimePoint now) noexcept {
    if (!wheel_ || granule_at(now) < next_) return;
    const std::int64_t last = granule_at(now);
    const std::int64_t last_occupied = std::min(last, next_ + kGranules - 1);
    for (; next_ <= last_occupied; ++next_) due_arrivals_.take_all(wheel_->lists[place_of(next_)]);
    next_ = last + 1;
  }

  [[nodiscard]] TimerHook* first_in_wheel() const noexcept {
    if (!wheel_) return nullptr;
    for (std::int64_t granule = next_; granule < next_ + kGranules;) {
      const std::size_t place = place_of(granule);
      const std::uint64_t rest = wheel_->occupied[place / kWordBits] >> (place % kWordBits);
      if (rest == 0) {
        granule += static_cast<std::int64_t>(kWordBits - place % kWordBits);
        continue;
      }
      granule += std::countr_zero(rest);
      const std::size_t found = place_of(granule);
      if (!wheel_->lists[found].empty()) return wheel_->lists[found].front();
      wheel_->occupied[found / kWordBits] &= ~(std::uint64_t{1} << (found % kWordBits));
    }
    return nullptr;
  }

  Ticks granule_;
  TimerList in_order_;
  TimerList due_arrivals_;  ///< taken from the wheel: due, the longest first
  std::unique_ptr<Wheel> wheel_;
  std::int64_t next_ = 0;  ///< the granule that begins next; the wheel has this one and those that follow
};

/// When the first of all who wait in these is due; nothing if nobody waits.
[[nodiscard]] inline std::optional<TimePoint> first_due(
    std::initializer_list<const TimerWheel*> wheels) noexcept {
  std::optional<TimePoint> next;
  for (const TimerWheel* wheel : wheels) {
    const TimerHook* const first = wheel->front();
    if (first != nullptr && (!next || first->due < *next)) next = first->due;
  }
  return next;
}

}  // namespace limpet::loop
