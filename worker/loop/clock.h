// The time of the current loop turn. The worker's loop advances it once per turn; tests set it by hand.
// Protocol layers read time from nowhere else.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "worker/loop/date.h"

namespace limpet::loop {

using TimePoint = std::chrono::steady_clock::time_point;

class Clock {
 public:
  explicit Clock(TimePoint start = {}) : now_(start) {}
  [[nodiscard]] TimePoint now() const noexcept { return now_; }
  void advance_to(TimePoint now) noexcept { now_ = now; }

  /// Seconds since 1970. The date is written once for each of them, however many answers carry it.
  void set_wall_time(std::int64_t seconds) noexcept {
    if (seconds == wall_seconds_) return;
    wall_seconds_ = seconds;
    write_date(seconds, date_);
  }
  /// 0: nobody has said.
  [[nodiscard]] std::int64_t wall_seconds() const noexcept { return wall_seconds_; }
  /// The same as an HTTP date; empty: nobody has said, and answers have no Date (RFC 9110 section 6.6.1).
  [[nodiscard]] std::string_view date() const noexcept {
    return wall_seconds_ == 0 ? std::string_view() : std::string_view(date_.data(), date_.size());
  }

 private:
  TimePoint now_;
  std::int64_t wall_seconds_ = 0;
  std::array<char, kDateBytes> date_{};
};

}  // namespace limpet::loop
