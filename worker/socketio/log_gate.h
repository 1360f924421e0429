// Lets a few log lines per second through and counts the others, so that a client's or handler's repeated
// fault fills no disk; the next line that passes tells how many were left out.
#pragma once

#include <chrono>
#include <cstdint>

#include "worker/http/clock.h"

namespace limpet::socketio {

class LogGate {
 public:
  static constexpr unsigned kLinesPerSecond = 5;

  /// True: write the line, and say that `left_out` lines before it were not.
  bool pass(http::TimePoint now, std::uint64_t& left_out) noexcept {
    if (!started_ || now - window_ >= std::chrono::seconds(1)) {
      started_ = true;
      window_ = now;
      written_ = 0;
    }
    if (written_ == kLinesPerSecond) {
      ++left_out_;
      return false;
    }
    ++written_;
    left_out = left_out_;
    left_out_ = 0;
    return true;
  }

 private:
  bool started_ = false;
  http::TimePoint window_{};
  unsigned written_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace limpet::socketio
