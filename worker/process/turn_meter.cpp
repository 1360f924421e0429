#include "worker/process/turn_meter.h"

#include <algorithm>
#include <ctime>

#include "worker/socketio/handler_clock.h"

namespace limpet::process {
namespace {

using socketio::ticks_now;

constexpr std::chrono::milliseconds kWorthAsking{1};

std::chrono::nanoseconds thread_cpu_time() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

TurnMeter::TurnMeter()
    : began_at_(std::chrono::steady_clock::now()), ticks_at_begin_(ticks_now()), cpu_(thread_cpu_time()) {}

void TurnMeter::restart() noexcept {
  learn_pace();
  cpu_ = thread_cpu_time();
  in_turns_ = 0;
}

void TurnMeter::begin_turn() noexcept { turn_began_ = ticks_now(); }

void TurnMeter::learn_pace() noexcept {
  const Nanoseconds passed = std::chrono::steady_clock::now() - began_at_;
  const std::uint64_t ticks = ticks_now() - ticks_at_begin_;
  if (ticks > 0) nanoseconds_per_tick_ = passed.count() / static_cast<double>(ticks);
}

std::optional<std::chrono::microseconds> TurnMeter::end_turn(std::uint64_t in_handlers) noexcept {
  const std::uint64_t before = in_turns_;
  in_turns_ += ticks_now() - turn_began_;
  const auto nanoseconds = [this](std::uint64_t ticks) {
    return Nanoseconds(static_cast<double>(ticks) * nanoseconds_per_tick_);
  };
  if (nanoseconds(in_turns_) < kWorthAsking) return std::nullopt;
  learn_pace();
  const Nanoseconds cpu = thread_cpu_time();
  const Nanoseconds all = cpu - cpu_;
  cpu_ = cpu;
  in_turns_ = 0;
  const Nanoseconds of_this = all - nanoseconds(before) - nanoseconds(in_handlers);
  return std::chrono::duration_cast<std::chrono::microseconds>(std::max(of_this, Nanoseconds(0)));
}

}  // namespace limpet::process
