// A file's time (stat(2)) as one number: nanoseconds since 1970 have room for the years 1678 to 2261; what
// somebody has set before or behind them counts as their beginning or end.
#pragma once

#include <cstdint>
#include <ctime>
#include <limits>

namespace limpet::base {

[[nodiscard]] constexpr std::int64_t nanoseconds(const timespec& time) noexcept {
  using Limits = std::numeric_limits<std::int64_t>;
  constexpr std::int64_t kSecond = 1'000'000'000;
  if (time.tv_sec >= Limits::max() / kSecond) return Limits::max();
  if (time.tv_sec <= Limits::min() / kSecond) return Limits::min();
  return static_cast<std::int64_t>(time.tv_sec) * kSecond + time.tv_nsec;
}

}  // namespace limpet::base
