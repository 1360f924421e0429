#include "worker/loop/turn_meter.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "worker/loop/handler_clock.h"

namespace limpet::loop {
namespace {

constexpr std::chrono::milliseconds kWorthAsking{1};
/// What a shorter wait takes of the CPU counts as time of the turn behind it.
constexpr std::chrono::microseconds kShortWait{200};

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
  in_wait_ = {};
  turn_began_ = ticks_now();
}

void TurnMeter::begin_turn() noexcept {
  turn_began_ = ticks_now();
  in_wait_ = {};
}

void TurnMeter::wake_up() noexcept {
  const std::uint64_t now = ticks_now();
  if (nanoseconds(now - turn_began_) < kShortWait) return;
  in_wait_ = ask();
  turn_began_ = ticks_now();
}

void TurnMeter::learn_pace() noexcept {
  const Nanoseconds passed = std::chrono::steady_clock::now() - began_at_;
  const std::uint64_t ticks = ticks_now() - ticks_at_begin_;
  if (ticks > 0) nanoseconds_per_tick_ = passed.count() / static_cast<double>(ticks);
}

TurnMeter::Nanoseconds TurnMeter::ask() noexcept {
  const Nanoseconds cpu = thread_cpu_time();
  const Nanoseconds all = cpu - std::exchange(cpu_, cpu);
  return std::max(all - nanoseconds(std::exchange(in_turns_, 0)), Nanoseconds(0));
}

std::optional<std::chrono::microseconds> TurnMeter::end_turn(std::uint64_t in_handlers) noexcept {
  const std::uint64_t ticks = ticks_now() - turn_began_;
  if (nanoseconds(in_turns_ + ticks) + in_wait_ < kWorthAsking) {
    in_turns_ += ticks;
    return std::nullopt;
  }
  learn_pace();
  const Nanoseconds of_this = in_wait_ + ask() - nanoseconds(in_handlers);
  return std::chrono::duration_cast<std::chrono::microseconds>(std::max(of_this, Nanoseconds(0)));
}

}  // namespace limpet::loop
