// The guarded door to the application's code: all of it runs through a Guard. What it throws is caught here,
// logged (rate-limited) and counted, and how long it runs is measured.
#pragma once

#include <cstdint>
#include <exception>
#include <string_view>

#include "base/log_gate.h"
#include "worker/loop/clock.h"
#include "worker/loop/handler_clock.h"

namespace limpet::application {

/// Which code of the application it is, for the log.
struct HandlerName {
  std::string_view what;    ///< the event, or the occasion
  std::string_view socket;  ///< id of the one that it is called for; "": of none
};

class Guard {
 public:
  /// `clock` outlives the guard.
  explicit Guard(const loop::Clock& clock) noexcept : clock_(clock) {}
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  /// Calls `handler`, which is the application's own code.
  template <typename F>
  void run(const HandlerName& name, F&& handler) noexcept {
    caught(name, [this, &handler] {
      const loop::HandlerClock::Running running(handler_clock_);
      handler();
    });
  }
  /// The same for a function of ours that may call the application's code, and then measures it itself.
  template <typename F>
  void caught(const HandlerName& name, F&& function) noexcept {
    try {
      function();
    } catch (const std::exception& problem) {
      note_failure(name, problem.what());
    } catch (...) {
      note_failure(name, "something that is no std::exception");
    }
  }
  /// `argument`: the one, counted from 1, that `why` is about; 0: none. Nothing is put together for a line
  /// that is not written: a client can cause many of these.
  void note_failure(const HandlerName& name, std::string_view why, std::size_t argument = 0) noexcept;

  /// Exceptions, and handlers that were not called because an argument did not fit.
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }
  [[nodiscard]] loop::HandlerClock& handler_clock() noexcept { return handler_clock_; }
  [[nodiscard]] const loop::HandlerClock& handler_clock() const noexcept { return handler_clock_; }

 private:
  const loop::Clock& clock_;
  loop::HandlerClock handler_clock_;
  std::uint64_t failures_ = 0;
  base::LogGate lines_;
};

}  // namespace limpet::application
