// Time-outs of one constant duration: whoever joins last is due last, so the list is in order by itself.
// Joining, leaving and finding the next are O(1). Owns nothing: a hook belongs to what waits, and must leave
// before it is freed.
#pragma once

#include "worker/http/clock.h"

namespace limpet::engineio {

struct TimerHook {
  TimerHook* previous = nullptr;  ///< nullptr: in no list
  TimerHook* next = nullptr;
  http::TimePoint due{};

  [[nodiscard]] bool joined() const noexcept { return previous != nullptr; }
  /// No matter which list it is in; nothing if in none.
  void leave() noexcept {
    if (!joined()) return;
    previous->next = next;
    next->previous = previous;
    previous = next = nullptr;
  }
};

class TimerList {
 public:
  TimerList() noexcept { ends_.previous = ends_.next = &ends_; }
  TimerList(const TimerList&) = delete;
  TimerList& operator=(const TimerList&) = delete;

  /// Leaves the list it was in. `due` must not lie before that of any who joined.
  void join(TimerHook& hook, http::TimePoint due) noexcept {
    hook.leave();
    hook.due = due;
    hook.previous = ends_.previous;
    hook.next = &ends_;
    ends_.previous->next = &hook;
    ends_.previous = &hook;
  }
  /// Anywhere, by its due time; looks from the back.
  void join_in_order(TimerHook& hook, http::TimePoint due) noexcept {
    hook.leave();
    hook.due = due;
    TimerHook* before = ends_.previous;
    while (before != &ends_ && before->due > due) before = before->previous;
    hook.previous = before;
    hook.next = before->next;
    hook.next->previous = &hook;
    before->next = &hook;
  }
  [[nodiscard]] bool empty() const noexcept { return ends_.next == &ends_; }
  /// Who is due next; nullptr if empty.
  [[nodiscard]] TimerHook* front() const noexcept { return empty() ? nullptr : ends_.next; }
  /// The first one if it is due at `now`.
  [[nodiscard]] TimerHook* due(http::TimePoint now) const noexcept {
    return !empty() && ends_.next->due <= now ? ends_.next : nullptr;
  }
  /// Behind `hook`; nullptr at the end.
  [[nodiscard]] TimerHook* after(const TimerHook& hook) const noexcept {
    return hook.next == &ends_ ? nullptr : hook.next;
  }

 private:
  TimerHook ends_;
};

}  // namespace limpet::engineio
