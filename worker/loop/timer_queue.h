// What is due at some later turn, in order of time. Owns the tasks; runs nothing by itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "worker/loop/allowance.h"
#include "worker/loop/clock.h"

namespace limpet::loop {

class TimerQueue {
 public:
  using Id = std::uint64_t;  ///< never 0

  /// `period` 0: once.
  Id add(TimePoint due, std::chrono::nanoseconds period, std::function<void()> task);
  bool cancel(Id id);
  [[nodiscard]] std::optional<TimePoint> next_deadline() const;
  /// Runs, through `door`, what was due at `now` when the call began, the earliest first, each for a unit of
  /// `allowance`; what that does not suffice for is still due then. Tasks may add and cancel.
  void run_due(TimePoint now, Allowance& allowance,
               const std::function<void(const std::function<void()>&)>& door);

 private:
  using Key = std::pair<TimePoint, Id>;
  struct Timer {
    std::chrono::nanoseconds period;
    std::function<void()> task;
  };
  std::map<Key, Timer> timers_;
  std::map<Id, TimePoint> due_;
  Id last_id_ = 0;
};

}  // namespace limpet::loop
