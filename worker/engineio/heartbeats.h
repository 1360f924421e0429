// The heartbeat of every open session: a ping, `ping_interval` after its last pong; without a pong within
// `ping_timeout` it ends. An open session waits in one of two lists: for its next ping, or for its pong.
#pragma once

#include <cstdint>
#include <optional>

#include "worker/engineio/lives.h"
#include "worker/engineio/open_session.h"
#include "worker/engineio/options.h"
#include "worker/loop/allowance.h"
#include "worker/loop/buffer.h"
#include "worker/loop/clock.h"
#include "worker/loop/timer_wheel.h"

namespace limpet::engineio {

class Heartbeats {
 public:
  Heartbeats(const Options& options, const loop::Clock& clock, Lives& lives);
  Heartbeats(const Heartbeats&) = delete;
  Heartbeats& operator=(const Heartbeats&) = delete;

  void begin(OpenSession& session) noexcept;
  /// The same for one that has left another process: `due` is when its pong is overdue, or its next ping.
  void arrive(OpenSession& session, bool awaits_pong, loop::TimePoint due);
  void on_pong(OpenSession& session) noexcept { begin(session); }

  void end_overdue(loop::TimePoint now, loop::Allowance& allowance);
  void send_pings(loop::TimePoint now, loop::Allowance& allowance);
  [[nodiscard]] std::optional<loop::TimePoint> next_due() const noexcept {
    return loop::first_due({&next_ping_, &pong_overdue_});
  }
  /// Of the open sessions: the one that waits for the next ping, else for a pong, with the least left of its
  /// wait; nullptr: none is open.
  [[nodiscard]] OpenSession* first() const noexcept;
  [[nodiscard]] std::uint64_t pings_sent() const noexcept { return pings_sent_; }

 private:
  const Options& options_;
  const loop::Clock& clock_;
  Lives& lives_;
  const loop::Buffer ping_frame_;
  loop::TimerWheel next_ping_;
  loop::TimerWheel pong_overdue_;
  std::uint64_t pings_sent_ = 0;
};

}  // namespace limpet::engineio
