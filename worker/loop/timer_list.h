// Time-outs of one constant duration: whoever joins last is due last, so the list is in order by itself.
// Joining, leaving and finding the next are O(1). Owns nothing: a hook belongs to what waits, and must leave
// before it is freed.
#pragma once

#include "worker/loop/clock.h"

namespace limpet::loop {

struct TimerLink {
  TimerLink* previous = nullptr;  ///< nullptr: in no list
  TimerLink* next = nullptr;
};

struct TimerHook : TimerLink {
  TimePoint due{};

  [[nodiscard]] bool joined() const noexcept { return previous != nullptr; }
  /// No matter which list it is in; nothing if in none.
  void leave() noexcept {
    if (!joined()) return;
    previous->next = next;
    next->previous = previous;
    previous = next = nullptr;
  }
};
static_assert(sizeof(TimerHook) == 24, "every session has one");

class TimerList {
 public:
  TimerList() noexcept { ends_.previous = ends_.next = &ends_; }
  TimerList(const TimerList&) = delete;
  TimerList& operator=(const TimerList&) = delete;

  /// Leaves the list it was in. `due` must not lie before that of any who joined.
  void join(TimerHook& hook, TimePoint due) noexcept {
    hook.leave();
    hook.due = due;
    hook.previous = ends_.previous;
    hook.next = &ends_;
    ends_.previous->next = &hook;
    ends_.previous = &hook;
  }
  /// All that are in `others`, behind those that are here. The first of them must not be due before the last
  /// one here.
  void take_all(TimerList& others) noexcept {
    if (others.empty()) return;
    others.ends_.next->previous = ends_.previous;
    others.ends_.previous->next = &ends_;
    ends_.previous->next = others.ends_.next;
    ends_.previous = others.ends_.previous;
    others.ends_.previous = others.ends_.next = &others.ends_;
  }
  [[nodiscard]] bool empty() const noexcept { return ends_.next == &ends_; }
  /// Who is due next; nullptr if empty.
  [[nodiscard]] TimerHook* front() const noexcept {
    return empty() ? nullptr : static_cast<TimerHook*>(ends_.next);
  }

 private:
  TimerLink ends_;
};

}  // namespace limpet::loop
