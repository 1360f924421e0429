#include "worker/migration/drain_schedule.h"

#include <algorithm>
#include <limits>

namespace limpet::migration {

DrainSchedule::DrainSchedule(loop::TimePoint start, std::size_t sessions, std::chrono::milliseconds window,
                             std::chrono::milliseconds deadline)
    : start_(start), sessions_(sessions), window_(std::min(window, deadline)), deadline_(start + deadline) {}

std::size_t DrainSchedule::take_due(loop::TimePoint now) {
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(now - start_);
  if (passed >= window_) {
    // Also sessions that appeared since the start (a handshake that was under way).
    taken_ = sessions_;
    window_over_ = true;
    return std::numeric_limits<std::size_t>::max();
  }
  // The first is due at once, the last at the end of the window.
  const auto share =
      sessions_ * static_cast<std::size_t>(passed.count()) / static_cast<std::size_t>(window_.count());
  const std::size_t due = std::min(sessions_, share + 1);
  const std::size_t fresh = due - std::min(due, taken_);
  taken_ += fresh;
  return fresh;
}

loop::TimePoint DrainSchedule::next_due() const noexcept {
  if (window_over_) return deadline_;
  if (taken_ >= sessions_) return start_ + window_;
  const auto offset = window_ * static_cast<std::int64_t>(taken_) / static_cast<std::int64_t>(sessions_);
  return start_ + offset + std::chrono::milliseconds(1);
}

}  // namespace limpet::migration
