// The time of the current loop turn. The worker's loop advances it once per turn; tests set it by hand.
// Protocol layers read time from nowhere else.
#pragma once

#include <chrono>

namespace limpet::http {

using TimePoint = std::chrono::steady_clock::time_point;

class Clock {
 public:
  explicit Clock(TimePoint start = {}) : now_(start) {}
  [[nodiscard]] TimePoint now() const noexcept { return now_; }
  void advance_to(TimePoint now) noexcept { now_ = now; }

 private:
  TimePoint now_;
};

}  // namespace limpet::http
