// Lets a few log lines per second through and counts the others, so that what a client can cause as often as
// it likes fills no disk. One for each kind of line; `log_at_most` (base/log.h) asks it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace limpet::base {

class LogGate {
 public:
  static constexpr unsigned kLinesPerSecond = 5;

  /// A value: write the line, and say that so many before it were left out. nullopt: leave this one out too.
  std::optional<std::uint64_t> pass(std::chrono::steady_clock::time_point now) noexcept {
    if (!started_ || now - window_ >= std::chrono::seconds(1)) {
      started_ = true;
      window_ = now;
      written_ = 0;
    }
    if (written_ == kLinesPerSecond) {
      ++left_out_;
      return std::nullopt;
    }
    ++written_;
    return std::exchange(left_out_, 0);
  }

 private:
  bool started_ = false;
  std::chrono::steady_clock::time_point window_{};
  unsigned written_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace limpet::base
