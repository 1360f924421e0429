// The supervisor's one event loop, and what it waits for: readiness of descriptors, deadlines, signals. The
// one place that knows Asio; Asio tells readiness and holds no bytes. Single-threaded; everything here must
// be destroyed before its Loop.
//
// A callback runs from run() only, never from inside a call, and never after its object was destroyed or
// cancelled.
#pragma once

#include <chrono>
#include <functional>
#include <initializer_list>
#include <memory>

#include "base/descriptor.h"

namespace limpet::supervisor {

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Returns after stop().
  void run();
  void stop();

  struct State;
  [[nodiscard]] State& state() noexcept { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

/// Calls back again and again while a borrowed descriptor is readable (or, Write: writable).
class Readiness {
 public:
  enum class Kind : unsigned char { Read, Write };
  Readiness(Loop& loop, int descriptor, Kind kind, std::function<void()> on_ready);
  ~Readiness();
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

/// As Timer::start() takes it: 0 if the time has passed.
[[nodiscard]] std::chrono::milliseconds left_until(std::chrono::steady_clock::time_point time) noexcept;

/// One deadline at a time, on the monotonic clock.
class Timer {
 public:
  explicit Timer(Loop& loop);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Replaces the deadline before.
  void start(std::chrono::milliseconds after, std::function<void()> on_time);
  void cancel();
  [[nodiscard]] bool running() const noexcept;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

/// Signals as callbacks: nothing runs in a handler. Several of one kind may arrive as one.
class SignalSource {
 public:
  SignalSource(Loop& loop, std::initializer_list<int> numbers, std::function<void(int)> on_signal);
  ~SignalSource();
  SignalSource(const SignalSource&) = delete;
  SignalSource& operator=(const SignalSource&) = delete;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

/// A signal that is blocked, and stays so: read from a descriptor (signalfd(2)).
class BlockedSignal {
 public:
  BlockedSignal(Loop& loop, int number, std::function<void()> on_signal);

 private:
  base::Descriptor descriptor_;
  Readiness on_readable_;
};

}  // namespace limpet::supervisor
