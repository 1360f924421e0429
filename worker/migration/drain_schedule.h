// How many sessions a drain has to close by when: evenly over the window, so that their clients do not come
// back as one herd. Policy only: knows numbers and times.
#pragma once

#include <chrono>
#include <cstddef>

#include "worker/loop/clock.h"

namespace limpet::migration {

class DrainSchedule {
 public:
  DrainSchedule(loop::TimePoint start, std::size_t sessions, std::chrono::milliseconds window,
                std::chrono::milliseconds deadline);

  /// Sessions to close now, beyond those that this has returned before. All that are left, once the window is
  /// over.
  [[nodiscard]] std::size_t take_due(loop::TimePoint now);
  /// When the next session is due; the deadline if all were taken.
  [[nodiscard]] loop::TimePoint next_due() const noexcept;
  /// Whatever is still open is cut off.
  [[nodiscard]] bool overdue(loop::TimePoint now) const noexcept { return now >= deadline_; }

 private:
  loop::TimePoint start_;
  std::size_t sessions_;
  std::chrono::milliseconds window_;
  loop::TimePoint deadline_;
  std::size_t taken_ = 0;
  bool window_over_ = false;  // and take_due() has said so
};

}  // namespace limpet::migration
